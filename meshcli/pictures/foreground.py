"""Cut the object out of a photo: by its own alpha, by a plain background, or with rembg, in this order or as named.

Where a cut-out by the plain background looks doubtful, rembg's is compared with it if its model is on this machine.

The alpha of the result is coverage, whatever the photo's alpha was.
"""

import contextlib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from meshcli.arrays import Mask
from meshcli.errors import InputError, MissingError
from meshcli.pictures.image import HAZE_ALPHA, over
from meshcli.pictures.pixels import Pixels
from meshcli.pictures.plain_background import (
    background_mask,
    estimate_background,
    estimate_matte,
    is_background,
    rim_softness,
)
from meshcli.pictures.plain_doubts import PlainDoubts
from meshcli.pictures.transparency import MIN_STEP, has_cut_out, opacity_to_coverage, page_mask
from meshcli.settings import PhotoSettings
from meshcli.weights.catalogue import MODELS
from meshcli.weights.download import pull
from meshcli.weights.kept_networks import file_key, kept_networks
from meshcli.weights.locations import rembg_file, rembg_folders

Method = Literal[
    "alpha",  # the photo's own transparency
    "plain",  # a smooth background of one colour all round
    "rembg",  # a salient-object network
]

# A network's mask is its confidence, not the object's opacity: leaves, plates and dark shades of medium confidence are
# solid. Mask values (of 255) from MASK_LOW to MASK_HIGH are stretched to 0 to 255. Chosen by eye with u2netp on six
# photos; below MASK_LOW lies the haze around an object.
MASK_LOW, MASK_HIGH = 40.0, 150.0

# The share of the frame that an object may cover. By choice: less is about 7 x 7 pixels of a view, too few for a shape,
# and more leaves no outline.
MIN_OBJECT_SHARE, MAX_OBJECT_SHARE = 0.0005, 0.99
MIN_CONTRAST = 3.0  # of 255, by choice: a picture with less, the noise of an 8-bit picture, is empty
# Of the object's rim that may hardly differ from a plain background; by choice: beyond, rembg is the better guess.
MAX_RIM_SOFTNESS = 0.2

REMBG_IS_BETTER = "its plain background leaves holes, specks or pieces of shadow that rembg does not; rembg's is taken"
DOUBTFUL = "its plain background may have left holes, specks or pieces of shadow in the cut-out"
NOT_PLAIN = "the background is not plain"
EMPTY = "the picture is empty, of one colour all over"
BY_HAND = "cut the object out by hand and save it as a PNG with transparency"


# What distinguishes an object on a page from a thing that fills its frame, in shares of the opaque part. By choice;
# tests/pictures/test_foreground.py tries them on balls, boxes and books.
MIN_ON_PAGE = 0.01  # covered by the object; the highlight of a ball is smaller
MIN_PAGE_BACKGROUND = 0.2  # not covered by it; the frame of a picture or of a screen is less
MIN_PAGE_FLATNESS = 0.6  # share of that background which has its colour; the shades of a round thing do not
FULL_FRAME_SHARE = 0.85  # of the frame: an alpha that leaves more than this deserves a note


@dataclass(frozen=True)
class CutOut:
    """The object alone, white where alpha is 0, and the method that found it."""

    pixels: Pixels  # (H, W, 4), alpha is coverage
    method: Method
    notes: tuple[str, ...] = ()  # for the user
    uncompared: bool = False  # it looks doubtful, and rembg's network, to be compared with, is not on this machine


