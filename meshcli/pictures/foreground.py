"""Cut the object out of a photo: alpha that came with it, a plain background, or rembg, in this order.

What comes out is coverage, whatever alpha was when it came in.
"""

import contextlib
import io
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from meshcli.arrays import Mask
from meshcli.errors import InputError, MissingError
from meshcli.pictures.image import HAZE
from meshcli.pictures.pixels import Pixels
from meshcli.pictures.plain_background import background_of, is_background, matte, outside_of, softness
from meshcli.pictures.transparency import STEP, coverage, cuts_out, page
from meshcli.settings import PhotoSettings
from meshcli.weights.catalogue import MODELS
from meshcli.weights.download import pull
from meshcli.weights.locations import rembg_file

Method = Literal[
    "alpha",  # the file came with transparency
    "plain",  # one smooth background colour all round
    "rembg",  # a network decided
]

# A network's mask is its certainty, not the object's opacity: leaves, plates and dark shades that it half believes in
# are solid. Looked at with u2netp on six photos; below the first value lies the haze round an object.
DOUBT, CERTAINTY = 40.0, 150.0  # of 255

LEAST, MOST = 0.0005, 0.99  # of the frame that an object covers
BLANK = 3.0  # of 255: a picture of less contrast is one of nothing

NOT_PLAIN = "the background is not plain"
EMPTY = "the picture is empty, of one colour all over"
BY_HAND = "cut the object out by hand and save it as a PNG with transparency"


# What tells a page from a flat thing that fills its frame, in shares of the opaque part.
LEAST_OBJECT = 0.01  # a ball's highlight is smaller
LEAST_BACKGROUND = 0.2  # the frame of a picture or of a screen is less
LEAST_FLAT = 0.6  # of the background that is of its colour; a round thing's shades are not
NEARLY_ALL = 0.85  # of the frame


@dataclass(frozen=True)
class CutOut:
    """The object alone, white where alpha is 0, and how it was found."""

    pixels: Pixels  # (H, W, 4), alpha is coverage
    method: Method
    notes: tuple[str, ...] = ()  # what the user should know about it


def cut_out(pixels: Pixels, settings: PhotoSettings, rembg: bool = True, offline: bool = False) -> CutOut:
    """Find the object in a picture (H, W, 4); where one way fails, the next one is asked.

    Raises InputError when nothing, or nearly everything, is left over by all of them, and MissingError when only rembg
    could help and it cannot run.
    """
    rgb, alpha = pixels[..., :3], pixels[..., 3]
    failed: list[str] = []
    if alpha.min() < 255:
        found = _from_alpha(pixels)
        if isinstance(found, CutOut):
            return found
        failed.append(found)
    inside = _opaque_part(alpha)
    plain = _cut_from_plain(rgb) if inside.all() else NOT_PLAIN  # which `_from_alpha` has looked at already
    if not isinstance(plain, str):
        return CutOut(plain, "plain", _said(failed, "its plain background shows the object"))
    if plain == EMPTY:
        raise InputError(f"{plain}: {BY_HAND}")
    failed.append(plain)
    problem = ", ".join(failed)
    if not rembg:
        raise InputError(f"{problem}, and rembg was switched off: allow it, or {BY_HAND}")
    rgb = np.where(inside[..., None], rgb, np.uint8(255))
    mask = np.where(inside, _rembg_alpha(rgb, settings.rembg_model, offline, problem), np.uint8(0))
    if fault := _fault(mask, f"rembg's {settings.rembg_model}"):
        raise InputError(f"{problem}, and {fault}: {BY_HAND}")
    return CutOut(_whitened(rgb, mask), "rembg", _said(failed, "rembg found the object"))


def cut_from_page(pixels: Pixels) -> Pixels | None:
    """The object (H, W, 4) on a page of one colour, when the transparency only trims that page; None when it does not.

    Rounded corners, the clear corners of a picture that was turned, a clear border.
    """
    inside = page(pixels[..., 3])
    if inside is None:
        return None
    colours = pixels[..., :3].astype(np.float32)
    background = background_of(colours, inside)
    found = _cut_from_plain(pixels[..., :3], inside)
    if background is None or isinstance(found, str):
        return None
    covered = found[..., 3] >= 128
    rest = inside & ~covered
    flat = rest & is_background(colours, background)
    whole = inside.sum()
    enough = covered.sum() >= LEAST_OBJECT * whole and rest.sum() >= LEAST_BACKGROUND * whole
    return found if enough and flat.sum() >= LEAST_FLAT * rest.sum() else None


def plain_background_alpha(rgb: Pixels) -> Pixels | None:
    """Coverage (H, W) of the object in front of a smooth, nearly uniform background; None when there is none such."""
    colours = rgb.astype(np.float32)
    background = background_of(colours)
    if background is None:
        return None
    glows = float(background.mean()) < 225.0  # generated grey backgrounds have halos; white ones cannot
    alpha, _ = matte(colours, background, outside_of(colours, background, shadows=glows))
    return _to_bytes(alpha)


