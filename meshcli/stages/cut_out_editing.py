"""Mending the mask of a cut-out: the photo in the cut-out's frame, and a new alpha. Light until it works.

The result is a cut-out edited by hand, as by any paint program: `generate` keeps it and makes new views from it.
"""

import io

from meshcli.config import TypedSettings
from meshcli.errors import InputError, ProjectError, UsageError
from meshcli.pictures.pixels import Pixels
from meshcli.project.manifest import Manifest, Photo
from meshcli.project.project import Project
from meshcli.stages.settings_in_force import settings_in_force

MASK_LEVELS = 8  # of 255 by which a mask pixel must differ to count as painted: browsers blend edges, cut-outs too


def editable_photo(manifest: Manifest, name: str) -> Photo:
    """The photo of this name; UsageError where there is none, or where it is no cut-out that could be mended."""
    photo = next((photo for photo in manifest.active_photos if photo.name == name), None)
    if photo is None:
        raise UsageError(f"there is no photo {name[:20]!r}")
    if not photo.prepared or photo.stated.ready:
        raise UsageError(f"photo {name} has no cut-out to mend")
    return photo


def photo_in_frame(project: Project, manifest: Manifest, name: str) -> Pixels:
    """The original photo in the frame of its cut-out, (H, W, 3): white outside of the photo.

    Raises UsageError and InputError.
    """
    from meshcli.pictures.image import load_picture, resize

    photo = editable_photo(manifest, name)
    settings = settings_in_force("generate", manifest.stages.get("generate"), TypedSettings()).settings.photo
    cut_out = load_picture(project.path(photo.file), settings.max_pixels)
    height, width = cut_out.shape[:2]
    original = load_picture(project.path(photo.original), settings.max_pixels, settings.side)
    full_height, full_width = original.shape[:2]
    left, top, share_x, share_y = photo.crop
    # The frame has pixels of its own size where it was not resized since: then this is exact.
    scale_x, scale_y = width / (share_x * full_width), height / (share_y * full_height)
    resized = resize(original, max(1, round(full_width * scale_x)), max(1, round(full_height * scale_y)))
    return _pasted(resized, round(left * resized.shape[1]), round(top * resized.shape[0]), width, height)


def save_mask(project: Project, name: str, mask_png: bytes, seen_sha256: str) -> None:
    """Replace the alpha of a cut-out, atomically and under the lock, by the grey values of a PNG of the same size.

    Pixels whose alpha stays have their colours as before; others take the photo's. `seen_sha256` is that of the cut-out
    that was painted over: ProjectError where another one is there by now. Raises InputError for what is no such mask.
    """
    import numpy as np

    from meshcli.pictures.image import encode_png, load_picture

    with project.write_lock():
        manifest = project.load()
        photo = editable_photo(manifest, name)
        if project.digest(photo.file) != seen_sha256:
            raise ProjectError(f"the cut-out of photo {name} has changed meanwhile; open it again")
        cut_out = load_picture(project.path(photo.file))
        mask = _read_mask(mask_png, cut_out.shape[:2])
        painted = np.abs(mask.astype(np.int16) - cut_out[..., 3]) > MASK_LEVELS
        alpha = np.where(painted, mask, cut_out[..., 3])
        if np.count_nonzero(alpha.any(axis=1)) < 2 or np.count_nonzero(alpha.any(axis=0)) < 2:
            raise InputError("nothing would be left of the object")
        fresh = painted & (alpha > cut_out[..., 3])
        edited = cut_out.copy()
        edited[..., :3] = np.where(fresh[..., None], photo_in_frame(project, manifest, name), cut_out[..., :3])
        edited[..., 3] = alpha
        edited[alpha == 0, :3] = 255  # engines that read RGB alone expect white
        if (edited != cut_out).any():
            project.write({photo.file: encode_png(edited)})


def _read_mask(png: bytes, size: tuple[int, ...]) -> Pixels:
    """A mask (H, W) of this height and width, from the red channel of a PNG; InputError for anything else."""
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(png), formats=["PNG"]) as picture:
            if (picture.height, picture.width) != size:
                raise InputError(f"the mask has {picture.width} x {picture.height} pixels, not {size[1]} x {size[0]}")
            return np.asarray(picture.convert("RGB"))[..., 0]
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise InputError(f"the mask is no PNG: {error}") from error


def _pasted(picture: Pixels, left: int, top: int, width: int, height: int) -> Pixels:
    """A part of a picture (H, W, 4) over white, (height, width, 3); it may reach beyond the picture."""
    import numpy as np

    from meshcli.pictures.image import over

    result = np.full((height, width, 3), 255, np.uint8)
    rows = slice(max(0, -top), min(height, picture.shape[0] - top))
    columns = slice(max(0, -left), min(width, picture.shape[1] - left))
    if rows.start < rows.stop and columns.start < columns.stop:
        part = picture[rows.start + top : rows.stop + top, columns.start + left : columns.stop + left]
        result[rows, columns] = over(part)
    return result
