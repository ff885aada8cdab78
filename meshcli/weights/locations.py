"""Finds weights on this machine and computes their digests. Light: paths and digests; nothing is loaded.

Search order: --weights, $MESHCLI_CKPTS, ./ckpts, the user's data directory; then the Hugging Face cache, which is read
only, or for rembg's models the folders where rembg keeps them.
Files have their published names. A pickled checkpoint (.ckpt, .bin) may have its conversion beside it, named
.safetensors, or in the data directory if it lies where nothing may be written.
"""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from meshcli.errors import MissingError
from meshcli.system.atomic_files import write_files
from meshcli.system.digests import digest, file_digest
from meshcli.weights.catalogue import COMPONENT_FILES, SETTINGS_FILES, Model, find_model
from meshcli.weights.safetensors_file import read_header

ORIGINAL_DIGEST_KEY = "original_sha256"  # key in a conversion's metadata


@dataclass(frozen=True)
class LocatedWeights:
    """A model's weights on this machine."""

    model: Model
    path: Path  # the published file or its conversion; for diffusers layout the folder
    where: str  # the place in the search order, for messages


def find_weights(name: str, named: Path | None = None) -> LocatedWeights | None:
    """Search for the weights of a model; None when they are not found. `named` is a file or a folder from --weights.

    Raises MissingError when `named` does not hold them; no other place is searched then.
    """
    wanted = find_model(name)
    if named is not None:
        path = _resolve_named(wanted, named)
        if path is None:
            missing = "does not exist" if not named.exists() else f"has no {_expected_text(wanted)}"
            raise MissingError(f"--weights {named} {missing}")
        return LocatedWeights(wanted, path, "--weights")
    for folder, where in search_folders(wanted):
        if path := _in_folder(wanted, folder):
            return LocatedWeights(wanted, path, where)
    return None


def require_weights(name: str, named: Path | None = None) -> LocatedWeights:
    """Like `find_weights`, with a MissingError that names the command to download them when they are not found."""
    found = find_weights(name, named)
    if found is None:
        wanted = find_model(name)
        elsewhere = rembg_folders(name)[0] if wanted.md5 else "./ckpts, $MESHCLI_CKPTS or --weights"
        size = f" ({wanted.size / 1e9:.1f} GB)" if wanted.size > 1e8 else ""
        raise MissingError(
            f"the weights of {name} are not on this machine: `meshcli models pull {name}` gets them{size}, "
            f"or put {_expected_text(wanted)} into {elsewhere}"
        )
    return found


def search_folders(wanted: Model) -> Iterator[tuple[Path, str]]:
    """The folders to search, in order, and their names for messages."""
    yield from _common_folders()
    if wanted.md5:
        yield from ((folder, "rembg's folder") for folder in rembg_folders(wanted.name))
    else:
        yield from ((snapshot, "Hugging Face cache") for snapshot in _hub_snapshots(wanted.repository))


def rembg_file(name: str, named: Path | None = None) -> Path | None:
    """The file of a rembg model, also of one that the catalogue does not have; None when it is not found.

    `named`, from --weights, comes first. It may be for other networks: without the model, the other places count.
    """
    if named is not None and (path := _named_rembg_file(name, named)):
        return path
    folders = (*(folder for folder, _ in _common_folders()), *rembg_folders(name))
    return next((path for folder in folders if (path := folder / f"{name}.onnx").is_file()), None)


def holds_rembg_model(name: str, named: Path | None) -> bool:
    """Whether --weights names a rembg model, or a folder with its file."""
    return named is not None and _named_rembg_file(name, named) is not None


def _named_rembg_file(name: str, named: Path) -> Path | None:
    path = named if named.name == f"{name}.onnx" else named / f"{name}.onnx"
    return path if path.is_file() else None


def _common_folders() -> Iterator[tuple[Path, str]]:
    """The folders that are searched for all weights, and their names for messages."""
    if ckpts := os.environ.get("MESHCLI_CKPTS"):
        yield Path(ckpts).expanduser(), "$MESHCLI_CKPTS"
    yield Path("ckpts"), "./ckpts"
    yield data_directory() / "ckpts", "data directory"