def cut_out(
    pixels: Pixels, settings: PhotoSettings, rembg: bool = True, offline: bool = False, weights: Path | None = None
) -> CutOut:
    """Find the object in a picture (H, W, 4) by the method of the settings; `auto` tries one after the other.

    `weights`, from --weights, is the first place where rembg's model is searched.
    Raises InputError when all methods leave nothing or nearly everything, and MissingError when only rembg could help
    and it cannot run.
    """
    if settings.cutout == "alpha":
        return _by_alpha(pixels)
    if settings.cutout == "plain":
        return _by_plain_background(pixels)
    if settings.cutout == "rembg":
        return _by_rembg(over(pixels), settings.rembg_model, offline, "rembg is to cut it out", weights)
    rgb, alpha = pixels[..., :3], pixels[..., 3]
    failed: list[str] = []
    if alpha.min() < 255:
        found = _from_alpha(pixels)
        if isinstance(found, CutOut):
            return found
        failed.append(found)
    inside = _usable_part(alpha)
    plain = _cut_from_plain(rgb) if inside.all() else NOT_PLAIN  # otherwise `_from_alpha` has tried
    if not isinstance(plain, str):
        note = _fallback_note(failed, "its plain background shows the object")
        better = _better_cut_out(rgb, plain, settings.rembg_model if rembg else "", weights)
        return replace(better, notes=(*note, *better.notes))
    if plain == EMPTY:
        raise InputError(f"{plain}: {BY_HAND}")
    failed.append(plain)
    problem = ", ".join(failed)
    if not rembg:
        raise InputError(f"{problem}, and rembg was switched off: allow it, or {BY_HAND}")
    rgb = np.where(inside[..., None], rgb, np.uint8(255))
    found_by_rembg = _by_rembg(rgb, settings.rembg_model, offline, problem, weights, inside)
    return replace(found_by_rembg, notes=_fallback_note(failed, "rembg found the object"))


def _by_alpha(pixels: Pixels) -> CutOut:
    """Cut out by transparency alone."""
    if not has_cut_out(pixels[..., 3]):
        raise InputError(f"its transparency is to cut it out, and there is none that separates anything: {BY_HAND}")
    covered = opacity_to_coverage(pixels[..., 3])
    if fault := _mask_fault(covered, "the transparency of this picture"):
        raise InputError(f"{fault}: {BY_HAND}")
    return CutOut(_on_white(pixels[..., :3], covered), "alpha")


def _by_plain_background(pixels: Pixels) -> CutOut:
    """Cut out by a plain background alone; what is transparent counts as white."""
    found = cut_from_page(pixels) if pixels[..., 3].min() < 255 else None
    plain = _cut_from_plain(over(pixels)) if found is None else found
    if isinstance(plain, str):
        raise InputError(f"its plain background is to cut it out, and {plain}: {BY_HAND}")
    return CutOut(plain, "plain")


def _by_rembg(
    rgb: Pixels, model: str, offline: bool, problem: str, weights: Path | None, inside: Mask | None = None
) -> CutOut:
    """Cut out with a salient-object network, within `inside`; `problem` says why no other method is taken."""
    mask = _rembg_mask(rgb, model, offline, problem, weights)
    if inside is not None:
        mask = np.where(inside, mask, np.uint8(0))
    if fault := _mask_fault(mask, f"rembg's {model}"):
        raise InputError(f"{problem}, and {fault}: {BY_HAND}")
    return CutOut(_on_white(rgb, mask), "rembg")


def _better_cut_out(rgb: Pixels, plain: Pixels, model: str, weights: Path | None) -> CutOut:
    """The cut-out by the plain background, or rembg's where that mends more than it spoils.

    Only a doubtful cut-out is compared. `model` is empty where rembg is switched off; nothing is downloaded.
    """
    doubts = PlainDoubts.about(rgb, plain)
    kept = CutOut(plain, "plain")
    if not doubts.suspicious:
        return kept
    if model and rembg_file(model, weights) is not None:
        with contextlib.suppress(MissingError, InputError):  # the plain background has shown the object already
            other = _by_rembg(rgb, model, True, NOT_PLAIN, weights)
            better = doubts.prefers(other.pixels[..., 3])
            if better or not doubts.visible:
                return replace(other, notes=(REMBG_IS_BETTER,)) if better else kept
            return replace(kept, notes=(f"{DOUBTFUL}; rembg's has others: {BY_HAND}",))
    advice = f"get rembg's network (`meshcli models pull {model}`) and say --cutout rembg, or " if model else ""
    if not doubts.visible:
        return kept
    return replace(kept, notes=(f"{DOUBTFUL}; if so, {advice}{BY_HAND}",), uncompared=bool(model))


