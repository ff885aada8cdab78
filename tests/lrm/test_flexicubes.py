from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from helpers.golden import EXTERNAL, RECORDED, SHARED_FOLDER, Numbers
from helpers.lrm_golden import largest, tensors
from meshcli.lrm.flexicubes import CellWeights, _faces, case_tables, crossed_cells, extract

CASES = [
    pytest.param(numbers, case, id=f"{numbers.folder.parent.name}-{case['grid']}-{case['shape']}-{case['mode']}")
    for numbers in ([RECORDED, EXTERNAL] if SHARED_FOLDER.is_dir() else [RECORDED])
    for case in numbers.facts("flexicubes_analytic")["cases"]
]


@cache
def analytic(numbers: Numbers) -> dict[str, torch.Tensor]:
    return tensors(numbers, "flexicubes_analytic")


@pytest.mark.parametrize(("numbers", "case"), CASES)
def test_analytic_shapes(numbers: Numbers, case: dict[str, Any]) -> None:
    """FlexiCubes as InstantMesh has it (src/models/geometry/rep_3d/flexicubes.py)."""
    given = analytic(numbers)
    grid, name = f"g{case['grid']}", f"g{case['grid']}_{case['shape']}"
    distances, positions = given[f"{name}_sdf"], given[f"{grid}_verts"]
    cells = crossed_cells(distances.view((case["grid"] + 1,) * 3))
    weights = CellWeights.uniform(len(cells.indices), positions)
    if case["mode"] == "random":
        positions = positions + given[f"{grid}_deformation"]
        weights = CellWeights.from_network(given[f"{grid}_weight"].float()[cells.indices])
    vertices, faces = extract(cells, distances[cells.vertices], positions[cells.vertices], weights)
    assert largest(vertices, given[f"{name}_{case['mode']}_vertices"]) < 1e-5
    assert torch.equal(faces.int(), given[f"{name}_{case['mode']}_faces"])


def test_tables_are_the_published_numbers(numbers: Numbers) -> None:
    published, ours = tensors(numbers, "flexicubes_tables"), case_tables(torch.device("cpu"))
    assert torch.equal(ours.loops, published["dmc_table"].long())
    assert torch.equal(ours.ambiguous, published["check_table"].long())
    assert torch.equal(ours.corners, published["cube_corners"].long())
    assert torch.equal(ours.edges, published["cube_edges"].long())
    assert torch.equal((ours.loops[..., 0] >= 0).sum(dim=1), published["num_vd_table"].long())


def test_a_case_is_the_sum_of_its_corners_inside(numbers: Numbers) -> None:
    grid = numbers.facts("flexicubes_analytic")["cases"][0]["grid"]
    distances, corners = analytic(numbers)[f"g{grid}_noise_sdf"], analytic(numbers)[f"g{grid}_cubes"].long()
    bits = tensors(numbers, "flexicubes_tables")["cube_corners_idx"].long()
    cells = crossed_cells(distances.view((grid + 1,) * 3))
    assert torch.equal(cells.cases, ((distances[corners] < 0) * bits).sum(dim=1)[cells.indices])
    assert torch.equal(cells.vertices[cells.corners], corners[cells.indices])


@pytest.mark.parametrize("resolution", [16, 128])
def test_cells_are_numbered_as_published(numbers: Numbers, resolution: int) -> None:
    side = resolution + 1
    distances = torch.ones(side, side, side)
    distances[0, 0, :8] = distances[-1, -1, -8:] = -1.0
    cells = crossed_cells(distances)
    expected = numbers.arrays("voxel_grid")[f"cubes_first8_last8_res{resolution}"]
    np.testing.assert_array_equal(cells.vertices[cells.corners].numpy(), expected)


@pytest.mark.parametrize(("split", "name"), [([2.0, 1.0, 1.0, 1.0], "quad_split_1"), ([1.0] * 4, "quad_split_2")])
def test_a_quad_is_split_as_published(numbers: Numbers, split: list[float], name: str) -> None:
    """Four cells around the one edge between vertices 0, outside, and 1, inside."""
    ends, vertex_of_edge = torch.zeros(4, 12, 2, dtype=torch.long), torch.full((4, 12), -1)
    ends[:, 0, 1], vertex_of_edge[:, 0] = 1, torch.arange(4)
    faces = _faces(ends, vertex_of_edge, torch.tensor([1.0, -1.0]), torch.tensor(split))
    quad = torch.tensor([0, 1, 3, 2])
    assert torch.equal(faces, quad[tensors(numbers, "flexicubes_tables")[name].long()].view(2, 3))


def test_a_ball_is_closed_and_faces_look_outwards() -> None:
    axis = torch.linspace(-1, 1, 25)
    points = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1)
    distances = points.norm(dim=-1) - 0.7
    cells = crossed_cells(distances)
    flat = points.view(-1, 3)[cells.vertices]
    vertices, faces = extract(
        cells, distances.flatten()[cells.vertices], flat, CellWeights.uniform(len(cells.indices), flat)
    )
    assert float((vertices.norm(dim=1) - 0.7).abs().max()) < 0.01
    corners = vertices[faces].double().numpy()
    volume = np.einsum("ij,ij->i", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() / 6
    assert volume == pytest.approx(4 / 3 * np.pi * 0.7**3, rel=0.02)
    edges = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).sort(dim=1).values
    assert torch.unique(edges, dim=0, return_counts=True)[1].eq(2).all()
