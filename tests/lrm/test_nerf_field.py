from typing import cast

import numpy as np
import pytest
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from helpers.golden import Numbers
from helpers.lrm_golden import CPU, largest, sizes, tensors, weights
from meshcli.lrm.mesh_field import SurfaceMesh
from meshcli.lrm.model import load_decoder
from meshcli.lrm.nerf_field import NerfDecoder, NerfField, activate_density
from meshcli.lrm.volume import RenderedRays, SampleOffsets, box_limits, camera_rays, render_rays

Tensors = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def given(numbers: Numbers) -> Tensors:
    return tensors(numbers, "nerf")


@pytest.fixture(scope="module")
def field(numbers: Numbers, given: Tensors) -> NerfField:
    model = numbers.facts("nerf")["model"]
    decoder = load_decoder(sizes(model), weights(sizes(model), model["weights"], "synthesizer."), CPU)
    assert isinstance(decoder, NerfDecoder)
    return NerfField(decoder, given["planes"][0])


@pytest.fixture(scope="module")
def size(numbers: Numbers) -> int:
    """Pixels along a side of the pictures."""
    return numbers.facts("nerf")["render"]["size"]


@pytest.fixture(scope="module")
def samples(numbers: Numbers) -> int:
    """Coarse samples on a ray."""
    return numbers.facts("nerf")["model"]["params"]["rendering_samples_per_ray"] // 2


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


def compare(found: RenderedRays, given: Tensors, name: str, tolerance: float = 5e-5) -> None:
    for values, part in ((found.colour, "rgb"), (found.depth[:, None], "depth"), (found.opacity[:, None], "weight")):
        expected = given[f"{name}_images_{part}"][0].permute(0, 2, 3, 1)
        assert largest(values.view(expected.shape), expected) < tolerance, part


def test_rays(given: Tensors, size: int) -> None:
    """RaySampler (InstantMesh's renderer/utils/ray_sampler.py) and get_ray_limits_box (math_utils.py)."""
    origins, directions = rays_of(given["render_cameras"][0], size)
    assert largest(directions, given["ray_directions"].view(-1, 3)) < 1e-6
    assert largest(origins.view(3, -1, 3)[:, 0], given["ray_origins_first_of_each_view"]) < 1e-6
    start, end = box_limits(origins, directions)
    met = given["ray_start"].flatten() < given["ray_end"].flatten()  # the others are changed by the renderer
    assert met.any()
    assert largest(start[met], given["ray_start"].flatten()[met]) < 1e-5
    assert largest(end[met], given["ray_end"].flatten()[met]) < 1e-5


@pytest.mark.parametrize("together", [100, 2048])
def test_pictures_with_the_middle_of_every_draw(
    given: Tensors, field: NerfField, size: int, samples: int, together: int
) -> None:
    """ImportanceRenderer (InstantMesh's renderer/utils/renderer.py) with the means of its random numbers."""
    origins, directions = rays_of(given["render_cameras"][0], size)
    compare(render_rays(field, origins, directions, samples, rays=together), given, "mid")


def test_pictures_with_given_draws(given: Tensors, field: NerfField, size: int, samples: int) -> None:
    origins, directions = rays_of(given["render_cameras"][0], size)
    draws = SampleOffsets(given["draws_0_rand_like"].reshape(-1, samples), given["draws_1_rand"])
    compare(render_rays(field, origins, directions, samples, draws), given, "draws")


def test_rays_that_miss_the_box(given: Tensors, field: NerfField, size: int, samples: int) -> None:
    compare(render_rays(field, *rays_of(given["wide_render_cameras"][0], size), samples), given, "wide")


def test_a_part_of_the_pictures(numbers: Numbers, given: Tensors, field: NerfField, size: int, samples: int) -> None:
    top, left, height, width = numbers.facts("nerf")["crop_params"]
    origins, directions = (
        rays.view(3, size, size, 3)[:, top : top + height, left : left + width].reshape(-1, 3)
        for rays in rays_of(given["render_cameras"][0], size)
    )
    found = render_rays(field, origins, directions, samples).colour.view(3, height, width, 3)
    assert largest(found, given["crop_images_rgb"][0].permute(0, 2, 3, 1)) < 5e-5


def test_points_and_lattice(numbers: Numbers, given: Tensors, field: NerfField) -> None:
    """forward_points and forward_grid (InstantMesh's renderer/synthesizer.py)."""
    count = numbers.facts("nerf")["grid_size"]
    density, colour = field.evaluate_raw(given["points"][0])
    assert largest(colour, given["points_rgb"][0]) < 1e-5
    assert largest(activate_density(density), given["points_sigma"][0, :, 0]) < 1e-4
    assert largest(field.density(count), given["grid_sigma"][0, ..., 0]) < 1e-4
    axis = torch.linspace(-1, 1, count)
    lattice = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1).view(-1, 3)
    assert largest(field.colours(lattice).flatten()[::7], given["grid_rgb_every_7"]) < 1e-5


def test_marching_cubes(numbers: Numbers, given: Tensors, field: NerfField) -> None:
    """extract_mesh (InstantMesh's src/models/lrm.py), by PyMCubes."""
    count, threshold = (numbers.facts("nerf")[name] for name in ("grid_size", "mesh_threshold"))
    surface = field.extract_surface(count, threshold)
    rows = same_surface(surface, given["mesh_vertices"].numpy(), given["mesh_faces"].numpy(), count)
    colours = field.colours(surface.vertices[rows])
    assert largest(colours, given["mesh_vertex_rgb"]) < 1e-4
    bytes_of = (colours.clamp(0, 1) * 255).to(torch.uint8)
    assert int((bytes_of.int() - given["mesh_colors_u8"].int()).abs().max()) <= 1


def same_surface(
    found: SurfaceMesh, vertices: np.ndarray, faces: np.ndarray, size: int, tolerance: float = 1e-5
) -> np.ndarray:
    """Compare with the published mesh, whose vertices are those at the rows that come back.

    The lines in which the surface crosses the sides of the cells are the same, in the same direction, and so is the
    number of triangles. Along which diagonals a polygon within a cell is cut is up to the library: .001 % of the volume
    of noise in 40 samples, .3 % in 18.
    """
    own, own_faces = found.vertices.numpy(), found.faces.numpy()
    assert own.shape == vertices.shape
    assert own_faces.shape == faces.shape
    near, rows = cKDTree(own).query(vertices)
    assert near.max() < tolerance
    place = np.argsort(rows)  # of each of our vertices among the published ones
    np.testing.assert_array_equal(rows[place], np.arange(len(own)))
    assert crossings(vertices, place[own_faces], size) == crossings(vertices, faces, size)
    assert volume(own, own_faces) == pytest.approx(volume(vertices, faces), rel=5e-3)
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
    surface = NerfField.extract_surface(cast(NerfField, Diagonal()), 6, 0.5)
    faces = surface.faces.numpy()
    pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]]])
    count = len(surface.vertices)
    table = coo_array((np.ones(len(pairs)), tuple(pairs.T)), shape=(count, count))
    assert connected_components(table, directed=False)[0] == 1
    assert volume(surface.vertices.numpy(), faces) > 0


def test_a_threshold_that_nothing_passes(field: NerfField) -> None:
    surface = field.extract_surface(20, 1e9)
    assert surface.empty
    assert len(surface.faces) == 0
