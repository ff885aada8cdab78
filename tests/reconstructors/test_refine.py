"""Small meshes that are nearly right, refined with pictures of bodies that are known exactly."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh

from helpers.sphere_tracing import BALL, ROD, photograph, rod_on_ball
from helpers.thread_counts import mesh_digest
from meshcli.errors import InputError
from meshcli.meshes.mesh import Mesh
from meshcli.progress import silent
from meshcli.reconstructors import refine as module
from meshcli.reconstructors.refine import refine
from meshcli.reconstructors.specks import without_refuted_specks
from meshcli.settings import RefineSettings
from meshcli.views.camera import orbit, zero123plus_rig
from meshcli.views.view import View

SIZE = 128  # pixels
SETTINGS = RefineSettings(rounds=2)
CENTRE = np.array([0.0, 0.0, -0.3])  # of the ball


@pytest.fixture(autouse=True)
def few_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Meshes small enough for quick tests."""
    monkeypatch.setattr(module, "MAX_FACES", 8000)
    monkeypatch.setattr(module, "MAX_COLOURED_FACES", 8000)


def mesh_of(*bodies: trimesh.Trimesh) -> Mesh:
    body = trimesh.util.concatenate(bodies)
    return Mesh(body.vertices.astype(np.float32), body.faces.astype(np.int32))


