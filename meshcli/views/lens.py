"""What is known of a lens: focal length and sensor, as typed or as the picture file tells (EXIF). Light: no numpy."""

import math
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from meshcli.errors import UsageError
from meshcli.pictures.picture_file import ON_ITS_SIDE, opened, orientation, stored_orientation

if TYPE_CHECKING:
    from PIL.Image import Image

# Width and height in millimetres; video's inches are the outer diameter of camera tubes, not a diagonal.
SENSORS = {
    "full": (36.0, 24.0),
    "aps-c": (23.5, 15.6),
    "mft": (17.3, 13.0),
    "1": (13.2, 8.8),
    "2/3": (8.8, 6.6),
    "1/2": (6.4, 4.8),
    "1/3": (4.8, 3.6),
}
DIAGONAL = math.hypot(36.0, 24.0)  # of the film that "35 mm equivalent" means
FOCAL, WIDTH, HEIGHT, UNIT, ACROSS, DOWN, FOCAL_35 = 0x920A, 0xA002, 0xA003, 0xA210, 0xA20E, 0xA20F, 0xA405  # EXIF tags
EXIF = 0x8769  # where they are
UNITS = {2: 25.4, 3: 10.0, 4: 1.0}  # millimetres in the unit of the sensor's resolution
CROPPED = 0.02  # by more than this the shape of a picture may not differ from the one that the camera took

Size = tuple[float, float]


def read_sensor(text: str) -> Size:
    """`8.8x6.6` in millimetres, or a name: full, aps-c, mft, 1, 2/3, 1/2, 1/3."""
    named = SENSORS.get(text.lower().removesuffix('"').removesuffix("in"))
    if named:
        return named
    try:
        width, height = (float(word) for word in text.lower().split("x"))
    except ValueError as error:
        raise UsageError(
            f"--sensor {text}: write width x height in mm, like 8.8x6.6, or {', '.join(SENSORS)}"
        ) from error
    if not (0.0 < width < 1000.0 and 0.0 < height < 1000.0):
        raise UsageError(f"--sensor {text}: a sensor is between 0 and 1000 mm wide and high")
    return width, height


def field_of_view(focal: float, sensor: Size, picture: Size) -> float:
    """Vertical, in degrees, of a picture of width x height pixels.

    A picture that stands upright was taken with the sensor upright; one of another shape than the sensor was cut from
    its middle, as wide or as high as possible.
    """
    width, height = sensor if (picture[0] >= picture[1]) == (sensor[0] >= sensor[1]) else (sensor[1], sensor[0])
    used = min(height, width * picture[1] / picture[0])
    return math.degrees(2.0 * math.atan(0.5 * used / focal))


def picture_size(path: Path) -> tuple[int, int]:
    """Width and height of a picture in pixels, turned upright."""
    return _read(path)[0]


@dataclass(frozen=True)
class Stored:
    """How a picture lies in its file."""

    upright: tuple[int, int]  # width and height in pixels, as it is shown
    orientation: int  # EXIF's: how the pixels of the file are turned to be shown; 1 is not at all

    def turned_from(self, orientation: int) -> tuple[int, int]:
        """Width and height of what is shown like this after it was turned so."""
        width, height = self.upright
        return (height, width) if orientation in ON_ITS_SIDE else (width, height)


def stored(path: Path) -> Stored:
    """How a picture lies in its file; InputError when it cannot be read."""
    with opened(path) as picture:
        return Stored(_upright(picture), stored_orientation(picture))


def exif_field_of_view(path: Path) -> float | None:
    """Vertical, in degrees, from what the camera wrote; None when it did not, or the picture was cropped since."""
    (width, height), tags = _read(path)
    taken = _positive(tags.get(WIDTH)), _positive(tags.get(HEIGHT))
    if all(taken) and abs(min(taken) / max(taken) - min(width, height) / max(width, height)) > CROPPED:
        return None
    if focal := _positive(tags.get(FOCAL_35)):
        diagonal = math.hypot(width, height)
        return math.degrees(2.0 * math.atan(0.5 * DIAGONAL * height / diagonal / focal))
    focal, unit = _positive(tags.get(FOCAL)), UNITS.get(int(_positive(tags.get(UNIT)) or 2))
    across, down = _positive(tags.get(ACROSS)), _positive(tags.get(DOWN))
    if not (focal and unit and across and down and all(taken)):
        return None
    return field_of_view(focal, (taken[0] * unit / across, taken[1] * unit / down), (width, height))


def _read(path: Path) -> tuple[tuple[int, int], dict[int, object]]:
    with opened(path) as picture:
        tags: dict[int, object] = {}
        with suppress(Exception):  # damaged EXIF says nothing, in many ways
            tags = dict(picture.getexif().get_ifd(EXIF))
        return _upright(picture), tags


def _upright(picture: "Image") -> tuple[int, int]:
    width, height = picture.size
    return (height, width) if orientation(picture) in ON_ITS_SIDE else (width, height)


def _positive(value: object) -> float:
    """An EXIF number; 0 for anything that is none."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, ZeroDivisionError):
        return 0.0
    return number if math.isfinite(number) and number > 0.0 else 0.0
