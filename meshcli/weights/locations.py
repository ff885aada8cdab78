"""Where weights are on this machine, and what they are. Light: paths and digests; nothing is loaded.

Searched in this order: --weights, $MESHCLI_CKPTS, ./ckpts, the user's data directory, the Hugging Face cache, which is
only ever read. Files have their published names. A pickled checkpoint (.ckpt, .bin) may have its conversion beside it,
the same name with .safetensors, or, where it lies in a place that is not to be written to, in the data directory.
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

ORIGINAL_DIGEST_KEY = "original_sha256"  # in a conversion's metadata


@dataclass(frozen=True)
class LocatedWeights:
    """Weights on this machine."""

    model: Model
    path: Path  # the published file or its conversion; for diffusers layout the folder
    where: str  # which place of the search order, in words


def find_weights(name: str, named: Path | None = None) -> LocatedWeights | None:
    """The weights of a model, or None. `named` is a file, or a folder with files as published.

    Raises MissingError when `named` is given and does not hold them: what somebody names is never replaced.
    """
    wanted = find_model(name)
    if named is not None:
        path = _resolve_named(wanted, named)
        if path is None:
            missing = "does not exist" if not named.exists() else f"has no {_expected_text(wanted)}"
            raise MissingError(f"--weights {named} {missing}")
        return LocatedWeights(wanted, path, "--weights")
    if wanted.md5:
        path = rembg_file(name)
        return LocatedWeights(wanted, path, "rembg's folder") if path else None
    for folder, where in search_folders(wanted):
        if path := _in_folder(wanted, folder):
            return LocatedWeights(wanted, path, where)
    return None


def require_weights(name: str, named: Path | None = None) -> LocatedWeights:
    """The weights of a model; a MissingError with the command that gets them when they are not here."""
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
    """The folders to look into, in order, and what to call them."""
    if ckpts := os.environ.get("MESHCLI_CKPTS"):
        yield Path(ckpts).expanduser(), "$MESHCLI_CKPTS"
    yield Path("ckpts"), "./ckpts"
    yield data_directory() / "ckpts", "data directory"
    for snapshot in _hub_snapshots(wanted.repository):
        yield snapshot, "Hugging Face cache"


def rembg_file(name: str) -> Path | None:
    """Where rembg would find this model, or None."""
    return next((path for folder in rembg_folders(name) if (path := folder / f"{name}.onnx").is_file()), None)


def rembg_folders(name: str) -> tuple[Path, Path]:
    """Where rembg looks for a model: where it would put it first; its own rules, without its slow import."""
    data, home = os.environ.get("XDG_DATA_HOME"), os.environ.get("U2NET_HOME")
    legacy = Path(home or Path(data or "~", ".u2net")).expanduser()
    rembg = Path(home or os.environ.get("REMBG_HOME") or (Path(data, "rembg") if data else "~/.rembg")).expanduser()
    return rembg / "models" / name, legacy


def data_directory() -> Path:
    """Where this program keeps what it fetches and converts."""
    from platformdirs import user_data_path

    return user_data_path("meshcli")


def hub_cache() -> Path:
    """The Hugging Face cache, by the hub library's own rules, without its slow import."""
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if os.environ.get(variable):
            return Path(os.environ[variable]).expanduser()
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")
    return Path(home).expanduser() / "hub"


def component_file(folder: Path, name: str) -> Path:
    """The weights of one part of a folder in diffusers layout; the best name when there are none."""
    files = [folder / name / file for file in COMPONENT_FILES[name]]
    return next((path for path in files if path.is_file()), files[0])


def weights_digest(path: Path) -> str:
    """The sha256 that stands for weights in fingerprints: of a conversion its original's, of a folder all files'."""
    if path.is_dir():
        files = [path / file for file in SETTINGS_FILES] + [component_file(path, part) for part in COMPONENT_FILES]
        return digest({file.relative_to(path).as_posix(): weights_digest(file) for file in files})
    if path.suffix == ".safetensors" and (original := read_header(path).metadata.get(ORIGINAL_DIGEST_KEY)):
        return original
    return cached_digest(path)


def cached_digest(path: Path) -> str:
    """The sha256 of a file; remembered by path, size and time of change, for these files are gigabytes."""
    from platformdirs import user_cache_path

    real, status = path.resolve(), path.stat()
    key = {"path": str(real), "size": status.st_size, "mtime_ns": status.st_mtime_ns}
    memory = user_cache_path("meshcli") / "digests" / f"{digest(str(real))[:32]}.json"
    with suppress(OSError, ValueError, KeyError, TypeError):
        known = json.loads(memory.read_text(encoding="utf-8"))
        if {name: known[name] for name in key} == key:
            return str(known["sha256"])
    found = file_digest(real)
    with suppress(OSError):  # a home that cannot be written to costs time, nothing else
        write_files({memory: json.dumps({**key, "sha256": found}).encode()})
    return found


def _hub_snapshots(repository: str) -> Iterator[Path]:
    """What the hub's cache has of a repository: the newest revision that was asked for first."""
    folder = hub_cache() / f"models--{repository.replace('/', '--')}"
    with suppress(OSError):
        yield folder / "snapshots" / (folder / "refs" / "main").read_text(encoding="utf-8").strip()
    with suppress(OSError):
        yield from sorted((folder / "snapshots").iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)


def _resolve_named(wanted: Model, named: Path) -> Path | None:
    """What --weights means for a model."""
    if named.is_file():
        return None if wanted.is_folder else named
    return named if wanted.is_folder and _is_complete(named) else _in_folder(wanted, named)


def _in_folder(wanted: Model, folder: Path) -> Path | None:
    """The weights in a folder of weights: as published, or only their conversion."""
    if wanted.is_folder:
        return next((path for path in (folder / wanted.file, folder) if _is_complete(path)), None)
    published = folder / wanted.file
    return next((path for path in (published, published.with_suffix(".safetensors")) if path.is_file()), None)


def _is_complete(folder: Path) -> bool:
    """Whether everything is there: a fetch that was cut off leaves parts."""
    files = [folder / file for file in SETTINGS_FILES] + [component_file(folder, part) for part in COMPONENT_FILES]
    return all(path.is_file() for path in files)


def _expected_text(wanted: Model) -> str:
    return f"complete folder {wanted.file}" if wanted.is_folder else wanted.file
