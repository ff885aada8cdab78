from typing import Any

import numpy as np
import pytest
import torch
from lrm_golden import FOLDER, arrays, facts, largest, needs_golden

from meshcli.lrm.flexicubes import Weights, crossed_cells, extract, tables

GRIDS = ("g16", "g32")


@pytest.fixture(scope="module")
def golden() -> dict[str, torch.Tensor]:
    return arrays("flexicubes_analytic") if FOLDER.is_dir() else {}


def cases() -> list[dict[str, Any]]:
    return facts("flexicubes_analytic")["cases"] if FOLDER.is_dir() else []


@needs_golden
@pytest.mark.parametrize("case", cases(), ids=lambda case: f"{case['grid']}-{case['shape']}-{case['mode']}")
def test_analytic_shapes(case: dict[str, Any], golden: dict[str, torch.Tensor]) -> None:
    grid, name = f"g{case['grid']}", f"g{case['grid']}_{case['shape']}"
    distances, positions = golden[f"{name}_sdf"], golden[f"{grid}_verts"]
    cells = crossed_cells(distances.view((case["grid"] + 1,) * 3))
    weights = Weights.plain(len(cells.places), positions)
    if case["mode"] == "random":
        positions = positions + golden[f"{grid}_deformation"]
        weights = Weights.from_raw(golden[f"{grid}_weight"].float()[cells.places])
    vertices, faces = extract(cells, distances[cells.vertices], positions[cells.vertices], weights)
    assert largest(vertices, golden[f"{name}_{case['mode']}_vertices"]) < 1e-5
    assert torch.equal(faces.int(), golden[f"{name}_{case['mode']}_faces"])


@needs_golden
def test_tables_are_the_published_numbers() -> None:
    published, ours = arrays("flexicubes_tables"), tables(torch.device("cpu"))
    assert torch.equal(ours.loops, published["dmc_table"].long())
    assert torch.equal(ours.ambiguous, published["check_table"].long())
    assert torch.equal(ours.corners, published["cube_corners"].long())
    assert torch.equal(ours.edges, published["cube_edges"].long())
    assert torch.equal((ours.loops[..., 0] >= 0).sum(dim=1), published["num_vd_table"].long())


def test_a_ball_is_closed_and_faces_look_outwards() -> None:
    axis = torch.linspace(-1, 1, 25)
    points = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1)
    distances = points.norm(dim=-1) - 0.7
    cells = crossed_cells(distances)
    flat = points.view(-1, 3)[cells.vertices]
    vertices, faces = extract(cells, distances.flatten()[cells.vertices], flat, Weights.plain(len(cells.places), flat))
    assert float((vertices.norm(dim=1) - 0.7).abs().max()) < 0.01
    corners = vertices[faces].double().numpy()
    volume = np.einsum("ij,ij->i", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() / 6
    assert volume == pytest.approx(4 / 3 * np.pi * 0.7**3, rel=0.02)
    edges = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).sort(dim=1).values
    assert torch.unique(edges, dim=0, return_counts=True)[1].eq(2).all()