def rembg_folders(name: str) -> tuple[Path, Path]:
    """Folders where rembg looks for a model, first the one it downloads to; its rules, without its slow import."""
    data, home = os.environ.get("XDG_DATA_HOME"), os.environ.get("U2NET_HOME")
    legacy = Path(home or Path(data or "~", ".u2net")).expanduser()
    rembg = Path(home or os.environ.get("REMBG_HOME") or (Path(data, "rembg") if data else "~/.rembg")).expanduser()
    return rembg / "models" / name, legacy


def data_directory() -> Path:
    """Directory for downloads and conversions."""
    from platformdirs import user_data_path

    return user_data_path("meshcli")


def hub_cache() -> Path:
    """The Hugging Face cache, by the Hub library's rules, without its slow import."""
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if os.environ.get(variable):
            return Path(os.environ[variable]).expanduser()
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")
    return Path(home).expanduser() / "hub"


def component_file(folder: Path, name: str) -> Path:
    """Weight file of one component in diffusers layout; the preferred name when none exists."""
    files = [folder / name / file for file in COMPONENT_FILES[name]]
    return next((path for path in files if path.is_file()), files[0])


def weights_digest(path: Path) -> str:
    """The sha256 of weights for fingerprints: a conversion has its original's, a folder one of all its files'."""
    if path.is_dir():
        files = [path / file for file in SETTINGS_FILES] + [component_file(path, part) for part in COMPONENT_FILES]
        return digest({file.relative_to(path).as_posix(): weights_digest(file) for file in files})
    if path.suffix == ".safetensors" and (original := read_header(path).metadata.get(ORIGINAL_DIGEST_KEY)):
        return original
    return cached_digest(path)


def cached_digest(path: Path) -> str:
    """The sha256 of a file, cached by path, size and modification time, since hashing gigabytes takes seconds."""
    from platformdirs import user_cache_path

    real, status = path.resolve(), path.stat()
    key = {"path": str(real), "size": status.st_size, "mtime_ns": status.st_mtime_ns}
    cache = user_cache_path("meshcli") / "digests" / f"{digest(str(real))[:32]}.json"
    with suppress(OSError, ValueError, KeyError, TypeError):
        cached = json.loads(cache.read_text(encoding="utf-8"))
        if {name: cached[name] for name in key} == key:
            return str(cached["sha256"])
    sha256 = file_digest(real)
    with suppress(OSError):  # without the cache it is only computed again
        write_files({cache: json.dumps({**key, "sha256": sha256}).encode()})
    return sha256


def _hub_snapshots(repository: str) -> Iterator[Path]:
    """Snapshots of a repository in the Hub's cache: that of `main` first, then the newest."""
    folder = hub_cache() / f"models--{repository.replace('/', '--')}"
    with suppress(OSError):
        yield folder / "snapshots" / (folder / "refs" / "main").read_text(encoding="utf-8").strip()
    with suppress(OSError):
        yield from sorted((folder / "snapshots").iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)


def _resolve_named(wanted: Model, named: Path) -> Path | None:
    """Resolve --weights for a model; None when it is not there."""
    if named.is_file():
        return None if wanted.is_folder else named
    return named if wanted.is_folder and _is_complete(named) else _in_folder(wanted, named)


def _in_folder(wanted: Model, folder: Path) -> Path | None:
    """A model's weights in a folder: as published, else their conversion."""
    if wanted.is_folder:
        return next((path for path in (folder / wanted.file, folder) if _is_complete(path)), None)
    published = folder / wanted.file
    return next((path for path in (published, published.with_suffix(".safetensors")) if path.is_file()), None)


def _is_complete(folder: Path) -> bool:
    """Whether all files of the diffusers layout are there; an interrupted download leaves some."""
    files = [folder / file for file in SETTINGS_FILES] + [component_file(folder, part) for part in COMPONENT_FILES]
    return all(path.is_file() for path in files)


def _expected_text(wanted: Model) -> str:
    return f"complete folder {wanted.file}" if wanted.is_folder else wanted.file
