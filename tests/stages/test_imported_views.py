"""Photos as views, ready views and sheets, rigs of other programs."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.paths import SHARED, needs_shared_data
from meshcli.errors import InputError, UsageError
from meshcli.pictures.image import join_sheet, split_sheet
from meshcli.project.project import Project
from meshcli.stages.generate import generate_views
from meshcli.stages.photo_set import CameraArguments
from meshcli.stages.run import select_arguments
from meshcli.stages.select import select_views
from meshcli.stages.stage_runner import RunOptions
from meshcli.stages.status import read_status
from meshcli.views.camera import orbit, zero123plus_rig
from meshcli.views.photo_cameras import pictures_of_rig

VIEWS = SHARED / "data/views"


def tiles() -> list[np.ndarray]:
    """Six pictures of (320, 320, 3), no two alike, on a background that is nearly white."""
    made = []
    for tile in range(6):
        pixels = np.full((320, 320, 3), 247, np.uint8)
        pixels[60 : 200 + 10 * tile, 100:220] = (40 * tile, 90, 200 - 30 * tile)
        made.append(pixels)
    return made


def sheet(folder: Path, columns: int = 2, name: str = "sheet.png") -> Path:
    Image.fromarray(join_sheet(tiles(), columns)).save(folder / name)
    return folder / name


SHEET = CameraArguments(ready="sheet 1.2")


@pytest.mark.parametrize("columns", [2, 3, 6])
def test_a_sheet_becomes_six_views(
    columns: int, project: Project, tmp_path: Path, engine_calls: dict[str, int]
) -> None:
    generate_views(project, [sheet(tmp_path, columns)], SHEET)
    manifest = project.load()
    assert [view.name for view in manifest.views] == ["a0", "a1", "a2", "a3", "a4", "a5"]
    assert [view.camera for view in manifest.views] == zero123plus_rig(0.0)
    assert {view.engine for view in manifest.views} == {"photos"}
    for view, tile in zip(manifest.views, tiles(), strict=True):
        with Image.open(project.path(view.file)) as picture:
            pixels = np.asarray(picture)
        assert np.array_equal(pixels[..., :3], tile)  # what the generator painted, the background too
        inside = (tile != 247).any(axis=-1)
        assert ((pixels[..., 3] >= 128) == inside).mean() > 0.99
    assert engine_calls["sculpt"] == 0
    select_views(project, "all")
    with Image.open(project.path("selection.png")) as chosen:
        assert np.array_equal(np.asarray(chosen), join_sheet(tiles(), 2))


@pytest.mark.slow
def test_sheets_at_angles_and_of_another_version(
    project: Project, tmp_path: Path, engine_calls: dict[str, int]
) -> None:
    first, second = sheet(tmp_path), sheet(tmp_path, 3, "second.png")
    generate_views(project, [first, second], CameraArguments([0, 40], ready="sheet 1.1"))
    views = project.load().views
    assert [view.name for view in views[5:8]] == ["a5", "b0", "b1"]
    assert views[7].camera == zero123plus_rig(40.0, known="given", version="1.1")[1]
    assert views[7].camera.elevation == pytest.approx(-20)
    assert generate_views(project).skipped
    generate_views(project, typed=CameraArguments([0, 50]))
    assert project.load().views[7].camera == zero123plus_rig(50.0, known="given", version="1.1")[1]


@pytest.mark.parametrize(
    ("typed", "engine", "says"),
    [
        (CameraArguments(elevations=[5], ready="sheet 1.2"), "auto", "only --azimuth"),
        (SHEET, "sculpt", "not painted again by sculpt"),
    ],
)
def test_pictures_that_are_no_sheets(
    typed: CameraArguments, engine: str, says: str, project: Project, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=says):
        generate_views(project, [sheet(tmp_path)], typed, engine=engine)  # type: ignore[arg-type]
    assert not project.root.exists()


def test_a_sheet_of_another_shape(
    project: Project, tmp_path: Path, photos: list[Path], engine_calls: dict[str, int]
) -> None:
    with pytest.raises(InputError, match=r"1\.png: a sheet of 120 x 90 pixels is not six square views: 640 x 960"):
        generate_views(project, [photos[0]], SHEET)


def test_photos_and_sheets_do_not_mix(
    project: Project, tmp_path: Path, photos: list[Path], engine_calls: dict[str, int]
) -> None:
    generate_views(project, [f"{photos[0]}@0"])
    with pytest.raises(UsageError, match="either photos or ready views"):
        generate_views(project, [f"{sheet(tmp_path)}@90"], SHEET, add=True)


@needs_shared_data
@pytest.mark.parametrize(
    "name",
    [
        "white/fox.png",
        pytest.param("grey/fish.png", marks=pytest.mark.slow),
        pytest.param("grey/teapot_strip.png", marks=pytest.mark.slow),
    ],
)
def test_real_sheets(name: str, project: Project) -> None:
    generate_views(project, [VIEWS / name], SHEET)
    manifest = project.load()
    assert len(manifest.views) == 6
    for view in manifest.views:
        with Image.open(project.path(view.file)) as picture:
            pixels = np.asarray(picture)
        assert pixels.shape == (320, 320, 4)
        share = (pixels[..., 3] >= 128).mean()
        assert 0.05 < share < 0.8  # a fish from the front is thin
        assert np.median(pixels[pixels[..., 3] == 0][:, :3]) >= 240  # engines that look at colours alone expect white
        assert view.scores["shape"] > 0.5
    if "white" in name:
        with Image.open(VIEWS / name) as original:
            wanted = split_sheet(np.asarray(original.convert("RGB")))[0]
        with Image.open(project.path("views/00.png")) as picture:
            assert np.array_equal(np.asarray(picture)[..., :3], wanted)


def rig(folder: Path, *names: str, **extra: object) -> Path:
    rows = [{"file": name, "camera": orbit(70.0 * index, 8, 3.5).to_json()} for index, name in enumerate(names)]
    path = folder / "rig.json"
    path.write_text(json.dumps({"meshcli": 1, "photos": rows, **extra}))
    return path


def test_ready_views_keep_their_frames(project: Project, tmp_path: Path, engine_calls: dict[str, int]) -> None:
    for index, tile in enumerate(tiles()[:3]):
        Image.fromarray(tile[:, :300] if index else tile).save(tmp_path / f"v{index}.png")
    file = rig(tmp_path, "v2.png", "v0.png", "v1.png", "elsewhere.png")
    found = pictures_of_rig(tmp_path, file)
    assert [path.name for path in found] == ["v2.png", "v0.png", "v1.png"]
    generate_views(project, found, CameraArguments(rig=file, ready="view"))
    manifest = project.load()
    assert [(view.name, view.photo) for view in manifest.views] == [("a", "a"), ("b", "b"), ("c", "c")]
    assert manifest.views[1].camera == orbit(70, 8, 3.5, known="rig")
    with Image.open(project.path(manifest.views[1].file)) as picture:
        assert np.array_equal(np.asarray(picture)[..., :3], tiles()[0])
    # A view that is not square stands in the middle of a square, and its camera knows.
    wide = manifest.views[2].camera
    assert (wide.fx / orbit(0, 0).fx, wide.fy / orbit(0, 0).fy) == pytest.approx((300 / 320, 1.0))
    assert generate_views(project).skipped
    assert {status.state for status in read_status(project).stages[:1]} == {"done"}
    with pytest.raises(InputError, match="holds none of the pictures"):
        pictures_of_rig(tmp_path / "nowhere", file)


@pytest.mark.slow
def test_single_views_join_a_sheet(project: Project, tmp_path: Path, engine_calls: dict[str, int]) -> None:
    """Six views of one photo, one each of others: an automatic choice takes what each of them has."""
    generate_views(project, [f"{sheet(tmp_path)}@0"], SHEET)
    Image.fromarray(tiles()[3]).save(tmp_path / "v.png")
    generate_views(project, [tmp_path / "v.png"], CameraArguments(rig=rig(tmp_path, "v.png"), ready="view"), add=True)
    assert [view.name for view in project.load().views] == ["a0", "a1", "a2", "a3", "a4", "a5", "b"]
    assert select_arguments(project, "") == ["--auto", "6", "--suggested"]
    assert "b" in select_views(project, auto=6).record.options["views"]
    select_views(project, auto=7)
    assert len(project.load().selection.names) == 7  # type: ignore[union-attr]


def test_posed_photos_are_the_views(project: Project, photos: list[Path], engine_calls: dict[str, int]) -> None:
    generate_views(project, photos, CameraArguments([0, 40, -50], [10], [25]), engine="photos")
    manifest = project.load()
    assert [view.name for view in manifest.views] == ["a", "b", "c"]
    for photo, view in zip(manifest.photos, manifest.views, strict=True):
        assert view.camera == photo.camera
        with Image.open(project.path(view.file)) as picture:
            assert picture.size == (320, 320)
    assert engine_calls == {**engine_calls, "sculpt": 0, "cut_out": 3}
    select_views(project, auto=2)
    assert len(project.load().selection.names) == 2  # type: ignore[union-attr]


def test_views_of_another_engine_give_way_and_numbers_stay(
    project: Project, photos: list[Path], engine_calls: dict[str, int]
) -> None:
    def live() -> dict[int, str]:
        return {number: view.name for number, view in project.load().active_views.items()}

    posed = CameraArguments([0, 40, -50], [10], [25])
    generate_views(project, photos, posed)
    painted = live()
    generate_views(project, engine="photos")
    assert live() == {18: "a", 19: "b", 20: "c"}
    with pytest.raises(UsageError, match="no view 3; views are 18, 19, 20"):
        select_views(project, "3")
    assert generate_views(project).skipped  # auto: as before
    generate_views(project, engine="sculpt")
    assert live() == painted
    select_views(project, "a,0", include_photos=True)
    assert live() == {**painted, 18: "a", 19: "b", 20: "c"}
    generate_views(project, run_options=RunOptions(force=True), engine="sculpt")
    assert live() == {**painted, 18: "a", 19: "b", 20: "c"}  # somebody asked for them


def test_a_photo_of_unknown_side_is_no_view(project: Project, photos: list[Path]) -> None:
    with pytest.raises(UsageError, match="needs a camera for each: --azimuth or --rig"):
        generate_views(project, photos[:1], engine="photos")


def nerfstudio(folder: Path, photos: list[Path], step: float = 50.0) -> Path:
    """Cameras in a world that is three times as large, y up, and far from the origin."""
    from meshcli.views.world_transform import WorldTransform

    away = WorldTransform(3.0, ((0, 1, 0), (0, 0, 1), (1, 0, 0)), (4.0, -2.0, 7.0))
    frames = [
        {"file_path": f"images/{path.name}",
         "transform_matrix": away.camera(orbit(step * index, 10, 4, 30)).to_json()["camera_to_world"]}
        for index, path in enumerate(photos)
    ]  # fmt: skip
    focal = 60 * orbit(0, 0).fy * 1.5
    path = folder / "transforms.json"
    path.write_text(json.dumps({"w": 120, "h": 90, "fl_x": focal, "fl_y": focal, "frames": frames}))
    return path


def test_a_foreign_rig_enters_our_world(
    project: Project, photos: list[Path], tmp_path: Path, engine_calls: dict[str, int]
) -> None:
    said: list[str] = []
    file = nerfstudio(tmp_path, photos)
    outcome = generate_views(project, photos, CameraArguments(rig=file), run_options=RunOptions(tell=said.append))
    assert any("transforms.json" in sentence for sentence in said)
    assert any("(0.00, 1.00, 0.00) up" in note for note in outcome.notes)
    manifest = project.load()
    azimuths = [photo.camera.azimuth for photo in manifest.photos]
    assert azimuths == pytest.approx([0, 50, 100], abs=8)
    assert all(photo.camera.known == "rig" for photo in manifest.photos)
    assert all(2.0 < photo.camera.distance < 8.0 for photo in manifest.photos)
    before = manifest.frame["to_ours"]
    assert generate_views(project).skipped
    # Photos that come later enter the same world; the others do not move.
    Image.fromarray(np.array(Image.open(photos[0]))[:, ::-1]).save(tmp_path / "4.png")
    file = nerfstudio(tmp_path, [*photos, tmp_path / "4.png"])
    generate_views(project, [tmp_path / "4.png"], CameraArguments(rig=file), add=True)
    again = project.load()
    assert again.frame["to_ours"] == before
    assert [photo.camera for photo in again.photos[:3]] == [photo.camera for photo in manifest.photos]
    generate_views(project, typed=CameraArguments([0, 40, 80, 120]))
    assert project.load().frame == {}


def in_folders(folder: Path, photos: list[Path]) -> list[Path]:
    """The same photos, each as 0001.png in a folder of its camera."""
    places = [folder / f"cam/{index}/0001.png" for index in range(len(photos))]
    for photo, place in zip(photos, places, strict=True):
        place.parent.mkdir(parents=True)
        photo.rename(place)
    return places


def test_photos_of_one_name_are_told_apart_by_their_folders(
    project: Project, photos: list[Path], tmp_path: Path, engine_calls: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *others = in_folders(tmp_path, photos)
    names = [f"x\\cam\\{index}\\0001.jpg" for index in range(3)]
    poses = [orbit(50.0 * index, 10).to_json() for index in range(3)]
    rows = [{"file": name, "camera": camera} for name, camera in zip(names, poses, strict=True)]
    file = tmp_path / "rig.json"
    file.write_text(json.dumps({"meshcli": 1, "photos": rows}))
    generate_views(project, others, CameraArguments(rig=file))
    monkeypatch.chdir(first.parent)
    generate_views(project, [first.name], CameraArguments(rig=file), add=True)  # typed in its own folder
    after = {photo.source: photo.stated.to_json()["camera"]["camera_to_world"] for photo in project.load().photos}
    assert after == {f"{index}/0001.png": poses[index]["camera_to_world"] for index in (0, 1, 2)}
    rows = [{"file": name, "camera": camera} for name, camera in zip(names, poses[::-1], strict=True)]
    file.write_text(json.dumps({"meshcli": 1, "photos": rows}))
    generate_views(project, typed=CameraArguments(rig=file))  # the recorded photos, by what they are called
    again = {photo.source: photo.stated.to_json()["camera"]["camera_to_world"] for photo in project.load().photos}
    assert again == {f"{index}/0001.png": poses[2 - index]["camera_to_world"] for index in (0, 1, 2)}


def test_ready_views_have_other_endings_and_folders_than_in_the_rig(
    project: Project, photos: list[Path], tmp_path: Path, engine_calls: dict[str, int]
) -> None:
    places = in_folders(tmp_path, photos)
    file = rig(tmp_path, *(f"render/cam/{index}/0001.exr" for index in (2, 0, 1)), "../escape/9.png")
    wanted = [places[2], places[0], places[1]]
    assert pictures_of_rig(tmp_path, file) == wanted
    (tmp_path / "escape").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "escape/9.png")
    assert pictures_of_rig(tmp_path / "cam", file) == wanted  # nothing outside the folder
    generate_views(project, pictures_of_rig(tmp_path / "cam", file), CameraArguments(rig=file, ready="view"))
    assert [photo.source for photo in project.load().photos] == ["2/0001.png", "0/0001.png", "1/0001.png"]


@pytest.mark.parametrize("tag", [2, 3, 6])
def test_a_photo_that_exif_turns_and_its_camera_see_the_same(
    tag: int, project: Project, photos: list[Path], tmp_path: Path, engine_calls: dict[str, int]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = tag
    for photo in photos:
        with Image.open(photo) as picture:
            picture.save(photo, exif=exif)
    said: list[str] = []
    file = nerfstudio(tmp_path, photos)
    generate_views(
        project, photos[:2], CameraArguments(rig=file), engine="photos", run_options=RunOptions(tell=said.append)
    )
    assert any("2 cameras turned with the pixels, as EXIF says" in sentence for sentence in said)
    manifest = project.load()
    assert manifest.photos[0].size == ((90, 120) if tag == 6 else (120, 90))
    assert [bool(photo.stated.mirrored) for photo in manifest.photos] == [tag == 2] * 2
    assert generate_views(project).skipped
    Image.open(photos[2]).save(tmp_path / "3.png", exif=Image.Exif())  # saved again without its tag
    if tag == 2:
        with pytest.raises(UsageError, match="some photos are mirrored by their EXIF tag and some are not"):
            generate_views(project, [tmp_path / "3.png"], CameraArguments(rig=file), add=True)


def test_the_up_axis_of_a_foreign_rig_can_be_given(
    project: Project, photos: list[Path], tmp_path: Path, engine_calls: dict[str, int]
) -> None:
    generate_views(project, photos, CameraArguments(rig=nerfstudio(tmp_path, photos), up="-y"))
    assert project.load().frame["to_ours"][2][1] < 0


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (CameraArguments([0, 1, 2], rig=Path("rig.json")), "leave out --azimuth"),
        (CameraArguments([0, 1, 2], focals=[50]), "--focal needs --sensor"),
        (CameraArguments([0, 1, 2], sensor=(36, 24)), "--sensor needs --focal"),
        (CameraArguments([0, 1, 2], fovs=[30], focals=[50], sensor=(36, 24)), "exclude each other"),
        (CameraArguments([0, 1, 2], focals=[50, 60], sensor=(36, 24)), "one for all or one per photo"),
    ],
)
def test_contradictory_options(typed: CameraArguments, says: str, project: Project, photos: list[Path]) -> None:
    with pytest.raises(UsageError, match=says):
        generate_views(project, photos, typed)
    assert not project.root.exists()


def test_a_rig_must_know_the_photos_as_they_are(project: Project, photos: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has no camera for 2\.png; it has 1\.png"):
        generate_views(project, photos, CameraArguments(rig=nerfstudio(tmp_path, photos[:1])))
    file = nerfstudio(tmp_path, photos)
    Image.open(photos[1]).rotate(90, expand=True).save(photos[1])
    with pytest.raises(InputError, match=r"2\.png is 90 x 120 pixels and was calibrated as 120 x 90"):
        generate_views(project, photos, CameraArguments(rig=file))


def test_a_lens_follows_from_focal_length_and_sensor(
    project: Project, photos: list[Path], engine_calls: dict[str, int]
) -> None:
    generate_views(project, photos, CameraArguments([0, 40, -50], focals=[50], sensor=(36, 24)))
    stated = [photo.stated for photo in project.load().photos]
    assert [row.fov for row in stated] == pytest.approx([26.99] * 3, abs=0.01)


def test_a_lens_is_read_from_the_picture(project: Project, tmp_path: Path, engine_calls: dict[str, int]) -> None:
    picture = Image.new("RGB", (120, 90), "white")
    picture.paste("red", (30, 20, 90, 70))
    exif = picture.getexif()
    exif.get_ifd(0x8769)[0xA405] = 50
    picture.save(tmp_path / "camera.jpg", exif=exif)
    said: list[str] = []
    generate_views(project, [tmp_path / "camera.jpg"], run_options=RunOptions(tell=said.append))
    assert project.load().photos[0].stated.fov == pytest.approx(29.1, abs=0.1)
    assert any("29.1 degrees" in sentence for sentence in said)


TEMPLE = SHARED / "data/photos/multi/temple"


@pytest.mark.slow
@needs_shared_data
def test_real_calibrated_photos(project: Project, tmp_path: Path) -> None:
    """Photos that lie on their side, by cameras whose world has y up: the angles are those of the calibration."""
    known = json.loads((TEMPLE / "cameras.json").read_text())
    frames = [
        {"file_path": row["file"], "transform_matrix": row["camera_to_world"], "fl_x": row["fx"], "fl_y": row["fy"],
         "cx": row["cx"], "cy": row["cy"]}
        for row in known["frames"]
    ]  # fmt: skip
    file = tmp_path / "transforms.json"
    file.write_text(json.dumps({"w": known["width"], "h": known["height"], "frames": frames}))
    photos = [TEMPLE / row["file"] for row in known["frames"]]
    generate_views(project, photos, CameraArguments(rig=file, up="y"), engine="photos")
    manifest = project.load()
    for photo, row in zip(manifest.photos, known["frames"], strict=True):
        turned = (photo.camera.azimuth - row["azimuth_deg"] + 180.0) % 360.0 - 180.0
        assert abs(turned) < 2.0, row["file"]
        assert photo.camera.elevation == pytest.approx(row["elevation_deg"], abs=2.0)
    low, high = np.array(known["object_aabb"])
    scale = np.linalg.norm(np.array(manifest.frame["to_ours"])[0, :3])
    assert scale * np.linalg.norm(high - low) / 2.0 == pytest.approx(1.0, abs=0.1)  # 0.95 to the farthest point
    assert all(view.scores["shape"] > 0.7 for view in manifest.views)


def test_a_new_way_to_cut_out_makes_ready_views_stale(
    project: Project, tmp_path: Path, engine_calls: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    from meshcli.engines import VERSIONS

    Image.fromarray(tiles()[0]).save(tmp_path / "v.png")
    generate_views(project, [tmp_path / "v.png"], CameraArguments(rig=rig(tmp_path, "v.png"), ready="view"))
    before = project.load().photos[0].prepared
    assert generate_views(project).skipped
    monkeypatch.setitem(VERSIONS, "cut_out", VERSIONS["cut_out"] + 1)
    assert not generate_views(project).skipped
    assert project.load().photos[0].prepared != before
