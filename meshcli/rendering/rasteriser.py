"""Which triangle does each pixel see: nvdiffrast on CUDA, where both are there. Written without them: untested.

nvdiffrast is for research and evaluation only by its own licence, and is used when somebody asks for CUDA by name.
"""

from importlib.util import find_spec
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshcli.arrays import Array
from meshcli.meshes.raycasting import Hits
from meshcli.views.camera import Camera
from meshcli.views.projection import world_to_camera

NEAR, FAR = 0.01, 100.0  # world units
LARGEST = 2048  # samples along a side; nvdiffrast's limit on CUDA
MULTIPLE = 8  # of which a side must be


def available() -> bool:
    """Whether nvdiffrast is installed and torch sees a CUDA device."""
    if find_spec("nvdiffrast") is None or find_spec("torch") is None:
        return False
    import torch

    return bool(torch.cuda.is_available())


class Rasteriser:
    """A mesh on a GPU. Safe to use from several threads, one at a time."""

    def __init__(self, vertices: Array, faces: Array, device: str = "cuda") -> None:
        import nvdiffrast.torch
        import torch

        self._torch, self._library = torch, nvdiffrast.torch
        self._context = nvdiffrast.torch.RasterizeCudaContext(device=device)
        self._vertices = torch.as_tensor(np.asarray(vertices, np.float32), device=device)
        self._faces = torch.as_tensor(np.asarray(faces, np.int32), device=device).contiguous()
        self._lock = Lock()

    def takes(self, width: int, height: int, samples: int) -> bool:
        """Whether a picture is small enough."""
        return max(width, height) * samples <= LARGEST

    def see(self, camera: Camera, width: int, height: int, pixels: Array, samples: int) -> Hits:
        """The first surface behind samples x samples points of each pixel (P,), numbered row * width + column."""
        torch = self._torch
        lines, columns = _padded(height * samples), _padded(width * samples)
        matrix = torch.as_tensor(clip_matrix(camera, width * samples, height * samples, columns, lines))
        clip = self._homogeneous() @ matrix.to(self._vertices).T
        with self._lock:
            found, _ = self._library.rasterize(self._context, clip[None].contiguous(), self._faces, (lines, columns))
        inner = torch.arange(samples)
        rows = torch.as_tensor(pixels // width)[:, None, None] * samples + inner[:, None]
        places = rows * columns + torch.as_tensor(pixels % width)[:, None, None] * samples + inner
        chosen = found[0].flatten(0, 1)[places.flatten().to(found.device)]
        faces = chosen[:, 3].long() - 1
        first, second = chosen[:, 0], chosen[:, 1]
        weights = torch.stack([first, second, 1 - first - second], dim=1) * (faces >= 0)[:, None]
        depths = (clip[:, 3][self._faces.long()[faces.clamp(min=0)]] * weights).sum(dim=1)
        depths = torch.where(faces >= 0, depths, torch.inf)
        return Hits(faces.int().cpu().numpy(), weights.cpu().numpy(), depths.float().cpu().numpy())

    def _homogeneous(self) -> Any:
        return self._torch.nn.functional.pad(self._vertices, (0, 1), value=1.0)


def clip_matrix(camera: Camera, width: int, height: int, columns: int, lines: int) -> NDArray[np.float64]:
    """World to clip space (4, 4) of a picture that fills the top left of columns x lines; w is the depth.

    nvdiffrast's first row is at y = -1, so y points down here and the first row is the top one.
    """
    fx, cx = 2 * camera.fx * width / columns, 2 * camera.cx * width / columns - 1
    fy, cy = 2 * camera.fy * height / lines, 2 * camera.cy * height / lines - 1
    lens = np.array([
        [fx, 0.0, -cx, 0.0],
        [0.0, -fy, -cy, 0.0],
        [0.0, 0.0, -(FAR + NEAR) / (FAR - NEAR), -2 * FAR * NEAR / (FAR - NEAR)],
        [0.0, 0.0, -1.0, 0.0],
    ])  # fmt: skip
    result: NDArray[np.float64] = lens @ world_to_camera(camera)
    return result


def _padded(side: int) -> int:
    return -(-side // MULTIPLE) * MULTIPLE
