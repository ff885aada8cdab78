import json
from pathlib import Path

import numpy as np
import pytest

from meshcli.errors import InputError, ProjectError, UsageError
from meshcli.json_table import JsonTable
from meshcli.pictures.source_photo import SourcePhoto
from meshcli.views.camera import orbit
from meshcli.views.photo_cameras import (
    AlignedPose,
    CameraPrior,
    PhotoArgument,
    parse_photo_argument,
    priors_beside_photos,
    typed_priors,
    unknown_azimuths,
)
from meshcli.views.projection import project as project_points

CROP = (0.4, -0.1, 0.5, 1.0)  # of a 200 x 100 picture: a square frame to the right, reaching above


def test_an_angle_behind_the_last_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("photo.jpg", "logo@2x.png", "odd@45"):
        Path(name).write_bytes(b"x")
    assert parse_photo_argument("photo.jpg@45") == PhotoArgument(SourcePhoto(Path("photo.jpg")), 45.0)
    assert parse_photo_argument("photo.jpg@-12.5") == PhotoArgument(SourcePhoto(Path("photo.jpg")), -12.5)
    assert parse_photo_argument("logo@2x.png@90") == PhotoArgument(SourcePhoto(Path("logo@2x.png")), 90.0)
    assert parse_photo_argument("logo@2x.png") == PhotoArgument(SourcePhoto(Path("logo@2x.png")))
    assert parse_photo_argument("odd@45") == PhotoArgument(SourcePhoto(Path("odd@45")))