def cut_from_page(pixels: Pixels) -> Pixels | None:
    """The object (H, W, 4) on a page of one colour whose transparency only trims the page; None for anything else.

    Such transparency is rounded corners, the clear corners of a rotated picture, or a clear border.
    """
    inside = page_mask(pixels[..., 3])
    if inside is None:
        return None
    colours = pixels[..., :3].astype(np.float32)
    background = estimate_background(colours, inside)
    found = _cut_from_plain(pixels[..., :3], inside)
    if background is None or isinstance(found, str):
        return None
    covered = found[..., 3] >= 128
    rest = inside & ~covered
    flat = rest & is_background(colours, background)
    whole = inside.sum()
    enough = covered.sum() >= MIN_ON_PAGE * whole and rest.sum() >= MIN_PAGE_BACKGROUND * whole
    return found if enough and flat.sum() >= MIN_PAGE_FLATNESS * rest.sum() else None


def plain_background_alpha(rgb: Pixels) -> Pixels | None:
    """Coverage (H, W) of the object in front of a smooth, nearly uniform background; None without such a background."""
    colours = rgb.astype(np.float32)
    background = estimate_background(colours)
    if background is None:
        return None
    glows = float(background.mean()) < 225.0  # generated grey backgrounds have halos; white ones cannot
    alpha, _ = estimate_matte(colours, background, background_mask(colours, background, shadows=glows))
    return _to_bytes(alpha)


def _from_alpha(pixels: Pixels) -> CutOut | str:
    """Cut out by the picture's own transparency; if that fails, the reason."""
    rgb, alpha = pixels[..., :3], pixels[..., 3]
    if alpha.max() < MIN_STEP:
        raise InputError(f"the transparency of this picture leaves nothing of it: {BY_HAND}")
    if not has_cut_out(alpha):
        return "the transparency of this picture cuts nothing out"
    on_page = cut_from_page(pixels)
    if on_page is not None:
        trims = "its transparency trims a page and cuts nothing out; the page's plain background shows the object"
        return CutOut(on_page, "plain", (trims,))
    covered = opacity_to_coverage(alpha)
    share = float((covered >= 128).mean())
    if share < MIN_OBJECT_SHARE:
        raise InputError(f"the transparency of this picture leaves nothing of the object (empty mask): {BY_HAND}")
    if fault := _mask_fault(covered, "the transparency of this picture"):
        return fault
    doubt = share > FULL_FRAME_SHARE and page_mask(alpha) is not None
    everything = "its transparency leaves nearly the whole frame: all of that is the object"
    return CutOut(_on_white(rgb, covered), "alpha", (everything,) if doubt else ())


def _usable_part(alpha: Pixels) -> Mask:
    """The part (H, W) of a picture to look at if its transparency cuts nothing out."""
    if not has_cut_out(alpha):
        return np.ones(alpha.shape, bool)
    inside = page_mask(alpha)
    return alpha >= MIN_STEP if inside is None else inside


def _cut_from_plain(rgb: Pixels, inside: Mask | None = None) -> Pixels | str:
    """The object's own colours and coverage (H, W, 4); if it cannot be told from the background, the reason."""
    colours = rgb.astype(np.float32)
    background = estimate_background(colours, inside)
    if background is None:
        return NOT_PLAIN
    if inside is not None:
        colours = np.where(inside[..., None], colours, background)
    outside = background_mask(colours, background, shadows=True)
    if outside.all() and np.ptp(colours.reshape(-1, 3), axis=0).max() < MIN_CONTRAST:
        return EMPTY
    if not outside.all() and rim_softness(colours, background, outside) > MAX_RIM_SOFTNESS:
        return "the object fades into the plain background"
    alpha, own = estimate_matte(colours, background, outside)
    found = _on_white(_to_bytes(own / 255.0), _to_bytes(alpha))
    return _mask_fault(found[..., 3], "the plain background of this picture") or found


