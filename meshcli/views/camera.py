"""Pinhole cameras in plain numbers. Light: no numpy.

World: right-handed, z up, azimuth 0 on +x, growing counter-clockwise seen from above (towards +y). Angles are degrees.
Camera: OpenGL axes, x right, y up, looking down -z. Pixel (0, 0) is the top-left corner; its centre is (0.5, 0.5).
Intrinsics are fractions: fx, cx of the picture's width, fy, cy of its height.
"""

import math
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self, get_args

from meshcli.errors import InputError
from meshcli.json_table import JsonTable

PoseMatrix = tuple[tuple[float, ...], ...]  # 4 rows of 4

PoseSource = Literal[
    "given",  # typed by the user
    "rig",  # read from a file of calibrated cameras
    "aligned",  # found by comparing pictures
    "assumed",  # the defaults
]

MAX_NUMBER = 1e9  # in a camera, and 1 / the smallest focal length: squares and quotients stay finite in float32
DISTANCE = 4.0  # of Zero123++'s cameras, in units of our world
FOV = 30.0  # vertical field of view of Zero123++'s cameras
OBJECT_RADIUS = 0.95  # distance of an aligned object's farthest point from the origin


@dataclass(frozen=True)
class Camera:
    """Pose and intrinsics of a picture."""

    camera_to_world: PoseMatrix  # rigid, last row 0 0 0 1
    fx: float
    fy: float
    cx: float = 0.5
    cy: float = 0.5
    known: PoseSource = "assumed"

    @property
    def position(self) -> tuple[float, float, float]:
        """The camera's centre in the world."""
        x, y, z = (row[3] for row in self.camera_to_world[:3])
        return x, y, z

    @property
    def distance(self) -> float:
        """From the world's origin."""
        return math.hypot(*self.position)

    @property
    def azimuth(self) -> float:
        """Degrees in [0, 360), counter-clockwise from +x seen from above."""
        x, y, _ = self.position
        return math.degrees(math.atan2(y, x)) % 360.0

    @property
    def elevation(self) -> float:
        """Degrees above the horizon of the origin."""
        x, y, z = self.position
        return math.degrees(math.atan2(z, math.hypot(x, y)))

    @property
    def fov(self) -> float:
        """Vertical field of view in degrees."""
        return math.degrees(2.0 * math.atan(0.5 / self.fy))

    def cropped(self, left: float, top: float, width: float, height: float) -> Self:
        """The camera of a rectangle of the picture, in fractions of it; the rectangle may reach outside."""
        return replace(
            self,
            fx=self.fx / width,
            fy=self.fy / height,
            cx=(self.cx - left) / width,
            cy=(self.cy - top) / height,
        )

    def uncropped(self, left: float, top: float, width: float, height: float) -> Self:
        """The camera of the whole picture, where this one is of that rectangle of it: the inverse of `cropped`."""
        return self.cropped(-left / width, -top / height, 1.0 / width, 1.0 / height)

    def turned(self, degrees: float) -> Self:
        """The same camera rotated about the world's z axis, counter-clockwise seen from above."""
        cosine, sine = _cosine_and_sine(degrees)
        x, y, z, last = self.camera_to_world
        return replace(
            self,
            camera_to_world=(
                tuple(cosine * a - sine * b for a, b in zip(x, y, strict=True)),
                tuple(sine * a + cosine * b for a, b in zip(x, y, strict=True)),
                z,
                last,
            ),
        )

    def rolled(self, quarters: int) -> Self:
        """The camera of the picture rotated clockwise by this number of quarter turns."""
        camera = self
        for _ in range(quarters % 4):  # what was up points right, what was right points down
            pose = tuple((up, -right, back, place) for right, up, back, place in camera.camera_to_world[:3])
            camera = replace(
                camera,
                camera_to_world=(*pose, camera.camera_to_world[3]),
                fx=camera.fy,
                fy=camera.fx,
                cx=1.0 - camera.cy,
                cy=camera.cx,
            )
        return camera

    def reflected(self, axis: int) -> Self:
        """The camera of the mirror image (left and right exchanged) in a world mirrored along its axis 0, 1 or 2.

        In the unmirrored world there is none: its pose would be no rotation.
        """
        pose = tuple(
            tuple(-value if (row == axis) != (column == 0) else value for column, value in enumerate(values))
            for row, values in enumerate(self.camera_to_world[:3])
        )
        return replace(self, camera_to_world=(*pose, self.camera_to_world[3]), cx=1.0 - self.cx)

    def to_json(self) -> dict[str, Any]:
        """The schema of a camera in manifests, rig files and exports."""
        return {
            "camera_to_world": [list(row) for row in self.camera_to_world],
            "fx": self.fx,
            "fy": self.fy,
            "cx": self.cx,
            "cy": self.cy,
            "known": self.known,
        }

    @classmethod
    def from_json(cls, table: Mapping[str, Any]) -> Self:
        """Read the schema that `to_json` writes; InputError says which part is wrong."""
        try:
            rows = tuple(tuple(_number(value) for value in row) for row in table["camera_to_world"])
            fx, fy = _number(table["fx"]), _number(table["fy"])
            cx, cy = _number(table.get("cx", 0.5)), _number(table.get("cy", 0.5))
        except KeyError as error:
            raise InputError(f"a camera has no {error.args[0]!r}") from error
        except (TypeError, ValueError, AttributeError, OverflowError) as error:
            raise InputError(f"a camera holds something that is no number: {error}") from error
        known = table.get("known", "rig")
        if known not in get_args(PoseSource):
            raise InputError(
                f"a camera's 'known' is {reprlib.repr(known)}, not one of {', '.join(get_args(PoseSource))}"
            )
        _check(rows, (fx, fy, cx, cy))
        return cls(rows, fx, fy, cx, cy, known)


