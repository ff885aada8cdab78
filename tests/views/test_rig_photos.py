"""Cameras of rigs turn with the pixels of their photos."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from meshcli.errors import InputError, UsageError
from meshcli.pictures.image import load_picture
from meshcli.pictures.source_photo import SourcePhoto
from meshcli.views.camera import Camera, orbit
from meshcli.views.projection import project
from meshcli.views.rig_files import Rig, RigImage, read_rig
from meshcli.views.rig_photos import UprightCamera, find_pictures, match_photos, upright_cameras

WIDE, HIGH = 60, 40  # pixels as they are stored
POINTS = np.array([(0.3, -0.2, 0.4), (-0.5, 0.1, 0.2), (0.1, 0.6, -0.3)])


def save(path: Path, tag: int = 1, size: tuple[int, int] = (WIDE, HIGH), lit: tuple[int, int] | None = None) -> Path:
    """A dark picture, with one bright pixel; `tag` says how EXIF turns it."""
    picture = Image.new("RGB", size)
    if lit:
        picture.putpixel(lit, (255, 255, 255))
    exif = Image.Exif()
    exif[0x0112] = tag
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, exif=exif)
    return path


def rig_of(folder: Path, *names: str, azimuth: float = 25.0, **changes: object) -> Rig:
    """A rig of stored pixels, with another focal length across than down and its middle elsewhere."""
    pose = [list(row) for row in orbit(azimuth, 15.0).camera_to_world]
    frames = [{"file_path": name, "transform_matrix": pose} for name in names]
    table = {"w": WIDE, "h": HIGH, "fl_x": 66.0, "fl_y": 62.0, "cx": 27.0, "cy": 22.5, **changes, "frames": frames}
    (folder / "transforms.json").write_text(json.dumps(table))
    return read_rig(folder)


def one(rig: Rig, photo: Path, up: str = "") -> UprightCamera:
    (found,) = upright_cameras(rig, rig.images[:1], [SourcePhoto(photo)], up)
    return found


def where(camera: Camera, point: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return project(camera, point[None], *size)[0][0]


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
@pytest.mark.parametrize("tag", range(1, 9))
def test_a_point_stays_on_its_pixel_when_exif_turns_the_picture(tag: int, suffix: str, tmp_path: Path) -> None:
    rig = rig_of(tmp_path, f"a.{suffix}")
    before = rig.images[0].camera((WIDE, HIGH))
    for point in POINTS:
        column, row = np.floor(where(before, point, (WIDE, HIGH))).astype(int)
        assert 0 < column < WIDE
        assert 0 < row < HIGH
        path = save(tmp_path / f"a.{suffix}", tag, lit=(int(column), int(row)))
        shown = load_picture(path)[..., :3].sum(axis=-1).astype(float)
        height, width = shown.shape
        found = one(rig, path)
        seen = point * (1, -1, 1) if found.mirrored else point  # in the mirror image of the world
        lit = np.array(np.unravel_index(shown.argmax(), shown.shape))[::-1] + 0.5
        assert np.abs(where(found.camera, seen, (width, height)) - lit).max() < 1.0
        assert (found.turned, found.mirrored) == (tag != 1, tag in (2, 4, 5, 7))
        Camera.from_json(found.camera.to_json())  # a rotation, not a mirror


def test_a_turned_camera_is_exact(tmp_path: Path) -> None:
    rig = rig_of(tmp_path, "a.png")
    found = one(rig, save(tmp_path / "a.png", 6)).camera
    right, up, back, place = np.array(rig.images[0].camera((1, 1)).camera_to_world).T
    assert pytest.approx(np.array([up, -right, back, place])) == np.array(found.camera_to_world).T
    assert (found.fx, found.fy) == pytest.approx((62 / HIGH, 66 / WIDE))
    assert (found.cx, found.cy) == pytest.approx(((HIGH - 22.5) / HIGH, 27 / WIDE))


@pytest.mark.parametrize(("up", "kept"), [("", (0, 2)), ("z", (0, 2)), ("-y", (1, 2)), ("x", (0, 1))])
def test_a_mirrored_world_keeps_its_upward_and_forward_axes(up: str, kept: tuple[int, ...], tmp_path: Path) -> None:
    rig = rig_of(tmp_path, "a.png")
    before = np.array(rig.images[0].camera((1, 1)).position)
    after = np.array(one(rig, save(tmp_path / "a.png", 2), up).camera.position)
    assert [axis for axis in range(3) if np.isclose(after[axis], before[axis])] == list(kept)
    assert np.abs(after) == pytest.approx(np.abs(before))


def test_a_rig_of_upright_pixels_is_told_by_its_size(tmp_path: Path) -> None:
    rig = rig_of(tmp_path, "a.png", "b.png", w=HIGH, h=WIDE)
    on_its_side, upside_down = save(tmp_path / "a.png", 6), save(tmp_path / "b.png", 3, (HIGH, WIDE))
    for found in upright_cameras(rig, rig.images, [SourcePhoto(on_its_side), SourcePhoto(upside_down)]):
        assert (found.turned, found.camera) == (False, rig.images[0].camera((1, 1)))
    # By itself the second one says nothing: pixels as they are stored.
    assert one(Rig(rig.path, rig.images[1:], True), upside_down).turned


@pytest.mark.parametrize("tag", [3, 6, 8])
def test_square_pictures_were_calibrated_as_stored_and_ours_upright(tag: int, tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", tag, (50, 50))
    assert one(rig_of(tmp_path, "a.png", w=50, h=50), path).turned
    row = {"file": "a.png", "camera": orbit(25, 15).to_json()}
    (tmp_path / "cameras.json").write_text(json.dumps({"meshcli": 1, "photos": [row]}))
    assert not one(read_rig(tmp_path / "cameras.json"), path).turned


def test_a_size_that_is_not_stated_is_that_of_the_picture(tmp_path: Path) -> None:
    photo = save(tmp_path / "cut/a.png", 6)
    rig = rig_of(tmp_path, "images/a.jpg", w=None, h=None)
    found = one(rig, photo).camera
    assert (found.fx, found.fy) == pytest.approx((62 / HIGH, 66 / WIDE))
    small = save(tmp_path / "cut/a.png", 1, (WIDE // 2, HIGH // 2))
    save(tmp_path / "images/a.jpg")  # the calibrated one is larger
    assert one(rig, small).camera.fx == pytest.approx(66 / WIDE)


@pytest.mark.parametrize("size", [{}, {"w": None, "h": None}], ids=["stated", "not stated"])
def test_a_copy_that_was_turned_upright_follows_the_calibrated_picture(size: dict[str, None], tmp_path: Path) -> None:
    rig = rig_of(tmp_path, "images/a.jpg", **size)
    original = save(tmp_path / "images/a.jpg", 8)
    copy = save(tmp_path / "cut/a.png", 1, (HIGH, WIDE))
    assert one(rig, copy) == one(rig, original)
    original.write_bytes(b"no picture")
    if not size:
        with pytest.raises(InputError, match=re.escape("a.png is 40 x 60 pixels and was calibrated as 60 x 40")):
            one(rig, copy)


@pytest.mark.parametrize("tag", [1, 6])
def test_a_cropped_picture_is_refused(tag: int, tmp_path: Path) -> None:
    rig = rig_of(tmp_path, "a.png")
    with pytest.raises(InputError, match=r"cropped or turned since; hand in what was calibrated"):
        one(rig, save(tmp_path / "a.png", tag, (60, 45)))


def test_mirrored_and_other_photos_cannot_share_a_rig(tmp_path: Path) -> None:
    rig = rig_of(tmp_path, "a.png", "b.png")
    photos = [save(tmp_path / "a.png", 1), save(tmp_path / "b.png", 2)]
    with pytest.raises(InputError, match=r"b\.png is mirrored by its EXIF tag, .*a\.png is not"):
        upright_cameras(rig, rig.images, [SourcePhoto(photo) for photo in photos])


def rig_with(*names: str) -> Rig:
    return Rig(Path("rig.json"), tuple(RigImage(name, orbit(0, 0)) for name in names), True)


def test_photos_find_their_cameras() -> None:
    rig = rig_with("cam/0/1.jpg", "cam/1/1.jpg", "extra.jpg")
    found = match_photos(rig, ["/x/cam/1/1.png", "other.png", "/x/cam/0/1.png", "/x/cam/0/1.png"])
    assert found == [rig.images[1], None, rig.images[0], rig.images[0]]


@pytest.mark.parametrize(
    ("names", "photos", "says"),
    [
        (["a/1.jpg", "b/1.jpg"], ["/c/1.png"], "rig.json has several pictures that 1.png may be: a/1.jpg, b/1.jpg;"),
        (["1.jpg", "1.tif"], ["1.png"], "several pictures that 1.png may be: 1.jpg, 1.tif;"),
        (["a/1.jpg"], ["/x/1.png", "/y/1.png"], "x/1.png and y/1.png would both have the camera of a/1.jpg"),
        (["1.jpg"], ["1.png", "1.webp"], "1.png and 1.webp would both have the camera of 1.jpg"),
    ],
)
def test_ambiguous_names_list_the_candidates(names: list[str], photos: list[str], says: str) -> None:
    with pytest.raises(UsageError, match=re.escape(says)):
        match_photos(rig_with(*names), photos)


def test_pictures_of_a_rig_in_its_order() -> None:
    rig = rig_with("b.jpg", "cam/0/1.jpg", "a.jpg", "gone.jpg")
    pictures = ["/x/a.png", "/x/a.jpg", "/x/b.png", "/x/0/1.png", "/x/notes.png"]
    assert find_pictures(rig, pictures) == ["/x/b.png", "/x/0/1.png", "/x/a.jpg"]
    with pytest.raises(UsageError, match=re.escape("one camera, that of b.jpg, for /x/b.png, /x/b.webp")):
        find_pictures(rig, ["/x/b.png", "/x/b.webp"])
    with pytest.raises(UsageError, match=re.escape("several pictures that 1.png may be")):
        find_pictures(rig_with("a/1.jpg", "b/1.jpg"), ["/x/1.png"])
