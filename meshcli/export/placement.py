"""Where the object stands in the scene that is handed over, and how large it is. Light: no numpy.

A scene has z up and is measured in metres (scene.py). Without a rig its axes are those of our world, so the front is on
+x, the width lies along y and the height along z. With the coordinates of a rig, the scene is the rig's world with its
up axis turned to z, by a quarter turn about one of its horizontal axes, or a half turn; z up stays as it is.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from meshcli.errors import InputError, UsageError
from meshcli.settings import ExportSettings, Pivot, SizeBy
from meshcli.views.camera import Camera
from meshcli.views.world_transform import Vector, WorldTransform

UNITS = {"m": 1.0, "cm": 0.01, "mm": 0.001, "in": 0.0254, "ft": 0.3048}  # metres
LENGTH = re.compile(r"\s*([0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)\s*([a-zA-Z\"']*)\s*")
MIN_LENGTH, MAX_LENGTH = 1e-6, 1e6  # metres; what is beyond is a slip of the unit
MAX_TILT = 1e-3  # of a rig's up axis from one of its axes: sine of the angle, below which they are the same

Rotation = tuple[Vector, Vector, Vector]  # rows
UPRIGHT: Rotation = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
TO_Z_UP: dict[str, Rotation] = {  # up axis of a right-handed world -> the rotation that makes it z
    "z": UPRIGHT,
    "y": ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, 1.0, 0.0)),  # (x, -z, y), as Blender reads files with y up
    "-y": ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, -1.0, 0.0)),
    "-z": ((1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, -1.0)),
    "x": ((0.0, 0.0, -1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)),
    "-x": ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (-1.0, 0.0, 0.0)),
}


@dataclass(frozen=True)
class Box:
    """The mesh's bounding box in our world."""

    low: Vector
    high: Vector

    @property
    def size(self) -> Vector:
        """Along x, y and z."""
        x, y, z = (high - low for low, high in zip(self.low, self.high, strict=True))
        return x, y, z


@dataclass(frozen=True)
class Placement:
    """How our world becomes the scene."""

    to_scene: WorldTransform  # our world -> the scene
    size_known: bool
    up: str = "z"  # the axis of a rig's own coordinates that points up in the scene
    like_rig: bool = False  # the scene is that of a rig

    @property
    def to_rig(self) -> Rotation:
        """The scene -> the rig's own coordinates; the identity without a rig."""
        return transposed(TO_Z_UP[self.up])


def parse_length(name: str, text: str) -> float:
    """A length with its unit in metres; UsageError without one, and for lengths that no object has.

    `name` is what people call it: a flag, or the label of a field.
    """
    found = LENGTH.fullmatch(text)
    units = f"one of {', '.join(UNITS)}"
    if found is None:
        negative = text.strip().startswith("-") and LENGTH.fullmatch(text.strip()[1:])
        wrong = "a length must be above 0" if negative else f"write a number and {units}, as {name} 0.45m"
        raise UsageError(f"{name} {text}: {wrong}")
    number, unit = float(found[1]), found[2].lower()
    if not unit:
        raise UsageError(f"{name} {text} has no unit; write {units}: {name} {text.strip()}m, {name} {text.strip()}cm")
    if unit not in UNITS:
        raise UsageError(f"{name} {text}: {unit} is no unit that is known; write {units}")
    if not number:
        raise UsageError(f"{name} {text}: a length must be above 0")
    if not MIN_LENGTH <= number * UNITS[unit] <= MAX_LENGTH:
        raise UsageError(f"{name} {text}: lengths are between 1 micrometre and 1000 kilometres")
    return number * UNITS[unit]


def parse_scale(name: str, text: str) -> float:
    """Metres per unit of our world; UsageError for what is no number above 0. `name` as in `parse_length`."""
    try:
        scale = float(text)
    except ValueError as error:
        raise UsageError(f"{name} {text}: write a number without a unit: metres per unit of the project") from error
    if not MIN_LENGTH <= scale <= MAX_LENGTH:
        raise UsageError(f"{name} {text}: a scale must be above 0, and between 1e-6 and 1e6")
    return scale


def place(box: Box, settings: ExportSettings) -> Placement:
    """The object at the wanted size, its pivot at the origin; InputError for a mesh without the extent asked for."""
    scale = _scale(box, settings.size_by, settings.size)
    x, y, z = (-scale * value for value in _pivot_point(box, settings.pivot))
    return Placement(WorldTransform(scale, UPRIGHT, (x, y, z)), settings.size_by != "none")


def place_like_rig(frame: WorldTransform, up: str = "") -> Placement:
    """The object in the coordinates of the rig whose transform into our world is `frame`.

    `up` is the axis of the rig that points up; empty is the one that the photos' import found, or the nearest to it.
    """
    up = up or nearest_axis(frame.rotation[2])
    back = inverse(frame)
    turn = TO_Z_UP[up]
    return Placement(WorldTransform(back.scale, product(turn, back.rotation), rotated(turn, back.translation)),
                     size_known=True, up=up, like_rig=True)  # fmt: skip


def tilt(frame: WorldTransform) -> bool:
    """Whether up lies between a rig's axes, so that the object stands tilted in the rig's coordinates."""
    up = frame.rotation[2]
    return 1.0 - max(abs(value) for value in up) > 0.5 * MAX_TILT**2


def nearest_axis(direction: Vector) -> str:
    """The axis x, -x ... -z that is nearest to a direction."""
    number = max(range(3), key=lambda axis: abs(direction[axis]))
    return f"{'-' if direction[number] < 0.0 else ''}{'xyz'[number]}"


def inverse(transform: WorldTransform) -> WorldTransform:
    """The transform back."""
    back = transposed(transform.rotation)
    x, y, z = (-value / transform.scale for value in rotated(back, transform.translation))
    return WorldTransform(1.0 / transform.scale, back, (x, y, z))


def turned(camera: Camera, turn: Rotation) -> Camera:
    """A camera in a world that is rotated about its origin."""
    return WorldTransform(1.0, turn, (0.0, 0.0, 0.0)).camera(camera)


def transposed(rotation: Rotation) -> Rotation:
    """The inverse of a rotation."""
    a, b, c = zip(*rotation, strict=True)
    return a, b, c


def product(first: Rotation, second: Rotation) -> Rotation:
    """The rotation that applies `second`, then `first`."""
    a, b, c = (rotated(transposed(second), row) for row in first)
    return a, b, c


def rotated(rotation: Rotation, point: Sequence[float]) -> Vector:
    """A point, rotated about the origin."""
    x, y, z = (sum(a * b for a, b in zip(row, point, strict=True)) for row in rotation)
    return x, y, z


def _scale(box: Box, size_by: SizeBy, size: float) -> float:
    """Metres per unit of our world."""
    depth, width, height = box.size
    extents = {"height": height, "width": width, "longest": max(box.size)}
    if size_by not in extents:
        return size if size_by == "scale" else 1.0
    if extents[size_by] < MIN_LENGTH:
        other = max({"depth": depth, "width": width, "height": height}.items(), key=lambda side: side[1])[0]
        raise InputError(f"the mesh is flat: it has no {size_by} to be scaled by; its {other} is its longest side")
    return size / extents[size_by]


def _pivot_point(box: Box, pivot: Pivot) -> Vector:
    """The point of our world that becomes the scene's origin."""
    x, y, z = ((low + high) / 2.0 for low, high in zip(box.low, box.high, strict=True))
    return {"origin": (0.0, 0.0, 0.0), "centre": (x, y, z)}.get(pivot, (x, y, box.low[2]))
