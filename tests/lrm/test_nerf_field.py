from typing import cast

import numpy as np
import pytest
import torch
from lrm_golden import CPU, arrays, facts, largest, needs_golden, sizes, weights
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from meshcli.lrm.mesh_field import Surface
from meshcli.lrm.model import load_decoder
from meshcli.lrm.nerf_field import NerfDecoder, NerfField, activated
from meshcli.lrm.volume import Draws, Rendering, box_limits, camera_rays, render


@pytest.fixture(scope="module")
def golden() -> dict[str, torch.Tensor]:
    return arrays("nerf")


@pytest.fixture(scope="module")
def field(golden: dict[str, torch.Tensor]) -> NerfField:
    model = facts("nerf")["model"]
    decoder = load_decoder(sizes(model), weights(sizes(model), model["weights"], "synthesizer."), CPU)
    assert isinstance(decoder, NerfDecoder)
    return NerfField(decoder, golden["planes"][0])


def rays_of(cameras: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Of cameras (V, 25): origins and directions (V * size * size, 3)."""
    origins, directions = [], []
    for camera in cameras:
        matrix = camera[16:].view(3, 3)
        intrinsics = torch.stack([matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2]])
        origin, along = camera_rays(camera[:16].view(4, 4), intrinsics, size)
        origins.append(origin.expand_as(along))
        directions.append(along)
    return torch.cat(origins), torch.cat(directions)


def compare(found: Rendering, golden: dict[str, torch.Tensor], name: str, tolerance: float = 5e-5) -> None:
    for values, part in ((found.colour, "rgb"), (found.depth[:, None], "depth"), (found.weight[:, None], "weight")):
        expected = golden[f"{name}_images_{part}"][0].permute(0, 2, 3, 1)
        assert largest(values.view(expected.shape), expected) < tolerance, part


@needs_golden
def test_rays(golden: dict[str, torch.Tensor]) -> None:
    origins, directions = rays_of(golden["render_cameras"][0], 12)
    assert largest(directions, golden["ray_directions"].view(-1, 3)) < 1e-6
    assert largest(origins.view(3, 144, 3)[:, 0], golden["ray_origins_first_of_each_view"]) < 1e-6
    start, end = box_limits(origins, directions)
    assert largest(start, golden["ray_start"].flatten()) < 1e-5
    assert largest(end, golden["ray_end"].flatten()) < 1e-5


@needs_golden
@pytest.mark.parametrize("together", [100, 2048])
def test_pictures_with_the_middle_of_every_draw(
    golden: dict[str, torch.Tensor], field: NerfField, together: int
) -> None:
    origins, directions = rays_of(golden["render_cameras"][0], 12)
    compare(render(field, origins, directions, 12, rays=together), golden, "mid")


@needs_golden
def test_pictures_with_given_draws(golden: dict[str, torch.Tensor], field: NerfField) -> None:
    origins, directions = rays_of(golden["render_cameras"][0], 12)
    draws = Draws(golden["draws_0_rand_like"].reshape(432, 12), golden["draws_1_rand"])
    compare(render(field, origins, directions, 12, draws), golden, "draws")


@needs_golden
def test_rays_that_miss_the_box(golden: dict[str, torch.Tensor], field: NerfField) -> None:
    compare(render(field, *rays_of(golden["wide_render_cameras"][0], 12), 12), golden, "wide")


@needs_golden
def test_points_and_lattice(golden: dict[str, torch.Tensor], field: NerfField) -> None:
    density, colour = field.raw(golden["points"][0])
    assert largest(colour, golden["points_rgb"][0]) < 1e-5
    assert largest(activated(density), golden["points_sigma"][0, :, 0]) < 1e-4
    assert largest(field.density(40), golden["grid_sigma"][0, ..., 0]) < 1e-4
    axis = torch.linspace(-1, 1, 40)
    lattice = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1).view(-1, 3)
    assert largest(field.colours(lattice).flatten()[::7], golden["grid_rgb_every_7"]) < 1e-5


@needs_golden
def test_marching_cubes(golden: dict[str, torch.Tensor], field: NerfField) -> None:
    surface = field.surface(40, facts("nerf")["mesh_threshold"])
    rows = same_surface(surface, golden["mesh_vertices"].numpy(), golden["mesh_faces"].numpy(), 40)
    colours = (field.colours(surface.vertices[rows]).clamp(0, 1) * 255).to(torch.uint8)
    assert int((colours.int() - golden["mesh_colors_u8"].int()).abs().max()) <= 1


def same_surface(
    found: Surface, vertices: np.ndarray, faces: np.ndarray, size: int, tolerance: float = 1e-5
) -> np.ndarray:
    """Compare with the published mesh, whose vertices are those at the rows that come back.

    The line in which the surface crosses each side of each cell is the same. How the polygon within a cell is cut into
    triangles is up to the library, and changes the volume a little.
    """
    own, own_faces = found.vertices.numpy(), found.faces.numpy()
    assert own.shape == vertices.shape
    assert own_faces.shape == faces.shape
    near, rows = cKDTree(own).query(vertices)
    assert near.max() < tolerance
    place = np.argsort(rows)  # of each of our vertices among the published ones
    np.testing.assert_array_equal(rows[place], np.arange(len(own)))
    assert crossings(vertices, place[own_faces], size) == crossings(vertices, faces, size)
    assert volume(own, own_faces) == pytest.approx(volume(vertices, faces), rel=1e-4)
    return rows


def crossings(vertices: np.ndarray, faces: np.ndarray, size: int) -> set[tuple[int, int]]:
    """Edges in the sides of a lattice's cells, in the direction in which a face has them at its left."""
    places = (vertices + 1) / 2 * (size - 1)
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    one, other = places[edges[:, 0]], places[edges[:, 1]]
    within = (np.abs(one - np.round(one)) < 1e-4) & (np.abs(one - other) < 1e-4)
    return {(int(first), int(last)) for first, last in edges[within.any(axis=1)]}


def volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    one, two, three = (vertices[faces[:, corner]].astype(np.float64) for corner in range(3))
    return float(np.einsum("ij,ij->i", one, np.cross(two, three)).sum() / 6)


class Diagonal:
    """Dense at two corners that lie crosswise on the side of a cell."""

    def density(self, resolution: int) -> torch.Tensor:
        values = torch.zeros((resolution,) * 3)
        values[2, 2, 2] = values[2, 3, 3] = 1.0
        return values


def test_corners_that_lie_crosswise_are_joined() -> None:
    surface = NerfField.surface(cast(NerfField, Diagonal()), 6, 0.5)
    faces = surface.faces.numpy()
    pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]]])
    count = len(surface.vertices)
    table = coo_array((np.ones(len(pairs)), tuple(pairs.T)), shape=(count, count))
    assert connected_components(table, directed=False)[0] == 1
    assert volume(surface.vertices.numpy(), faces) > 0


@needs_golden
def test_a_threshold_that_nothing_passes(field: NerfField) -> None:
    surface = field.surface(20, 1e9)
    assert surface.empty
    assert len(surface.faces) == 0
