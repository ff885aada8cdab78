"""A mesh from a triplane that holds a radiance field: density on a lattice, marching cubes, colours."""

import numpy as np
import torch
from skimage.measure import marching_cubes
from torch import Tensor, nn
from torch.nn import functional

from meshcli.lrm.mesh_field import SurfaceMesh, activate_colour
from meshcli.lrm.sizes import Sizes
from meshcli.lrm.triplane import POINTS_PER_CHUNK, Mlp, TriplaneMlp, sample_lattice


class NerfDecoder(nn.Module):
    """The decoder head for density and colour, under its name in the checkpoint."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.net = Mlp(3 * sizes.triplane_dim, 4)


class NerfField:
    """Radiance field in [-1, 1]^3, decoded from a triplane; always in float32."""

    def __init__(self, decoder: NerfDecoder, planes: Tensor, chunk: int = POINTS_PER_CHUNK) -> None:
        """Planes (3, C, H, W)."""
        self._decoder = decoder
        self._planes = planes
        self._chunk = chunk

    @torch.inference_mode()
    def extract_surface(self, resolution: int, threshold: float) -> SurfaceMesh:
        """Extract the surface of this density, from a lattice with this many points along a side."""
        density = self.density(resolution).cpu().numpy()
        above = density > threshold
        if not above.any() or above.all():
            return SurfaceMesh(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.long), True)
        box = tuple(slice(max(low - 1, 0), high + 2) for low, high in _bounding_box(above))
        # The negative sign decides ambiguous cell sides, with dense corners on a diagonal: they are joined, as PyMCubes
        # does, which InstantMesh's extract_mesh (src/models/lrm.py) calls.
        vertices, faces, *_ = marching_cubes(  # type: ignore[no-untyped-call]
            -density[box], -threshold, method="lorensen", gradient_direction="descent"
        )
        corner = np.array([part.start for part in box], np.float32)
        positions = (vertices + corner) / np.float32(resolution - 1) * 2 - 1
        return SurfaceMesh(torch.from_numpy(positions), torch.from_numpy(faces.astype(np.int64)))

    @torch.inference_mode()
    def density(self, resolution: int) -> Tensor:
        """Density (n, n, n) on a lattice that spans [-1, 1]."""
        axis = torch.linspace(-1.0, 1.0, resolution, device=self._planes.device)
        lattice = sample_lattice(self._planes, axis)
        return activate_density(TriplaneMlp(self._decoder.net, outputs=1).evaluate_lattice(lattice, self._chunk))

    def evaluate_raw(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Density before its activation (N,) and colour (N, 3) at points (N, 3)."""
        values = TriplaneMlp(self._decoder.net).evaluate(self._planes, points, self._chunk)
        return values[:, 0], activate_colour(values[:, 1:])

    @torch.inference_mode()
    def colours(self, points: Tensor) -> Tensor:
        """Colours (N, 3) at points (N, 3); they may leave [0, 1] by 0.001."""
        return self.evaluate_raw(points)[1]


def activate_density(raw: Tensor) -> Tensor:
    """Density from the head's raw output, computed in place; the shift of -1 is EG3D's."""
    return functional.softplus(raw.sub_(1.0))


def _bounding_box(inside: np.ndarray) -> list[tuple[int, int]]:
    """First and last index along each axis where something is inside."""
    ranges = []
    for axis in range(3):
        indices = np.flatnonzero(inside.any(axis=tuple(other for other in range(3) if other != axis)))
        ranges.append((int(indices[0]), int(indices[-1])))
    return ranges