def read_camera(table: JsonTable, key: str) -> Camera:
    """The camera under a key of a JSON object, as `Camera.to_json` writes it; the table's error if it is not one."""
    try:
        return Camera.from_json(table.get(key, dict))
    except InputError as error:
        raise table.error(f"{table.where}: {key}: {error}") from error


def orbit(
    azimuth: float,
    elevation: float,
    distance: float = DISTANCE,
    fov: float = FOV,
    known: PoseSource = "assumed",
    centre: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Camera:
    """A camera on a sphere around `centre`, looking at it, with the world's z axis up in the picture.

    Angles in degrees. The rotation is built from them, so that it is defined straight above and below too.
    """
    ca, sa = _cosine_and_sine(azimuth)
    ce, se = _cosine_and_sine(elevation)
    right = (-sa, ca, 0.0)
    up = (-se * ca, -se * sa, ce)
    back = (ce * ca, ce * sa, se)
    rows = tuple((right[i], up[i], back[i], centre[i] + distance * back[i]) for i in range(3))
    focal = 0.5 / math.tan(math.radians(fov) / 2.0)
    return Camera((*rows, (0.0, 0.0, 0.0, 1.0)), focal, focal, known=known)


def angular_distance(a: float, b: float) -> float:
    """Degrees between two azimuths, 0 to 180."""
    return abs((a - b + 180.0) % 360.0 - 180.0)


ZERO123PLUS_AZIMUTHS = (30.0, 90.0, 150.0, 210.0, 270.0, 330.0)  # relative to the photo
ZERO123PLUS_ELEVATIONS = {  # absolute, by version of the model
    "1.2": (20.0, -10.0, 20.0, -10.0, 20.0, -10.0),
    "1.1": (30.0, -20.0, 30.0, -20.0, 30.0, -20.0),
}


def zero123plus_rig(
    photo_azimuth: float = 0.0, relative_scale: float = 1.0, known: PoseSource = "assumed", version: str = "1.2"
) -> list[Camera]:
    """The six cameras of Zero123++ for a photo at this azimuth, in tile order.

    A framed photo that shows the object `relative_scale` times as large as the other photos do has its views at a
    distance that is smaller by the same factor. Source: the model card of sudo-ai/zero123plus-v1.2.
    """
    return [
        orbit(photo_azimuth + azimuth, elevation, DISTANCE / relative_scale, known=known)
        for azimuth, elevation in zip(ZERO123PLUS_AZIMUTHS, ZERO123PLUS_ELEVATIONS[version], strict=True)
    ]


def _cosine_and_sine(degrees: float) -> tuple[float, float]:
    """Cosine and sine, exact at multiples of 90 degrees, where the rounded pi would leave 6e-17."""
    quarter = {0.0: (1.0, 0.0), 90.0: (0.0, 1.0), 180.0: (-1.0, 0.0), 270.0: (0.0, -1.0)}
    turn = degrees % 360.0
    return quarter.get(turn) or (math.cos(math.radians(turn)), math.sin(math.radians(turn)))


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(reprlib.repr(value))
    return float(value)


def _check(rows: Sequence[Sequence[float]], intrinsics: Sequence[float]) -> None:
    if len(rows) != 4 or any(len(row) != 4 for row in rows):
        raise InputError("a camera's camera_to_world is not 4 rows of 4")
    if not all(math.isfinite(value) for row in (*rows, intrinsics) for value in row):
        raise InputError("a camera holds a number that is not finite")
    if min(intrinsics[:2]) <= 0.0:
        raise InputError("a camera's fx and fy must be above 0")
    if (
        min(intrinsics[:2]) < 1.0 / MAX_NUMBER
        or max(abs(value) for row in (*rows, intrinsics) for value in row) > MAX_NUMBER
    ):
        raise InputError("a camera holds a number that is too large or too small to compute with")
    axes = [[rows[i][j] for i in range(3)] for j in range(3)]  # columns
    for i in range(3):
        for j in range(3):
            if abs(sum(a * b for a, b in zip(axes[i], axes[j], strict=True)) - (i == j)) > 1e-3:
                raise InputError("a camera's rotation has axes that are not perpendicular and of length 1")
    (a, b, c), (d, e, f), (g, h, k) = axes
    if a * (e * k - f * h) - b * (d * k - f * g) + c * (d * h - e * g) < 0.0:
        raise InputError("a camera's rotation is a mirror image (determinant -1)")
    if any(abs(value - wanted) > 1e-6 for value, wanted in zip(rows[3], (0, 0, 0, 1), strict=True)):
        raise InputError("a camera's last row is not 0 0 0 1")
