"""Photos at smaller sizes and with less contrast."""

from dataclasses import replace

import numpy as np

from meshcli.pictures.image import resize
from meshcli.views.view import View


def shrunk(photo: View, size: int) -> View:
    """The photo with at most `size` pixels along its longer side."""
    scale = min(1.0, size / max(photo.width, photo.height))
    return replace(
        photo, pixels=resize(photo.pixels, max(1, round(photo.width * scale)), max(1, round(photo.height * scale)))
    )


def with_contrast(photo: View, contrast: float) -> View:
    """The photo with its contrast inside the silhouette reduced, which weights the outline more than the texture."""
    seen = photo.pixels[..., 3] >= 128
    mean = photo.pixels[seen][:, :3].mean(axis=0)
    colours = mean + contrast * (photo.pixels[..., :3] - mean)
    return replace(photo, pixels=np.concatenate([colours.round().astype(np.uint8), photo.pixels[..., 3:]], axis=-1))
