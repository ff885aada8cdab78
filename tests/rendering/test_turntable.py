from itertools import pairwise
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
import trimesh

from helpers.painted_ball import ball, ball_views
from helpers.paths import SHEETS, needs_shared_data
from helpers.recorded_frames import record_frames
from meshcli.generators.photos import split_view_sheet, with_silhouette
from meshcli.meshes.mesh import Mesh
from meshcli.pictures.image import load_picture, over
from meshcli.progress import silent
from meshcli.reconstructors.fit import fit
from meshcli.rendering import turntable
from meshcli.rendering.renderer import Renderer
from meshcli.rendering.turntable import STILLS, MeshPictures
from meshcli.rendering.z_buffer import ZBuffer
from meshcli.settings import FitSettings, PhotoSettings, RenderSettings
from meshcli.views.camera import orbit, zero123plus_rig
from meshcli.views.view import View

SMALL = RenderSettings(size=48, frames=5, samples=1)


def test_the_turntable_goes_round_once(tmp_path: Path) -> None:
    MeshPictures(ball(3), SMALL).turntable(tmp_path / "t.mp4")
    reader = imageio_ffmpeg.read_frames(str(tmp_path / "t.mp4"))
    assert next(reader)["size"] == (48, 48)
    frames = [np.frombuffer(frame, np.uint8).astype(int) for frame in reader]
    assert len(frames) == 5
    assert min(np.abs(a - b).mean() for a, b in pairwise(frames)) > 2


def test_stills_have_transparent_backgrounds() -> None:
    stills = MeshPictures(ball(3), SMALL).stills()
    assert set(stills) == set(STILLS)
    assert all(
        still.shape == (48, 48, 4) and still[0, 0, 3] == 0 and still[24, 24, 3] == 255 for still in stills.values()
    )


def test_the_sheet_shows_the_mesh_under_its_views() -> None:
    sheet = MeshPictures(ball(5), SMALL).contact_sheet(ball_views()).astype(int)
    above, below = sheet[28 : 28 + 256], sheet[28 + 268 : 28 + 268 + 256]
    assert np.abs(above - below).mean() < 6


def moved(body: trimesh.Trimesh, *by: float) -> Mesh:
    return Mesh((body.vertices + np.array(by or (0, 0, 0))).astype(np.float32), body.faces.astype(np.int32))


def pole(axis: int, length: float = 2.6) -> trimesh.Trimesh:
    extents = np.full(3, 0.08)
    extents[axis] = length
    return trimesh.creation.box(extents)


LARGE = {
    "reaches 1.3": moved(trimesh.creation.icosphere(3, radius=1.3)),
    "a cube with corners at 1.65": moved(trimesh.creation.box((1.9, 1.9, 1.9))),
    "a lying pole": moved(pole(0)),
    "a pole that lies the other way": moved(pole(1)),
    "a standing pole": moved(pole(2)),
    "off the centre": moved(trimesh.creation.icosphere(2, radius=0.4), 0.9, -0.7, 0.5),
    "far away": moved(trimesh.creation.icosphere(2, radius=0.4), 20, 3, -7),
    "small and high up": moved(trimesh.creation.icosphere(2, radius=0.1), 0, 0, 1.2),
    "large": moved(trimesh.creation.box((30, 20, 3))),
}


def border(picture: np.ndarray) -> np.ndarray:
    return np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])


@pytest.fixture
def frames(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """What is handed to the encoder, to the bit."""
    return record_frames(monkeypatch, turntable)


@pytest.mark.parametrize("elevation", [15.0, -60.0, 90.0])
@pytest.mark.parametrize("mesh", LARGE.values(), ids=LARGE)
def test_no_frame_of_a_turntable_is_cut(mesh: Mesh, elevation: float, frames: list[np.ndarray]) -> None:
    MeshPictures(mesh, RenderSettings(size=40, frames=24, elevation=elevation)).turntable(Path())
    assert len(frames) == 24
    assert all((border(frame) == 255).all() for frame in frames)
    assert all((frame != 255).any() for frame in frames)


@pytest.mark.parametrize("mesh", LARGE.values(), ids=LARGE)
def test_no_still_is_cut(mesh: Mesh) -> None:
    for still in MeshPictures(mesh, RenderSettings(size=40)).stills().values():
        assert (border(still) == (255, 255, 255, 0)).all()
        assert still[..., 3].any()


def test_objects_that_fit_are_seen_from_the_views_distance(frames: list[np.ndarray]) -> None:
    """Framing looks at the mesh only where it would be cut: the pictures of an aligned object are as they were."""
    mesh, settings = ball(3, radius=0.949), RenderSettings(size=48, frames=3)
    MeshPictures(mesh, settings).turntable(Path())
    renderer = Renderer(mesh, ZBuffer(mesh.vertices, mesh.faces))
    for index, frame in enumerate(frames):
        usual = renderer.render(orbit(120.0 * index, settings.elevation), 48, 48, settings.samples, adaptive=True)
        assert np.array_equal(frame, over(usual))


@pytest.mark.slow
@needs_shared_data
@pytest.mark.parametrize("name", ["fox", "lamp", "chair_wood"])
def test_a_painted_sheet_is_shown_whole(name: str, frames: list[np.ndarray]) -> None:
    """What a view generator paints is not aligned: fox reaches 1.21, lamp 1.07, chair_wood 1.24."""
    pictures = split_view_sheet(load_picture(SHEETS / f"{name}.png"))
    views = [
        View(str(tile), with_silhouette(picture, PhotoSettings(), offline=True), camera)
        for tile, (picture, camera) in enumerate(zip(pictures, zero123plus_rig(), strict=True))
    ]
    mesh = fit(views, FitSettings((24, 40), (40, 40), 4000), 0, silent)
    assert np.linalg.norm(mesh.vertices, axis=1).max() > 1.035  # what a camera at the usual distance holds
    show = MeshPictures(mesh, RenderSettings(size=96, frames=60, samples=2))
    show.turntable(Path())
    assert len(frames) == 60
    assert all((border(frame) == 255).all() for frame in frames)
    assert all((border(still)[:, 3] == 0).all() for still in show.stills().values())
