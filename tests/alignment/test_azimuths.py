"""Turning views of one object until they agree. The object is painted and lopsided, so there is one right answer."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import trimesh

from meshcli.alignment import azimuths
from meshcli.alignment.azimuths import ViewSet, register
from meshcli.meshes.mesh import Mesh
from meshcli.rendering.renderer import Renderer
from meshcli.settings import FitSettings
from meshcli.views.camera import zero123plus_rig
from meshcli.views.view import View

ROUGH = FitSettings(resolutions=(28, 40), steps=(30, 20), rays=3000)


def lamp() -> Mesh:
    """A column with an arm to one side and a box behind."""
    column = trimesh.creation.cylinder(0.3, 1.5, sections=48)
    arm = trimesh.creation.box((0.7, 0.25, 0.25), trimesh.transformations.translation_matrix((0.5, 0.0, 0.4)))
    box = trimesh.creation.box((0.3, 0.5, 0.4), trimesh.transformations.translation_matrix((-0.1, 0.45, -0.4)))
    body = trimesh.util.concatenate([part.subdivide_to_size(0.08) for part in (column, arm, box)])
    x, y, z = body.vertices.T
    colours = np.stack([120 + 90 * x, 120 + 90 * y, 130 + 60 * np.sin(6 * z)], axis=-1).clip(0, 255)
    return Mesh(body.vertices.astype(np.float32), body.faces.astype(np.int32), colours.astype(np.uint8))


def pole() -> Mesh:
    """The same from every side."""
    body = trimesh.creation.cylinder(0.5, 1.4, sections=96).subdivide_to_size(0.1)
    return Mesh(body.vertices.astype(np.float32), body.faces.astype(np.int32), np.full((len(body.vertices), 3), 150))


def view_set(mesh: Mesh, name: str, azimuth: float, enlarged: float) -> ViewSet:
    renderer = Renderer(mesh)
    views = [
        View(f"{name}{tile}", renderer.render(seen, 128, 128, samples=2), own)
        for tile, (seen, own) in enumerate(zip(zero123plus_rig(azimuth, enlarged), zero123plus_rig(0.0), strict=True))
    ]
    return ViewSet(name, views)


@pytest.fixture(scope="module", autouse=True)
def _bodies() -> Iterator[None]:
    """The same views have the same body, so it is fitted once; most of the time goes there."""
    fitted: dict[tuple[bytes, ...], Mesh] = {}

    def once(views: Sequence[View], *rest: Any) -> Mesh:
        key = tuple(view.pixels.tobytes() for view in views)
        if key not in fitted:
            fitted[key] = fit(views, *rest)
        return fitted[key]

    fit = azimuths.fit
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(azimuths, "fit", once)
        yield


@pytest.fixture(scope="module")
def lamps() -> list[ViewSet]:
    mesh = lamp()
    return [view_set(mesh, "a", 0.0, 0.7), view_set(mesh, "b", 47.0, 1.0), view_set(mesh, "c", 205.0, 0.85)]


def off(a: float, b: float) -> float:
    return abs((a - b + 180.0) % 360.0 - 180.0)


@pytest.mark.slow
def test_turns_and_sizes_are_found(lamps: list[ViewSet]) -> None:
    placements = register(lamps, body=ROUGH)
    best = [placement.answers[0] for placement in placements]
    assert [placement.name for placement in placements] == ["a", "b", "c"]
    assert best[0].azimuth == 0.0
    assert off(best[1].azimuth, 47.0) < 3.0
    assert off(best[2].azimuth, 205.0) < 3.0
    assert [pose.enlarged for pose in best] == pytest.approx([1.0, 1.0 / 0.7, 0.85 / 0.7], rel=0.03)
    assert min(placement.confidence for placement in placements) > 0.3


@pytest.mark.slow
def test_known_sides_are_not_touched(lamps: list[ViewSet]) -> None:
    sets = [lamps[0], replace(lamps[1], azimuth=60.0)]
    placements = register(sets, body=ROUGH)
    assert placements[1].answers[0].azimuth == 60.0
    assert off(placements[0].answers[0].azimuth, 13.0) < 3.0
    both = register([replace(sets[0], azimuth=20.0), sets[1]], body=ROUGH)
    assert [placement.answers[0].azimuth for placement in both] == [20.0, 60.0]
    assert both[0].answers[0].enlarged / both[1].answers[0].enlarged == pytest.approx(0.7, rel=0.1)


@pytest.mark.slow
def test_an_object_that_is_the_same_from_every_side_has_no_one_answer() -> None:
    mesh = pole()
    placement = register([view_set(mesh, "a", 0.0, 1.0), view_set(mesh, "b", 20.0, 1.0)], body=ROUGH)[1]
    assert len(placement.answers) > 1
    assert placement.confidence == pytest.approx(9 / 72, abs=0.05)  # the share of azimuths within 20 degrees
