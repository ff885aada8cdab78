"""Pickled weights are converted once, beside them where that is allowed, and memory-mapped from then on. Light.

A conversion's metadata names its original's sha256: that tells whose it is, and stands for both in fingerprints.
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
    """The safetensors file of some weights: the file itself, its conversion, or one that is made now.

    `prefix` is that of the keys which belong to the network, see `models.Model`. Raises MissingError for a file that
    cannot be used; an OSError, such as a full disk, is the caller's.
    """
    if path.suffix == ".safetensors":
        return path
    original = cached_digest(path)
    beside = path.with_suffix(".safetensors")
    apart = data_directory() / "converted" / f"{path.stem}-{original[:16]}.safetensors"
    for target in (beside, apart):
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
    convert_checkpoint(path, apart, prefix, metadata, progress)
    return apart


def _may_write(beside: Path) -> bool:
    """Whether a conversion may have this name: the hub's cache is only read, and no file of somebody else replaced."""
    if beside.absolute().is_relative_to(hub_cache().absolute()):
        return False
    return not beside.exists() or _original_digest(beside) is not None


def _original_digest(path: Path) -> str | None:
    """The sha256 of what a file was converted from; None when it is no conversion, or a damaged one."""
    try:
        return read_header(path).metadata.get(ORIGINAL_DIGEST_KEY)
    except (OSError, MissingError):
        return None
