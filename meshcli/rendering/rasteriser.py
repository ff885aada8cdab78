"""Rasterisation with nvdiffrast on CUDA, where both are installed. Written without a GPU at hand and untested.

nvdiffrast's licence allows research and evaluation only, so it is used only when the user names a CUDA device.
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

NEAR_PLANE, FAR_PLANE = 0.01, 100.0  # world units: objects reach to 1 and cameras stand at about 4
MAX_SIDE = 2048  # samples; nvdiffrast's limit on CUDA
SIDE_MULTIPLE = 8  # sides must be multiples of it


def available() -> bool:
    """Whether nvdiffrast is installed and torch sees a CUDA device."""
    if find_spec("nvdiffrast") is None or find_spec("torch") is None:
        return False
    import torch

    return bool(torch.cuda.is_available())


class Rasteriser:
    """A mesh on a GPU. Thread-safe: one picture at a time."""

    def __init__(self, vertices: Array, faces: Array, device: str = "cuda") -> None:
        import nvdiffrast.torch
        import torch

        self._torch, self._library = torch, nvdiffrast.torch
        self._context = nvdiffrast.torch.RasterizeCudaContext(device=device)
        self._vertices = torch.as_tensor(np.asarray(vertices, np.float32), device=device)
        self._faces = torch.as_tensor(np.asarray(faces, np.int32), device=device).contiguous()
        self._lock = Lock()

    def fits(self, width: int, height: int, samples: int) -> bool:
        """Whether a picture is small enough for nvdiffrast."""
        return max(width, height) * samples <= MAX_SIDE

    def rasterise(self, camera: Camera, width: int, height: int, pixels: Array, samples: int) -> Hits | None:
        """The first surface at samples x samples points of each pixel; None for a picture that does not fit."""
        if not self.fits(width, height, samples):
            return None
        torch = self._torch
        rows, columns = _padded(height * samples), _padded(width * samples)
        matrix = torch.as_tensor(clip_matrix(camera, width * samples, height * samples, columns, rows))
        clip = self._homogeneous() @ matrix.to(self._vertices).T
        with self._lock:
            found, _ = self._library.rasterize(self._context, clip[None].contiguous(), self._faces, (rows, columns))
        inner = torch.arange(samples)
        sample_rows = torch.as_tensor(pixels // width)[:, None, None] * samples + inner[:, None]
        sample_columns = torch.as_tensor(pixels % width)[:, None, None] * samples + inner
        chosen = found[0].flatten(0, 1)[(sample_rows * columns + sample_columns).flatten().to(found.device)]
        faces = chosen[:, 3].long() - 1
        first, second = chosen[:, 0], chosen[:, 1]
        weights = torch.stack([first, second, 1 - first - second], dim=1) * (faces >= 0)[:, None]
        depths = (clip[:, 3][self._faces.long()[faces.clamp(min=0)]] * weights).sum(dim=1)
        depths = torch.where(faces >= 0, depths, torch.inf)
        return Hits(faces.int().cpu().numpy(), weights.cpu().numpy(), depths.float().cpu().numpy())

    def _homogeneous(self) -> Any:
        """The vertices as (V, 4) with w = 1."""
        return self._torch.nn.functional.pad(self._vertices, (0, 1), value=1.0)


def clip_matrix(camera: Camera, width: int, height: int, columns: int, rows: int) -> NDArray[np.float64]:
    """World to clip space, (4, 4), for a picture in the top left corner of columns x rows samples; w is the depth.

    nvdiffrast's first row is at y = -1, so y points down here and the first row is the top one.
    """
    fx, cx = 2 * camera.fx * width / columns, 2 * camera.cx * width / columns - 1
    fy, cy = 2 * camera.fy * height / rows, 2 * camera.cy * height / rows - 1
    near, far = NEAR_PLANE, FAR_PLANE
    projection = np.array([
        [fx, 0.0, -cx, 0.0],
        [0.0, -fy, -cy, 0.0],
        [0.0, 0.0, -(far + near) / (far - near), -2 * far * near / (far - near)],
        [0.0, 0.0, -1.0, 0.0],
    ])  # fmt: skip
    result: NDArray[np.float64] = projection @ world_to_camera(camera)
    return result


def _padded(side: int) -> int:
    """The side, rounded up to SIDE_MULTIPLE."""
    return -(-side // SIDE_MULTIPLE) * SIDE_MULTIPLE
