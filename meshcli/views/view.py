"""A view: a picture with its camera."""

from dataclasses import dataclass

from meshcli.pictures.pixels import Pixels
from meshcli.views.camera import Camera


@dataclass(frozen=True)
class View:
    """A picture of the object and the camera that it was taken with."""

    name: str
    pixels: Pixels  # (H, W, 4) straight alpha, sRGB; RGB where alpha is 0 is kept
    camera: Camera

    @property
    def height(self) -> int:
        """In pixels."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """In pixels."""
        return int(self.pixels.shape[1])

    @property
    def pixel_size(self) -> float:
        """Height of a pixel at the distance of the world's origin, in world units."""
        return self.camera.distance / (self.camera.fy * self.height)