def _rembg_mask(rgb: Pixels, model: str, offline: bool, problem: str, weights: Path | None) -> Pixels:
    """The mask (H, W) of a salient-object network; `problem` says why the methods before it have failed."""
    if offline and rembg_file(model, weights) is None:
        raise MissingError(
            f"{problem}, and rembg's model {model} is not on this machine: `meshcli models pull {model}` gets it, or "
            f"put {model}.onnx into {rembg_folders(model)[0]}, or {BY_HAND}"
        )
    import meshcli.system.numba_kernel  # noqa: F401  # tells that rembg's libraries compile: minutes, the first time

    try:
        import rembg  # slow, and it ends the program when onnxruntime is missing

        _fetch_model(model, problem, weights)
        file = rembg_file(model, weights)
        with _home_of_rembg(file), contextlib.redirect_stderr(io.StringIO()):  # download bar
            kept = kept_networks()
            key = model, file_key(file) if file else None
            session = kept.get("rembg", key, lambda: rembg.new_session(model)) if kept else rembg.new_session(model)
            if not session.is_local():
                raise MissingError(f"rembg's {model} sends the photo to a service; take a model that runs here: u2netp")
            mask = np.asarray(rembg.remove(np.ascontiguousarray(rgb), session=session, only_mask=True), np.float32)
            return _to_bytes((mask - MASK_LOW) / (MASK_HIGH - MASK_LOW))
    except (ImportError, SystemExit) as error:
        raise MissingError(f"{problem}, and rembg cannot start: `pip install 'rembg[cpu]'`, or {BY_HAND}") from error
    except MissingError:
        raise
    except Exception as error:  # onnxruntime, pooch and requests share no base class
        where = rembg_file(model, weights)
        named = f"{model} ({where})" if where else model
        raise MissingError(
            f"rembg's model {named} cannot be used ({_first_line(error)}); {_check_hint(model)}{BY_HAND}"
        ) from error


@contextlib.contextmanager
def _home_of_rembg(file: Path | None) -> Iterator[None]:
    """Let rembg read a model's file where it lies, through the environment variable that rembg looks at."""
    before = os.environ.get("U2NET_HOME")
    if file is None or file.parent in rembg_folders(file.stem):
        yield
        return
    os.environ["U2NET_HOME"] = str(file.parent.absolute())
    try:
        yield
    finally:
        if before is None:
            del os.environ["U2NET_HOME"]
        else:
            os.environ["U2NET_HOME"] = before


def _fetch_model(model: str, problem: str, weights: Path | None) -> None:
    """Download the network if it is missing; rembg's own download fails with a page of text."""
    if rembg_file(model, weights) is None and model in MODELS and MODELS[model].md5:
        try:
            pull(MODELS[model])
        except MissingError as error:
            raise MissingError(f"{problem}, and {error}, or {BY_HAND}") from error


def _mask_fault(alpha: Pixels, source: str) -> str:
    """What is wrong with a mask (H, W) that leaves nothing or everything; empty if it is usable."""
    covered = float((alpha >= 128).mean())
    if covered < MIN_OBJECT_SHARE:
        return f"{source} leaves nothing of the object (empty mask)"
    if covered > MAX_OBJECT_SHARE:
        return f"{source} makes the whole frame the object (full-frame mask; leave room round it)"
    return ""


def _fallback_note(failed: list[str], found: str) -> tuple[str, ...]:
    """A note if methods have failed before one succeeded."""
    return (f"{', '.join(failed)}; {found}",) if failed else ()


def _on_white(rgb: Pixels, alpha: Pixels) -> Pixels:
    """RGBA (H, W, 4) without haze, white where alpha is 0."""
    clean = np.where(alpha < HAZE_ALPHA, 0, alpha).astype(np.uint8)[..., None]
    return np.concatenate([np.where(clean > 0, rgb, np.uint8(255)), clean], axis=-1)


def _to_bytes(values: NDArray[np.float32]) -> Pixels:
    return (values * 255.0).round().clip(0, 255).astype(np.uint8)


def _check_hint(model: str) -> str:
    """How to find out whether the file of a network is damaged; empty for one whose checksum is not known."""
    return f"`meshcli models verify {model}` checks the file, or " if model in MODELS else ""


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