def ball_mesh(radius: float = BALL, offset: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> trimesh.Trimesh:
    body = trimesh.creation.icosphere(4, radius=radius)
    body.apply_translation(CENTRE + offset)
    return body


def rod_mesh(radius: float, offset: tuple[float, float, float]) -> trimesh.Trimesh:
    body = trimesh.creation.capsule(height=0.6, radius=radius, count=(24, 24))
    body = body.subdivide_to_size(0.06)
    body.merge_vertices()
    body.apply_translation(np.array([0.0, 0.0, 0.45]) + offset)
    return body


def ball(points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points - CENTRE, axis=-1) - BALL


def rig_views() -> list[View]:
    return [photograph(camera, size=SIZE) for camera in zero123plus_rig()]


def ball_views(azimuths: tuple[float, ...] = (0, 60, 120, 180, 240, 300)) -> list[View]:
    return [photograph(orbit(azimuth, 10.0), ball, SIZE) for azimuth in azimuths]


def error(mesh: Mesh) -> float:
    return float(np.abs(ball(mesh.vertices.astype(np.float64))).mean())


@pytest.mark.slow
def test_a_surface_moves_to_the_truth_and_a_thin_rod_with_it() -> None:
    given = mesh_of(ball_mesh(BALL + 0.03), rod_mesh(0.05, (0.03, -0.03, 0.0)))
    works: list[str] = []
    mesh = refine(given, rig_views(), SETTINGS, lambda done, total, what: works.append(what))
    outside = rod_on_ball(given.vertices.astype(np.float64)) > -0.02
    before = np.abs(rod_on_ball(given.vertices[outside].astype(np.float64))).mean()
    inside_ball = ball(mesh.vertices.astype(np.float64)) < -0.06  # the end of the rod, which nobody sees
    after = np.abs(rod_on_ball(mesh.vertices[~inside_ball].astype(np.float64))).mean()
    assert before > 0.02
    assert after < 0.4 * before
    rod = mesh.vertices[(mesh.vertices[:, 2] > 0.35) & (mesh.vertices[:, 2] < 0.65)]
    around = rod[:, :2] - rod[:, :2].mean(axis=0)
    assert np.linalg.norm(rod[:, :2].mean(axis=0)) < 0.018  # of 0.042
    assert np.linalg.norm(around, axis=1).mean() == pytest.approx(ROD, abs=0.02)
    assert mesh.vertices[:, 2].max() == pytest.approx(0.8 + ROD, abs=0.03)
    assert mesh.colours is not None
    assert list(dict.fromkeys(works)) == [
        "reading the mesh", "removing ripples", "following the views", "smoothing the surface", "colouring the surface"
    ]  # fmt: skip


def test_what_no_picture_shows_stays() -> None:
    given = mesh_of(ball_mesh(BALL - 0.04))
    mesh = refine(given, ball_views((-20, 0, 20)), SETTINGS, silent)
    radius = np.linalg.norm(mesh.vertices - CENTRE, axis=1)
    back = mesh.vertices[:, 0] < -0.4
    outline = np.abs(mesh.vertices[:, 0]) < 0.1
    assert radius[back].max() < BALL - 0.02  # less than half the way
    assert radius[outline].mean() == pytest.approx(BALL, abs=0.01)


def test_no_point_moves_beyond_the_reach() -> None:
    given = mesh_of(ball_mesh(BALL - 0.05))
    for reach in (0.0, 0.02):
        mesh = refine(given, ball_views(), replace(SETTINGS, reach=reach), silent)
        radius = np.linalg.norm(mesh.vertices - CENTRE, axis=1)
        assert radius.max() <= BALL - 0.05 + reach + 1e-5
        assert radius.min() >= BALL - 0.05 - reach - 0.002  # facets lie a little inside


def tilt(mesh: Mesh) -> float:
    """Mean angle in degrees between the faces of a ball and the directions from its centre."""
    body = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    outwards = body.triangles_center - CENTRE
    cosine = np.einsum("fk,fk->f", body.face_normals, outwards) / np.linalg.norm(outwards, axis=1)
    return float(np.degrees(np.arccos(cosine.clip(-1, 1))).mean())


def test_ripples_are_removed() -> None:
    given = mesh_of(ball_mesh())
    rippled = replace(given, vertices=(given.vertices * (1 + 0.004 * np.sin(80 * given.vertices))).astype(np.float32))
    mesh = refine(rippled, ball_views(), SETTINGS, silent)
    assert tilt(mesh) < 0.65 * tilt(rippled)


def test_an_open_mesh_is_refined() -> None:
    whole = ball_mesh(BALL - 0.04)
    top = Mesh(
        whole.vertices.astype(np.float32),
        whole.faces[whole.triangles_center[:, 2] > CENTRE[2] - 0.2].astype(np.int32),
    )
    assert error(refine(top, ball_views(), SETTINGS, silent)) < 0.02


def test_a_mesh_inside_out_is_turned() -> None:
    given = mesh_of(ball_mesh(BALL - 0.04))
    turned = replace(given, faces=np.ascontiguousarray(given.faces[:, ::-1]))
    first, second = (refine(mesh, ball_views(), SETTINGS, silent) for mesh in (given, turned))
    assert error(first) < 0.015
    assert error(second) == pytest.approx(error(first), abs=0.003)
    a, b, c = (second.vertices[second.faces[:, k]] - CENTRE for k in range(3))
    assert (a * np.cross(b, c)).sum() > 0


def test_unwelded_and_oversized_meshes() -> None:
    body = trimesh.creation.icosphere(5, radius=BALL - 0.03)  # 20,480 faces
    corners = (body.vertices + CENTRE)[body.faces].reshape(-1, 3)
    soup = Mesh(corners.astype(np.float32), np.arange(len(corners), dtype=np.int32).reshape(-1, 3))
    notes: list[str] = []
    mesh = refine(soup, ball_views(), SETTINGS, silent, notes.append)
    assert notes == ["the mesh has 20,480 faces: it is reduced to 8,000 before it is refined"]
    assert error(mesh) < 0.015


def speck(offset: tuple[float, float, float]) -> trimesh.Trimesh:
    """Twenty faces, 1 % of 2000."""
    body = trimesh.creation.icosphere(0, radius=0.04)
    body.apply_translation(CENTRE + offset)
    return body


def test_specks_that_a_view_refutes_are_dropped() -> None:
    beside, inside, big = speck((0.9, 0.0, 0.3)), speck((0.1, 0.0, 0.0)), trimesh.creation.icosphere(2, radius=0.04)
    big.apply_translation(CENTRE + np.array([0.9, 0.0, -0.3]))  # 320 faces, more than a speck
    given = mesh_of(ball_mesh(), beside, inside, big)
    (vertices, faces), count = without_refuted_specks(given.vertices.astype(np.float64), given.faces, ball_views())
    assert count == 1
    assert len(given.faces) - len(faces) == len(beside.faces)
    assert not (vertices[:, [0, 2]] > CENTRE[[0, 2]] + (0.7, 0.2)).all(axis=1).any()
    notes: list[str] = []
    refine(mesh_of(ball_mesh(), beside), ball_views(), SETTINGS, silent, notes.append)
    assert notes == ["dropped 1 floating speck where views show nothing"]


def test_specks_outside_the_pictures_and_a_mesh_of_specks_stay() -> None:
    for given in (mesh_of(ball_mesh(), speck((9.0, 0.0, 0.0))), mesh_of(speck((0.9, 0.0, 0.3)))):
        triangles, count = without_refuted_specks(given.vertices.astype(np.float64), given.faces, ball_views((90,)))
        assert count == 0
        assert len(triangles[1]) == len(given.faces)


@pytest.mark.parametrize(("shift", "trust"), [(0, module.AGREEING), (2, module.CONTRADICTORY), (6, module.FAR_APART)])
def test_outlines_are_trusted_as_far_as_silhouettes_agree(shift: int, trust: module.Trust) -> None:
    views = ball_views()
    shifted = replace(views[0], pixels=np.roll(views[0].pixels, shift, axis=0))
    assert module.trust_in([shifted, *views[1:]]) == trust


def test_views_without_silhouettes_are_not_trusted_more() -> None:
    assert module.trust_in([replace(view, pixels=view.pixels * 0) for view in ball_views()]) == module.CONTRADICTORY


def test_outlines_far_apart_bend_a_surface_less() -> None:
    given = mesh_of(ball_mesh())
    views = [replace(view, pixels=np.roll(view.pixels, 12 * (i % 2), axis=0)) for i, view in enumerate(ball_views())]
    assert module.trust_in(views) == module.FAR_APART
    far_apart = refine(given, views, SETTINGS, silent)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "FAR_APART", module.CONTRADICTORY)
        softer = refine(given, views, SETTINGS, silent)
    assert tilt(far_apart) < 0.7 * tilt(softer)


@pytest.mark.slow
def test_the_number_of_threads_does_not_change_the_mesh() -> None:
    expression = "t.refine(t.mesh_of(t.ball_mesh(0.47)), t.ball_views(), t.SETTINGS, t.silent)"
    assert mesh_digest(1, __name__, expression) == mesh_digest(2, __name__, expression)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda mesh: replace(mesh, faces=mesh.faces[:0]), "no faces"),
        (lambda mesh: replace(mesh, vertices=mesh.vertices * np.float32(np.nan)), "not finite"),
        (lambda mesh: replace(mesh, faces=mesh.faces + len(mesh.vertices)), "does not have"),
        (lambda mesh: replace(mesh, vertices=mesh.vertices * 0), "no view sees"),
        (lambda mesh: replace(mesh, vertices=mesh.vertices + 9), "no view sees"),
    ],
)
def test_hostile_meshes(spoil: object, message: str) -> None:
    assert callable(spoil)
    with pytest.raises(InputError, match=message):
        refine(spoil(mesh_of(ball_mesh())), ball_views((0,)), SETTINGS, silent)
