"""Hulls whose phantoms are known: where the cones of two balls cross, there are four."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from helpers.sphere_tracing import photograph
from meshcli.reconstructors.fit import Evidence
from meshcli.sdf.grid import DistanceFunction, Field, Grid
from meshcli.sdf.phantoms import find_phantoms
from meshcli.views.camera import orbit

Body = Callable[[np.ndarray], np.ndarray]
GRID = Grid.around(np.full(3, -1.0), np.full(3, 1.0), 70, 4)
BALLS = ((0.4, 0.4), (-0.4, -0.4))
PHANTOMS = ((0.48, -0.32), (-0.32, 0.48))  # where rays through the one, from one side, meet rays through the other


def balls(*places: tuple[float, float]) -> Body:
    return lambda points: (
        np.min([np.linalg.norm(points - np.array([*place, 0.0]), axis=-1) for place in places], 0) - 0.2
    )


def sampled(body: Body) -> DistanceFunction:
    def field(grid: Grid) -> Field:
        nodes = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1)
        return (body(grid.to_world(nodes)) / grid.voxel).astype(np.float32)

    return field


def depths(body: Field, *places: tuple[float, float]) -> list[float]:
    """Voxels inside a body, at some places of height 0."""
    return [-float(body[tuple(np.rint(GRID.to_lattice(np.array([*place, 0.0]))).astype(int))]) for place in places]


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    return Evidence.of([photograph(orbit(azimuth, 0.0), balls(*BALLS), 200) for azimuth in (0.0, 90.0)])


def still_filled(evidence: Evidence, body: Field) -> bool:
    hull = evidence.hull(GRID)
    return all(one.covered(body, GRID).sum() > 0.985 * one.covered(hull, GRID).sum() for one in evidence.silhouettes)


def test_balls_that_only_the_hull_has_are_cut_off(evidence):
    hull = evidence.hull(GRID)
    assert min(depths(hull, *BALLS, *PHANTOMS)) > 4
    found = find_phantoms(evidence.hull, sampled(balls(*BALLS)), evidence.silhouettes)
    assert found is not None
    body = replace(evidence, phantoms=found).hull(GRID)
    assert min(depths(body, *BALLS)) > 4
    assert max(depths(body, *PHANTOMS)) < -1
    assert still_filled(evidence, body)


def test_what_the_prior_suggests_is_kept(evidence):
    assert find_phantoms(evidence.hull, evidence.hull, evidence.silhouettes) is None


def test_silhouettes_stay_filled_where_the_prior_suggests_nothing(evidence):
    found = find_phantoms(evidence.hull, sampled(balls((9.0, 9.0))), evidence.silhouettes)
    assert found is not None
    assert still_filled(evidence, replace(evidence, phantoms=found).hull(GRID))


def test_a_part_that_one_silhouette_needs_is_kept(evidence):
    above = photograph(orbit(0.0, 50.0), balls(*BALLS, PHANTOMS[0]), 200)  # which shows a third ball
    views = [*(silhouette.view for silhouette in evidence.silhouettes), above]
    third = Evidence.of(views)
    prior = sampled(balls(*BALLS))
    unaware = find_phantoms(third.hull, prior, evidence.silhouettes)
    assert unaware is not None
    assert depths(replace(third, phantoms=unaware).hull(GRID), PHANTOMS[0])[0] < -1
    found = find_phantoms(third.hull, prior, third.silhouettes)
    body = replace(third, phantoms=found).hull(GRID)
    assert depths(third.hull(GRID), PHANTOMS[0])[0] > 4
    assert depths(body, PHANTOMS[0])[0] > 4


def test_an_empty_hull_has_none(evidence):
    nothing = sampled(lambda points: np.ones(points.shape[:-1]))
    assert find_phantoms(nothing, evidence.hull, evidence.silhouettes) is None