@pytest.mark.parametrize(
    ("word", "says"), [("120,240", "--azimuth"), ("-50", "--azimuth"), ("no.jpg@4", "no photo no.jpg")]
)
def test_a_photo_that_does_not_exist(word: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        parse_photo_argument(word)


def test_the_counts_must_fit() -> None:
    specs = [PhotoArgument(SourcePhoto(Path("a"))), PhotoArgument(SourcePhoto(Path("b")))]
    assert typed_priors(specs, [0, 40], [10], []) == [CameraPrior(0, 10), CameraPrior(40, 10)]
    with pytest.raises(UsageError, match="3 values for 2 photos"):
        typed_priors(specs, [0, 1, 2])
    with pytest.raises(UsageError, match="one for all or one per photo"):
        typed_priors(specs, [0, 1], [1, 2, 3])
    with pytest.raises(UsageError, match="given twice"):
        typed_priors([PhotoArgument(SourcePhoto(Path("a")), 4.0), specs[1]], [0, 1])
    with pytest.raises(UsageError, match="--fov"):
        typed_priors(specs, [0, 1], [], [200])


def test_the_line_to_type_is_exact() -> None:
    text = str(unknown_azimuths("meshcli align 'my desk'", ["a", "c"]))
    assert text.startswith("from which sides a, c were taken is not known; `meshcli align 'my desk'`")


def test_stated_azimuths_override_aligned_ones() -> None:
    found = AlignedPose(80.0, 1.25, 0.4, (260.0,))
    camera = CameraPrior(elevation=10.0, aligned=found).framed(CROP, 200, 100)
    assert (camera.azimuth, camera.elevation, camera.distance) == pytest.approx((80.0, 10.0, 3.2))
    assert camera.known == "aligned"
    given = CameraPrior(40.0, aligned=found).framed(CROP, 200, 100)
    assert (given.azimuth, given.distance, given.known) == (pytest.approx(40.0), pytest.approx(3.2), "given")
    whole = CameraPrior(fov=20.0, aligned=found).framed(CROP, 200, 100)
    nearer = CameraPrior(fov=20.0).framed(CROP, 200, 100)
    assert whole.distance == pytest.approx(nearer.distance / 1.25)


def test_alignment_survives_the_manifest() -> None:
    stated = CameraPrior(elevation=5.0, aligned=AlignedPose(80.0, 1.25, 0.4, (260.0, 10.0)))
    assert CameraPrior.read(JsonTable(stated.to_json(), "here", ProjectError)) == stated
    damaged = {**stated.to_json(), "aligned": {"azimuth": 0.0, "enlarged": 0.0, "confidence": 1.0, "others": []}}
    with pytest.raises(ProjectError, match="enlarged"):
        CameraPrior.read(JsonTable(damaged, "here", ProjectError))


def test_without_anything_the_frame_is_zero123plus_own() -> None:
    assert CameraPrior().framed(CROP, 200, 100) == orbit(0, 0)
    assert CameraPrior(40.0, 10.0).framed(CROP, 200, 100) == orbit(40, 10, known="given")


@pytest.mark.parametrize("elevation", [None, -20.0, 35.0])
def test_a_field_of_view_is_that_of_the_original(elevation: float | None) -> None:
    stated = CameraPrior(40.0, elevation, 45.0)
    framed = stated.framed(CROP, 200, 100)
    whole = stated.framed((0, 0, 1, 1), 200, 100)
    assert whole.fov == pytest.approx(45.0)
    assert (framed.azimuth, framed.elevation) == pytest.approx((40.0, elevation or 0.0))
    # The world's origin is in the middle of the frame, and a unit there is as large as the default would show it.
    origin, depth = project_points(framed, np.zeros((1, 3)), 100, 100)
    assert origin[0] == pytest.approx([50, 50])
    assert framed.fy / depth[0] == pytest.approx(orbit(0, 0).fy / 4.0)
    # The lens is that of the original: its principal point lies where the original's middle is, outside the frame.
    assert (framed.cx, framed.cy) == pytest.approx(((0.5 - CROP[0]) / CROP[2], (0.5 - CROP[1]) / CROP[3]))
    turn = np.array(framed.camera_to_world)[:3, :3]
    assert turn.T @ turn == pytest.approx(np.eye(3))
    assert np.linalg.det(turn) == pytest.approx(1.0)


def test_a_calibrated_camera_follows_the_frame() -> None:
    camera = orbit(70, 15, 3.0, 40.0, known="rig")
    framed = CameraPrior(camera=camera).framed(CROP, 200, 100)
    points = np.random.default_rng(0).normal(size=(20, 3)) * 0.3
    whole, _ = project_points(camera, points, 200, 100)
    part, _ = project_points(framed, points, 100, 100)
    assert part == pytest.approx(whole - [80, -10])
    assert framed.known == "rig"


def rig(folder: Path, *names: str) -> None:
    rows = [{"file": name, "camera": orbit(10, 5).to_json()} for name in names]
    (folder / "cameras.json").write_text(json.dumps({"meshcli": 1, "photos": rows}))


def test_a_rig_beside_the_photos_is_used_and_reported(photos: list[Path], tmp_path: Path) -> None:
    rig(tmp_path, "1.png", "2.png", "9.png")
    said: list[str] = []
    found = priors_beside_photos([SourcePhoto(path) for path in photos[:2]], said.append)
    assert found is not None
    assert [stated.camera.azimuth for stated in found if stated.camera] == pytest.approx([10, 10])
    assert [stated.camera.known for stated in found if stated.camera] == ["rig", "rig"]
    assert "cameras.json" in said[0]
    with pytest.raises(UsageError, match=r"no camera for 3\.png"):
        priors_beside_photos([SourcePhoto(path) for path in photos], said.append)


def test_a_rig_of_another_kind_is_not_used(photos: list[Path], tmp_path: Path) -> None:
    (tmp_path / "cameras.json").write_text('{"frames": []}')
    said: list[str] = []
    assert priors_beside_photos([SourcePhoto(photos[0])], said.append) is None
    assert "not in meshcli's format" in said[0]
    (tmp_path / "cameras.json").write_text('{"meshcli": 1, "photos": [{"file": "1.png", "camera": {"fx": 1}}]}')
    with pytest.raises(InputError, match=r"cameras\.json: 1\.png: camera"):
        priors_beside_photos([SourcePhoto(photos[0])], said.append)
