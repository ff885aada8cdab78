"""Tables whose tops are known, from photos of their rims."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from helpers.sphere_tracing import photograph
from meshcli.reconstructors.fit import Evidence
from meshcli.sdf.grid import Grid
from meshcli.sdf.plates import Plate, find_plate
from meshcli.views.camera import orbit
from meshcli.views.view import View

Body = Callable[[np.ndarray], np.ndarray]
Outline = Callable[[np.ndarray, np.ndarray], np.ndarray]
LOW, HIGH = 0.42, 0.5
SIDES, YAW, RADIUS = (0.65, 0.4), np.radians(25.0), 0.55
GRID = Grid.around(np.full(3, -0.9), np.full(3, 0.9), 64, 3)
POINTS = GRID.to_world(np.stack(np.meshgrid(*(np.arange(n) for n in GRID.shape), indexing="ij"), axis=-1))


def turned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.cos(YAW) * x + np.sin(YAW) * y, np.cos(YAW) * y - np.sin(YAW) * x


def rectangle(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    along, across = turned(x, y)
    return np.maximum(np.abs(along) - SIDES[0], np.abs(across) - SIDES[1])


def disc(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.hypot(x, y) - RADIUS


def stadium(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    along, across = turned(x, y)
    return np.hypot(np.maximum(np.abs(along) - 0.35, 0.0), across) - 0.3


def table(outline: Outline) -> Body:
    """A plate on a column that spreads at its foot."""

    def distance(points: np.ndarray) -> np.ndarray:
        x, y, z = np.moveaxis(points, -1, 0)
        plate = np.maximum(outline(x, y), np.abs(z - (LOW + HIGH) / 2) - (HIGH - LOW) / 2)
        column = np.maximum(np.hypot(x, y) - 0.08, np.abs(z) - HIGH + 0.01)
        foot = np.maximum(np.hypot(x, y) - 0.25, np.abs(z + HIGH - 0.03) - 0.03)
        return np.minimum(plate, np.minimum(column, foot))

    return distance


def box(points: np.ndarray) -> np.ndarray:
    return np.max(np.abs(points) - np.array([0.5, 0.4, 0.5]), axis=-1)


def mushroom(points: np.ndarray) -> np.ndarray:
    """The upper half of an ellipsoid on a column."""
    x, y, z = np.moveaxis(points, -1, 0)
    cap = np.maximum(np.linalg.norm(points - np.array([0.0, 0.0, 0.3]), axis=-1) - 0.5, 0.3 - z)
    return np.minimum(cap, np.maximum(np.hypot(x, y) - 0.1, np.abs(z + 0.1) - 0.4))


def photos(body: Body, azimuths: Sequence[float] = (0.0, 120.0, 240.0)) -> list[View]:
    return [photograph(orbit(azimuth, 10.0), body, 240) for azimuth in azimuths]


def found(views: Sequence[View], yaws: Sequence[float] = ()) -> Plate | None:
    return find_plate(views, Evidence.of(views).hull, yaws)


def assert_sides(plate: Plate | None, sides: tuple[float, float], yaw: float) -> None:
    """Of a rectangle, whose first side may be called its second one."""
    assert plate is not None
    assert plate.kind == "rectangle"
    quarters = (plate.yaw - yaw) / (np.pi / 2.0)
    assert quarters == pytest.approx(round(quarters), abs=0.01)
    assert plate.half == pytest.approx(sides if round(quarters) % 2 == 0 else sides[::-1], abs=0.01)
    assert plate.centre == pytest.approx((0.0, 0.0), abs=0.01)
    assert (plate.low, plate.high) == pytest.approx((LOW, HIGH), abs=0.006)


@pytest.mark.parametrize("azimuths", [(0.0, 120.0, 240.0), pytest.param((0.0, 45.0, -45.0), marks=pytest.mark.slow)])
def test_a_rectangle_turned_by_an_untold_angle_is_found(azimuths):
    assert_sides(found(photos(table(rectangle), azimuths)), SIDES, YAW)


def test_two_photos_do_if_a_mirror_plane_tells_the_angle():
    views = photos(table(rectangle), (0.0, 70.0))
    assert_sides(found(views, [YAW]), SIDES, YAW)
    assert found(views) is None


def test_a_disc_is_found():
    plate = found(photos(table(disc)))
    assert plate is not None
    assert plate.kind == "disc"
    assert plate.half[0] == pytest.approx(RADIUS, abs=0.01)
    assert (plate.low, plate.high) == pytest.approx((LOW, HIGH), abs=0.006)


def square(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.maximum(np.abs(x), np.abs(y)) - 0.5


@pytest.mark.parametrize("outline", [square, disc])
@pytest.mark.parametrize("azimuths", [(0.0, 90.0), pytest.param((0.0, 90.0, 180.0, 270.0), marks=pytest.mark.slow)])
def test_level_with_the_top_two_sides_do_not_tell_a_disc_from_a_square(outline, azimuths):
    views = [photograph(orbit(azimuth, 5.0), table(outline), 200) for azimuth in azimuths]
    assert found(views) is None


@pytest.mark.slow
@pytest.mark.parametrize(("outline", "half"), [(square, (0.5, 0.5)), (disc, (RADIUS, RADIUS))])
@pytest.mark.parametrize("elevation", [5.0, 10.0])
@pytest.mark.parametrize("azimuths", [(20.0, 65.0, 200.0), (0.0, 90.0, 180.0, 270.0), (0.0, 45.0, -45.0)])
def test_what_is_found_is_true(outline, half, elevation, azimuths):
    """A photo from behind another tells little more than it: a narrow board may have the same rims."""
    plate = found([photograph(orbit(azimuth, elevation), table(outline), 200) for azimuth in azimuths])
    assert plate is None or plate.half == pytest.approx(half, abs=0.02)


def ring(points: np.ndarray) -> np.ndarray:
    """A plate with a hole, on four legs."""
    x, y, z = np.moveaxis(points, -1, 0)
    radius = np.hypot(x, y)
    plate = np.maximum(np.maximum(radius - RADIUS, 0.3 - radius), np.abs(z - (LOW + HIGH) / 2) - (HIGH - LOW) / 2)
    legs = np.maximum(np.hypot(np.abs(x) - 0.3, np.abs(y) - 0.3) - 0.05, np.abs(z) - LOW)
    return np.minimum(plate, legs)


def test_a_hole_that_a_photo_from_above_shows_is_not_closed():
    views = photos(ring)
    plate = found(views)
    assert plate is not None
    assert plate.kind == "disc"
    views.append(photograph(orbit(60.0, 80.0), ring, 240))
    assert found(views) is None


def pot(points: np.ndarray) -> np.ndarray:
    """A bowl that widens upwards: its rim is a disc, but it has no underside."""
    x, y, z = np.moveaxis(points, -1, 0)
    return np.maximum((np.hypot(x, y) - 0.45 - 0.4 * z) * 0.9, np.abs(z) - 0.45)


def tray(points: np.ndarray) -> np.ndarray:
    x, y, z = np.moveaxis(points, -1, 0)
    return np.maximum(np.hypot(x, y) - 0.7, np.abs(z) - 0.06)


@pytest.mark.parametrize("body", [box, mushroom, pot, tray, table(stadium)])
def test_other_tops_are_no_plates(body):
    assert found(photos(body)) is None


def test_a_top_that_a_photo_cuts_off_is_none():
    views = photos(table(disc))
    pixels = views[1].pixels[60:]
    assert (pixels[0, :, 3] > 0).any()
    cut = View("b", np.ascontiguousarray(pixels), views[1].camera)
    assert found([views[0], cut, views[2]]) is None


def test_a_body_is_cut_to_the_plate_and_left_alone_below_it():
    plate = Plate(LOW, HIGH, "rectangle", (0.1, 0.0), SIDES, YAW)
    whole = np.full(GRID.shape, -5.0, np.float32)
    inside = plate.cut(whole, GRID) < 0
    x, y, z = np.moveaxis(POINTS, -1, 0)
    expected = ((z < HIGH) & (rectangle(x - 0.1, y) < 0)) | (z < LOW)
    np.testing.assert_array_equal(inside, expected)
    np.testing.assert_array_equal(plate.solid(GRID) < 0, expected & (z > LOW))