def _from_alpha(pixels: Pixels) -> CutOut | str:
    """By the transparency that came with the picture, or why that is of no use."""
    rgb, alpha = pixels[..., :3], pixels[..., 3]
    if alpha.max() < STEP:
        raise InputError(f"the transparency of this picture leaves nothing of it: {BY_HAND}")
    if not cuts_out(alpha):
        return "the transparency of this picture cuts nothing out"
    on_page = cut_from_page(pixels)
    if on_page is not None:
        trims = "its transparency trims a page and cuts nothing out; the page's plain background shows the object"
        return CutOut(on_page, "plain", (trims,))
    covered = coverage(alpha)
    share = float((covered >= 128).mean())
    if share < LEAST:
        raise InputError(f"the transparency of this picture leaves nothing of the object (empty mask): {BY_HAND}")
    if fault := _fault(covered, "the transparency of this picture"):
        return fault
    doubt = share > NEARLY_ALL and page(alpha) is not None
    everything = "its transparency leaves nearly the whole frame: all of that is the object"
    return CutOut(_whitened(rgb, covered), "alpha", (everything,) if doubt else ())


def _opaque_part(alpha: Pixels) -> Mask:
    """Where a picture whose transparency is of no use can be looked at, (H, W)."""
    if not cuts_out(alpha):
        return np.ones(alpha.shape, bool)
    inside = page(alpha)
    return alpha >= STEP if inside is None else inside


def _cut_from_plain(rgb: Pixels, inside: Mask | None = None) -> Pixels | str:
    """The object's own colours and coverage (H, W, 4), or why background and object cannot be told apart."""
    colours = rgb.astype(np.float32)
    background = background_of(colours, inside)
    if background is None:
        return NOT_PLAIN
    if inside is not None:
        colours = np.where(inside[..., None], colours, background)
    outside = outside_of(colours, background, shadows=True)
    if outside.all() and np.ptp(colours.reshape(-1, 3), axis=0).max() < BLANK:
        return EMPTY
    if not outside.all() and softness(colours, background, outside) > 0.2:
        return "the object fades into the plain background"
    alpha, own = matte(colours, background, outside)
    found = _whitened(_to_bytes(own / 255.0), _to_bytes(alpha))
    return _fault(found[..., 3], "the plain background of this picture") or found


def _rembg_alpha(rgb: Pixels, model: str, offline: bool, problem: str) -> Pixels:
    """The mask (H, W) of a salient-object network; `problem` is why the ways before it have failed."""
    if offline and rembg_file(model) is None:
        raise MissingError(
            f"{problem}, and rembg's model {model} is not on this machine: `meshcli models pull {model}` gets it, or "
            f"put {model}.onnx into ~/.u2net (or $U2NET_HOME), or {BY_HAND}"
        )
    try:
        import rembg  # slow, and it ends the program when onnxruntime is missing

        _fetch(model, problem)
        with contextlib.redirect_stderr(io.StringIO()):  # download bar
            session = rembg.new_session(model)
            if not session.is_local():
                raise MissingError(f"rembg's {model} sends the photo to a service; take a model that runs here: u2netp")
            mask = np.asarray(rembg.remove(np.ascontiguousarray(rgb), session=session, only_mask=True), np.float32)
            return _to_bytes((mask - DOUBT) / (CERTAINTY - DOUBT))
    except (ImportError, SystemExit) as error:
        raise MissingError(f"{problem}, and rembg cannot start: `pip install 'rembg[cpu]'`, or {BY_HAND}") from error
    except MissingError:
        raise
    except Exception as error:  # onnxruntime, pooch and requests share no base class
        raise MissingError(f"rembg's model {model} cannot be used ({_first_line(error)}); {BY_HAND}") from error


def _fetch(model: str, problem: str) -> None:
    """Get the network where it is not here yet; rembg itself would do so with a page of text when it cannot."""
    if rembg_file(model) is None and model in MODELS and MODELS[model].md5:
        try:
            pull(MODELS[model])
        except MissingError as error:
            raise MissingError(f"{problem}, and {error}, or {BY_HAND}") from error


def _fault(alpha: Pixels, source: str) -> str:
    """What is wrong with a mask that shows nothing or hides nothing."""
    covered = float((alpha >= 128).mean())
    if covered < LEAST:
        return f"{source} leaves nothing of the object (empty mask)"
    return f"{source} makes the whole frame the object (full-frame mask; leave room round it)" if covered > MOST else ""


def _said(failed: list[str], found: str) -> tuple[str, ...]:
    """A note when the first way was not the right one."""
    return (f"{', '.join(failed)}; {found}",) if failed else ()


def _whitened(rgb: Pixels, alpha: Pixels) -> Pixels:
    """RGBA without haze, white where nothing is to be seen."""
    clean = np.where(alpha < HAZE, 0, alpha).astype(np.uint8)[..., None]
    return np.concatenate([np.where(clean > 0, rgb, np.uint8(255)), clean], axis=-1)


def _to_bytes(values: NDArray[np.float32]) -> Pixels:
    return (values * 255.0).round().clip(0, 255).astype(np.uint8)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
