"""A camera's lens and sensor in millimetres, as film and animation programs state them. Light: no numpy.

Photos tell angles, not millimetres: only the ratios of these numbers mean something. The longer side of the sensor is
that of 35 mm film, so that focal lengths are the equivalents that photographers know.
"""

from dataclasses import dataclass

from meshcli.export.scene import SceneCamera

FULL_FRAME = 36.0  # mm: the longer side of a picture on 35 mm film


@dataclass(frozen=True)
class FilmBack:
    """Lens and sensor in millimetres. Pixels need not be square: the sensor has the shape of what the camera sees."""

    focal_length: float
    width: float  # of the sensor
    height: float
    # How far the sensor's centre lies from the point that the lens looks at straight ahead, in the picture's plane: to
    # the right and upwards as one sees the picture. 0 where the principal point is the picture's centre.
    right: float = 0.0
    up: float = 0.0


def film_back(camera: SceneCamera) -> FilmBack:
    """The lens and sensor of a camera."""
    lens = camera.camera
    width, height = 1.0, lens.fx / lens.fy  # the focal length is fx here
    size = FULL_FRAME / max(width, height)
    width, height = size * width, size * height
    return FilmBack(lens.fx * size, width, height, (0.5 - lens.cx) * width, (lens.cy - 0.5) * height)
