"""Thin, small and torn bodies whose distances are known exactly."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.ndimage import label
from scipy.sparse.csgraph import connected_components

from helpers.paths import SHEETS, needs_shared_data
from helpers.sphere_tracing import photograph
from meshcli.generators.photos import split_view_sheet
from meshcli.meshes.mesh import adjacency
from meshcli.meshes.raycasting import Scene
from meshcli.pictures.foreground import plain_background_alpha
from meshcli.pictures.image import load_picture
from meshcli.progress import silent
from meshcli.reconstructors.fit import Evidence, fit, fit_sdf
from meshcli.sdf.grid import Field, Grid
from meshcli.sdf.lost_parts import Silhouette, join_pieces, restore_lost_parts
from meshcli.settings import FitSettings
from meshcli.views.camera import zero123plus_rig
from meshcli.views.view import View

Body = Callable[[np.ndarray], np.ndarray]
Point = tuple[float, float, float]
GRID = Grid.around(np.full(3, -1.0), np.full(3, 1.0), 60, 5)
QUICK = FitSettings((16, 28), (20, 15), 2000)


def ball(centre: Point, radius: float) -> Body:
    return lambda points: np.linalg.norm(points - np.array(centre), axis=-1) - radius


def rod(start: Point, end: Point, radius: float) -> Body:
    a, b = np.array(start), np.array(end)

    def distance(points: np.ndarray) -> np.ndarray:
        share = np.clip((points - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)
        return np.linalg.norm(points - a - share[..., None] * (b - a), axis=-1) - radius

    return distance


def together(*bodies: Body) -> Body:
    return lambda points: np.min([body(points) for body in bodies], axis=0)


def sampled(body: Body, grid: Grid = GRID) -> Field:
    nodes = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1)
    return (body(grid.to_world(nodes)) / grid.voxel).astype(np.float32)


def silhouettes(body: Body) -> list[Silhouette]:
    return [Silhouette.of(photograph(camera, body)) for camera in zero123plus_rig()]


def pieces(distance: Field) -> int:
    return int(label(distance < 0)[1])


LOLLIPOP = (ball((0, 0, 0.4), 0.35), rod((0, 0, -0.8), (0, 0, 0.2), 0.07))


def test_existing_parts_are_unchanged() -> None:
    whole = sampled(together(*LOLLIPOP))
    distance, hull = restore_lost_parts(whole, whole, GRID, silhouettes(together(*LOLLIPOP)), 0)
    assert distance is whole
    assert hull is whole


def test_a_lost_stick_comes_back_and_nothing_else_does() -> None:
    whole = sampled(together(*LOLLIPOP))
    roomy = sampled(together(*LOLLIPOP, ball((0.7, 0.7, 0.5), 0.2)))  # no silhouette shows the second ball
    distance, _ = restore_lost_parts(sampled(LOLLIPOP[0]), roomy, GRID, silhouettes(together(*LOLLIPOP)), 0)
    inside, wanted = distance < 0, whole < 0
    assert np.count_nonzero(inside & wanted) / np.count_nonzero(inside | wanted) > 0.9
    assert not inside[sampled(ball((0.7, 0.7, 0.5), 0.25)) < 0].any()


def test_a_part_thinner_than_a_voxel_comes_back_as_thick_as_the_grid_can_hold() -> None:
    wire = rod((0.01, 0.012, -0.8), (0.01, 0.012, 0.2), 0.012)  # a third of a voxel
    seen = [
        Silhouette.of(photograph(camera, together(LOLLIPOP[0], rod((0.01, 0.012, -0.8), (0.01, 0.012, 0.2), 0.03))))
        for camera in zero123plus_rig()
    ]
    distance, _ = restore_lost_parts(sampled(LOLLIPOP[0]), sampled(together(LOLLIPOP[0], wire)), GRID, seen, 0)
    assert pieces(distance) == 1
    assert GRID.to_world(np.argwhere(distance < 0))[:, 2].min() == pytest.approx(-0.8, abs=0.1)


def test_a_torn_stick_is_joined_inside_the_hull() -> None:
    torn = together(LOLLIPOP[0], rod((0, 0, -0.8), (0, 0, -0.25), 0.07))
    whole = sampled(together(*LOLLIPOP))
    assert pieces(sampled(torn)) == 2
    found = join_pieces(sampled(torn), whole, GRID, silhouettes(together(*LOLLIPOP)), 0)
    assert pieces(found.distance) == 1
    assert (whole[found.distance < 0] < 0.5).all()
    assert found.sentence == "1 floating piece joined to the body"


def test_pieces_that_a_silhouette_shows_apart_stay_apart() -> None:
    two = together(ball((0, 0, 0.5), 0.3), ball((0, 0, -0.5), 0.3))
    bridge = sampled(together(two, rod((0, 0, -0.5), (0, 0, 0.5), 0.1)))
    found = join_pieces(sampled(two), bridge, GRID, silhouettes(two), 0)
    assert pieces(found.distance) == 2
    assert not found.sentence


def test_parts_in_no_silhouette_are_removed() -> None:
    body = ball((0, 0, 0), 0.6)
    floater = sampled(together(body, ball((0.85, 0.85, 0), 0.1)))
    hollow = np.maximum(floater, -sampled(ball((0, 0, 0), 0.3)))
    found = join_pieces(hollow, hollow, GRID, silhouettes(body), 0)
    assert pieces(found.distance) == 1
    assert found.distance[tuple(np.array(GRID.shape) // 2)] < 0  # the cave is filled
    assert found.sentence == "1 floating piece that no picture shows dropped"


@pytest.mark.slow
def test_eight_small_things_stay_eight() -> None:
    angles = np.arange(8) * np.pi / 4
    eight = together(*(ball((0.7 * np.cos(a), 0.7 * np.sin(a), 0), 0.11) for a in angles))
    shape = fit_sdf(Evidence.of([photograph(camera, eight) for camera in zero123plus_rig()]), QUICK, 0, silent)
    assert pieces(shape.distance) == 8


STANDING, LYING, LEANING = (
    ((0.0, 0.0, -0.9), (0.0, 0.0, 0.9)),
    ((-0.8, 0.3, 0.0), (0.8, -0.3, 0.0)),
    ((-0.5, 0.4, -0.6), (0.5, -0.4, 0.6)),
)


@pytest.mark.slow
@pytest.mark.parametrize("ends", [STANDING, LYING, LEANING])
@pytest.mark.parametrize("radius", [0.036, 0.072])
def test_thin_things_keep_their_silhouettes(ends: tuple[Point, Point], radius: float) -> None:
    views = [photograph(camera, rod(*ends, radius), 256) for camera in zero123plus_rig()]
    mesh = fit(views, FitSettings((32, 64), (30, 25), 3000), 0, silent)
    scene = Scene(mesh.vertices, mesh.faces)
    for view in views:
        each = Silhouette.of(view)
        found = np.zeros(each.mask.shape, bool)
        found[each.mask] = scene.cast(each.origins, each.directions).faces >= 0
        assert found.sum() > 0.9 * each.mask.sum()
    assert np.percentile(rod(*ends, radius)(mesh.vertices.astype(np.float64)), 95) < 0.02


def test_parts_about_a_voxel_thick_are_reported() -> None:
    notes: list[str] = []
    views = [photograph(camera, rod((0, 0, -0.9), (0, 0, 0.9), 0.02)) for camera in zero123plus_rig()]
    mesh = fit(views, FitSettings((24,), (5,), 500), 0, silent, notes.append)
    assert len(mesh.faces)
    assert any("voxel" in note for note in notes)


@pytest.mark.slow
@needs_shared_data
@pytest.mark.parametrize("name", ["fox", "plant"])
def test_a_painted_object_is_one_piece(name: str) -> None:
    """Legs and stems tear where the painted views disagree: fox lost both front paws, plant its flowers."""
    views = []
    for tile, (picture, camera) in enumerate(
        zip(split_view_sheet(load_picture(SHEETS / f"{name}.png")), zero123plus_rig(), strict=True)
    ):
        alpha = plain_background_alpha(picture[..., :3])
        assert alpha is not None
        views.append(View(str(tile), np.dstack([picture[..., :3], alpha]), camera))
    mesh = fit(views, FitSettings(), 0, silent)
    _, part = connected_components(adjacency(mesh.faces, len(mesh.vertices)), directed=False)
    assert len(np.unique(part[mesh.faces])) == 1
