"""Cut the object out of a photo: alpha that came with it, a plain background, or rembg, in this order."""

import contextlib
import io
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from meshcli.download import pull
from meshcli.errors import InputError, MissingError
from meshcli.image import HAZE
from meshcli.models import MODELS
from meshcli.plain_background import background_of, matte, outside_of, softness
from meshcli.settings import PhotoSettings
from meshcli.view import Pixels
from meshcli.weights import rembg_file

Method = Literal[
    "alpha",  # the file came with transparency
    "plain",  # one smooth background colour all round
    "rembg",  # a network decided
]

# A network's mask is its certainty, not the object's opacity: leaves, plates and dark shades that it half believes in
# are solid. Looked at with u2netp on six photos; below the first value lies the haze round an object.
DOUBT, CERTAINTY = 40.0, 150.0  # of 255

BY_HAND = "cut the object out by hand and save it as a PNG with transparency"


@dataclass(frozen=True)
class CutOut:
    """The object alone, white where alpha is 0, and how it was found."""

    pixels: Pixels  # (H, W, 4)
    method: Method


def cut_out(pixels: Pixels, settings: PhotoSettings, rembg: bool = True, offline: bool = False) -> CutOut:
    """Find the object in a picture (H, W, 4).

    Raises InputError when nothing, or nearly everything, is left over, and MissingError when only rembg could help
    and it cannot run.
    """
    if pixels[..., 3].min() < 255:
        _check(pixels[..., 3], "the transparency of this picture")
        return CutOut(_whitened(pixels[..., :3], pixels[..., 3]), "alpha")
    plain = _cut_from_plain(pixels[..., :3])
    if plain is not None:
        _check(plain[..., 3], "the plain background of this picture")
        return CutOut(plain, "plain")
    if not rembg:
        raise InputError(f"the background is not plain and rembg was switched off: allow it, or {BY_HAND}")
    alpha = _rembg_alpha(pixels[..., :3], settings.rembg_model, offline)
    _check(alpha, f"rembg's {settings.rembg_model}")
    return CutOut(_whitened(pixels[..., :3], alpha), "rembg")


def plain_background_alpha(rgb: Pixels) -> Pixels | None:
    """Coverage (H, W) of the object in front of a smooth, nearly uniform background; None when there is none such."""
    colours = rgb.astype(np.float32)
    background = background_of(colours)
    if background is None:
        return None
    glows = float(background.mean()) < 225.0  # generated grey backgrounds have halos; white ones cannot
    alpha, _ = matte(colours, background, outside_of(colours, background, shadows=glows))
    return _to_bytes(alpha)


def _cut_from_plain(rgb: Pixels) -> Pixels | None:
    """The object's own colours and coverage (H, W, 4); None when background and object cannot be told apart."""
    colours = rgb.astype(np.float32)
    background = background_of(colours)
    if background is None:
        return None
    outside = outside_of(colours, background, shadows=True)
    if not outside.all() and softness(colours, background, outside) > 0.2:
        return None
    alpha, own = matte(colours, background, outside)
    return _whitened(_to_bytes(own / 255.0), _to_bytes(alpha))


def _rembg_alpha(rgb: Pixels, model: str, offline: bool) -> Pixels:
    """The mask (H, W) of a salient-object network."""
    if offline and rembg_file(model) is None:
        raise MissingError(
            f"the background is not plain, and rembg's model {model} is not on this machine: `meshcli models pull "
            f"{model}` gets it, or put {model}.onnx into ~/.u2net (or $U2NET_HOME), or {BY_HAND}"
        )
    try:
        import rembg  # slow, and it ends the program when onnxruntime is missing

        _fetch(model)
        with contextlib.redirect_stderr(io.StringIO()):  # download bar
            session = rembg.new_session(model)
            if not session.is_local():
                raise MissingError(f"rembg's {model} sends the photo to a service; take a model that runs here: u2netp")
            mask = np.asarray(rembg.remove(np.ascontiguousarray(rgb), session=session, only_mask=True), np.float32)
            return _to_bytes((mask - DOUBT) / (CERTAINTY - DOUBT))
    except (ImportError, SystemExit) as error:
        raise MissingError(
            f"the background is not plain and rembg cannot start: `pip install 'rembg[cpu]'`, or {BY_HAND}"
        ) from error
    except MissingError:
        raise
    except Exception as error:  # onnxruntime, pooch and requests share no base class
        raise MissingError(f"rembg's model {model} cannot be used ({_first_line(error)}); {BY_HAND}") from error


def _fetch(model: str) -> None:
    """Get the network where it is not here yet; rembg itself would do so with a page of text when it cannot."""
    if rembg_file(model) is None and model in MODELS and MODELS[model].md5:
        try:
            pull(MODELS[model])
        except MissingError as error:
            raise MissingError(f"the background is not plain, and {error}, or {BY_HAND}") from error


def _check(alpha: Pixels, source: str) -> None:
    """Refuse a mask that shows nothing or hides nothing."""
    covered = float((alpha >= 128).mean())
    if covered < 0.0005:
        raise InputError(f"{source} leaves nothing of the object (empty mask): {BY_HAND}")
    if covered > 0.99:
        raise InputError(
            f"{source} makes the whole frame the object (full-frame mask): leave room round it, or {BY_HAND}"
        )


def _whitened(rgb: Pixels, alpha: Pixels) -> Pixels:
    """RGBA without haze, white where nothing is to be seen."""
    clean = np.where(alpha < HAZE, 0, alpha).astype(np.uint8)[..., None]
    return np.concatenate([np.where(clean > 0, rgb, np.uint8(255)), clean], axis=-1)


def _to_bytes(values: NDArray[np.float32]) -> Pixels:
    return (values * 255.0).round().clip(0, 255).astype(np.uint8)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
