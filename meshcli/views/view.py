"""A view: a picture with its camera."""

from dataclasses import dataclass

from meshcli.pictures.pixels import Pixels
from meshcli.views.camera import Camera

VIEW_SIZE = 320  # pixels along a side of a generated view, as Zero123++ makes them and the LRM expects them


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
