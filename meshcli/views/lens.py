"""The field of view of a lens, from focal length and sensor, as typed or as the picture file says (EXIF). Light."""

import math

from meshcli.errors import UsageError
from meshcli.pictures.source_photo import (
    FOCAL_LENGTH,
    FOCAL_LENGTH_35MM,
    FOCAL_PLANE_UNIT,
    FOCAL_PLANE_X,
    FOCAL_PLANE_Y,
    PIXEL_HEIGHT,
    PIXEL_WIDTH,
    PictureHeader,
)

# Width and height in millimetres; the inches of video are the outer diameter of camera tubes, not a diagonal.
SENSORS = {
    "full": (36.0, 24.0),
    "aps-c": (23.5, 15.6),
    "mft": (17.3, 13.0),
    "1": (13.2, 8.8),
    "2/3": (8.8, 6.6),
    "1/2": (6.4, 4.8),
    "1/3": (4.8, 3.6),
}
FULL_FRAME_DIAGONAL = math.hypot(36.0, 24.0)  # millimetres; what "35 mm equivalent" refers to
UNITS = {2: 25.4, 3: 10.0, 4: 1.0}  # EXIF's FocalPlaneResolutionUnit in millimetres; 2, inches, is its default
# The short side over the long one may differ by as much from the picture that the camera took; more means that it was
# cropped since. By choice: programs that shrink round to whole pixels, while 3:2 and 4:3 differ by 0.08.
ASPECT_TOLERANCE = 0.02

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


def exif_field_of_view(header: PictureHeader) -> float | None:
    """Vertical, in degrees, from what the camera wrote; None when it did not, or the picture was cropped since."""
    (width, height), tags = header.size, header.lens
    taken = _positive(tags.get(PIXEL_WIDTH)), _positive(tags.get(PIXEL_HEIGHT))
    if all(taken) and abs(min(taken) / max(taken) - min(width, height) / max(width, height)) > ASPECT_TOLERANCE:
        return None
    if focal := _positive(tags.get(FOCAL_LENGTH_35MM)):
        diagonal = math.hypot(width, height)
        return math.degrees(2.0 * math.atan(0.5 * FULL_FRAME_DIAGONAL * height / diagonal / focal))
    focal, unit = _positive(tags.get(FOCAL_LENGTH)), UNITS.get(int(_positive(tags.get(FOCAL_PLANE_UNIT)) or 2))
    across, down = _positive(tags.get(FOCAL_PLANE_X)), _positive(tags.get(FOCAL_PLANE_Y))
    if not (focal and unit and across and down and all(taken)):
        return None
    return field_of_view(focal, (taken[0] * unit / across, taken[1] * unit / down), (width, height))


def _positive(value: object) -> float:
    """An EXIF number; 0 for anything that is none."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, ZeroDivisionError):
        return 0.0
    return number if math.isfinite(number) and number > 0.0 else 0.0
