"""Converts pickled weights once, to safetensors files that are memory-mapped from then on. Light.

The converted file lies beside the original where that is allowed, else in the data directory. Its metadata hold the
original's sha256, which identifies the original and stands for both files in fingerprints.
"""

import errno
from pathlib import Path

from meshcli.errors import MissingError
from meshcli.progress import Progress, Tell, silent, unheard
from meshcli.weights.locations import ORIGINAL_DIGEST_KEY, cached_digest, data_directory, hub_cache
from meshcli.weights.safetensors_file import read_header
from meshcli.weights.torch_checkpoint import convert_checkpoint

READ_ONLY_ERRORS = (errno.EACCES, errno.EPERM, errno.EROFS)


def ensure_safetensors(path: Path, prefix: str = "", progress: Progress = silent, tell: Tell = unheard) -> Path:
    """Path of a safetensors file with these weights: the file itself, an earlier conversion, or a new one.

    `prefix` is that of the network's tensors, see `catalogue.Model`. Raises MissingError for an unusable file,
    OSError such as for a full disk.
    """
    if path.suffix == ".safetensors":
        return path
    original = cached_digest(path)
    beside = path.with_suffix(".safetensors")
    elsewhere = data_directory() / "converted" / f"{path.stem}-{original[:16]}.safetensors"
    for target in (beside, elsewhere):
        if _original_digest(target) == original:
            return target
    tell(f"{path.name} is converted once, to be memory-mapped from now on")
    metadata = {ORIGINAL_DIGEST_KEY: original, "original": path.name}
    if _may_write(beside):
        try:
            convert_checkpoint(path, beside, prefix, metadata, progress)
        except OSError as error:
            if error.errno not in READ_ONLY_ERRORS:
                raise
        else:
            return beside
    convert_checkpoint(path, elsewhere, prefix, metadata, progress)
    return elsewhere


def _may_write(beside: Path) -> bool:
    """Whether a conversion may be written here: not in the Hub's cache, and not over a file that is no conversion."""
    if beside.absolute().is_relative_to(hub_cache().absolute()):
        return False
    return not beside.exists() or _original_digest(beside) is not None


def _original_digest(path: Path) -> str | None:
    """The sha256 of the file this one was converted from; None when it is no conversion, or damaged."""
    try:
        return read_header(path).metadata.get(ORIGINAL_DIGEST_KEY)
    except (OSError, MissingError):
        return None
