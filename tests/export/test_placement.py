import math

import numpy as np
import pytest

from meshcli.errors import InputError, UsageError
from meshcli.export.placement import (
    TO_Z_UP,
    Box,
    inverse,
    nearest_axis,
    parse_length,
    parse_scale,
    place,
    place_like_rig,
    rotated,
    tilt,
)
from meshcli.settings import ExportSettings
from meshcli.views.camera import orbit
from meshcli.views.world_transform import AXES, WorldTransform

BOX = Box((-0.5, 1.0, 0.25), (1.5, 5.0, 1.25))  # 2 deep, 4 wide, 1 high


@pytest.mark.parametrize(
    ("text", "metres"),
    [
        ("0.45m", 0.45),
        ("45 cm", 0.45),
        ("450mm", 0.45),
        ("18in", 0.4572),
        ("3ft", 0.9144),
        (".5M", 0.5),
        ("1e-2m", 0.01),
    ],
)
def test_lengths_have_units(text: str, metres: float) -> None:
    assert parse_length("--height", text) == pytest.approx(metres, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "says"),
    [("0.45", "has no unit"), ("0m", "above 0"), ("-3cm", "above 0"), ("tall", "0.45m"), ("", "0.45m"),
     ("5parsec", "m, cm, mm, in, ft"), ("nanm", "--height 0.45m"), ("1e9m", "between")],
)  # fmt: skip
def test_what_is_no_length_is_refused(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        parse_length("--height", text)


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "2m", ""])
def test_what_is_no_scale_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--scale"):
        parse_scale("--scale", text)


@pytest.mark.parametrize(
    ("size_by", "scale"), [("none", 1.0), ("height", 3.0), ("width", 0.75), ("longest", 0.75), ("scale", 3.0)]
)
def test_a_size_scales_the_side_that_it_names(size_by: str, scale: float) -> None:
    placement = place(BOX, ExportSettings(size_by=size_by, size=3.0))  # type: ignore[arg-type]
    assert placement.to_scene.scale == pytest.approx(scale)
    assert placement.size_known == (size_by != "none")
    low, high = placement.to_scene.point(BOX.low), placement.to_scene.point(BOX.high)
    assert low == pytest.approx((-scale, -2.0 * scale, 0.0))  # the base's middle is the origin
    assert high == pytest.approx((scale, 2.0 * scale, scale))


def test_pivots() -> None:
    centre = place(BOX, ExportSettings(pivot="centre", size_by="scale", size=2.0)).to_scene
    assert centre.point((0.5, 3.0, 0.75)) == pytest.approx((0.0, 0.0, 0.0))
    origin = place(BOX, ExportSettings(pivot="origin", size_by="scale", size=2.0)).to_scene
    assert origin.point((0.5, 3.0, 0.75)) == pytest.approx((1.0, 6.0, 1.5))


def test_a_flat_mesh_has_no_height() -> None:
    with pytest.raises(InputError, match="no height"):
        place(Box((0.0, 0.0, 0.0), (1.0, 1.0, 0.0)), ExportSettings(size_by="height"))


@pytest.mark.parametrize("up", TO_Z_UP)
def test_every_up_axis_becomes_z_by_a_rotation(up: str) -> None:
    assert np.linalg.det(np.array(TO_Z_UP[up])) == pytest.approx(1.0)
    assert rotated(TO_Z_UP[up], AXES[up]) == (0.0, 0.0, 1.0)
    assert nearest_axis(AXES[up]) == up


@pytest.mark.parametrize("up", TO_Z_UP)
def test_the_coordinates_of_a_rig_come_back(up: str) -> None:
    z = np.array(AXES[up], float)
    x = np.roll(z, 1)
    frame = WorldTransform(0.3, tuple(tuple(row) for row in (x, np.cross(z, x), z)), (0.2, -0.1, 0.4))  # type: ignore[arg-type]
    placement = place_like_rig(frame)
    assert placement.up == up
    assert not tilt(frame)
    point = (1.5, -2.0, 0.7)
    in_scene = placement.to_scene.point(frame.point(point))
    assert rotated(placement.to_rig, in_scene) == pytest.approx(point, abs=1e-12)
    camera = orbit(33.0, 12.0, 2.0)
    back = inverse(frame).camera(frame.camera(camera))
    assert np.allclose(back.camera_to_world, camera.camera_to_world, atol=1e-12)


def test_a_tilted_rig_is_called_so() -> None:
    angle = math.radians(1.0)
    rows = ((1.0, 0.0, 0.0), (0.0, math.cos(angle), -math.sin(angle)), (0.0, math.sin(angle), math.cos(angle)))
    assert tilt(WorldTransform(1.0, rows, (0.0, 0.0, 0.0)))


def test_a_crop_is_undone() -> None:
    camera = orbit(10.0, 5.0)
    back = camera.cropped(0.1, -0.2, 0.5, 0.7).uncropped(0.1, -0.2, 0.5, 0.7)
    assert (back.fx, back.fy, back.cx, back.cy) == pytest.approx((camera.fx, camera.fy, camera.cx, camera.cy))
