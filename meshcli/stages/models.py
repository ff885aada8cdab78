"""What `meshcli models` does: fetch, check, convert. Light until it works."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from meshcli.errors import MissingError
from meshcli.progress import Progress, Tell, silent, unheard
from meshcli.stages.stage_runner import RunOptions
from meshcli.system.digests import file_digest
from meshcli.weights.catalogue import COMPONENTS, MODELS, model
from meshcli.weights.conversion import usable
from meshcli.weights.device import INSTALL
from meshcli.weights.download import listing, published, pull
from meshcli.weights.locations import Found, component, find, require, weights_digest
from meshcli.weights.safetensors_file import Shape, check_shapes, read_contents
from meshcli.weights.torch_checkpoint import read_shapes


@dataclass(frozen=True)
class Checked:
    """What became of checking one file."""

    name: str  # of the model
    file: Path
    good: bool
    words: str


def list_models(named: Path | None = None) -> list[dict[str, Any]]:
    """Every model, and where it is."""
    rows = []
    for each in MODELS.values():
        found = find_or_none(each.name, named)
        rows.append(
            {
                "name": each.name,
                "what": each.what,
                "licence": each.licence,
                "source": each.repository or "rembg",
                "bytes": each.size,
                "where": found.where if found else "",
                "path": str(found.path.absolute()) if found else "",
            }
        )
    return rows


def pull_models(
    names: Sequence[str],
    to: Path | None = None,
    offline: bool = False,
    progress: Progress = silent,
    tell: Tell = unheard,
) -> list[Found]:
    """Fetch what is not here; `to` is a folder of weights, and then only what is in it counts as here."""
    wanted = [model(name) for name in names]
    pulled = []
    for each in wanted:
        found = find_or_none(each.name, None if each.md5 else to)
        if found:
            tell(f"{each.name} is here already ({found.where})")
        elif offline:
            raise MissingError(f"{each.name} is not on this machine, and --offline fetches nothing")
        else:
            size = f", {each.size / 1e9:.1f} GB" if each.size > 1e8 else ""
            tell(f"fetching {each.name} ({each.what}{size}); licence: {each.licence}")
            pull(each, to, progress)
            found = require(each.name, None if each.md5 else to)
        pulled.append(found)
    return pulled


def fetch_missing(names: Sequence[str], run_options: RunOptions) -> None:
    """Fetch what an engine that was asked for by name needs and does not have; the licence is said.

    Nothing is fetched where `how` names a place for weights, forbids the network, or only asks what would be done: the
    MissingError then says what to do, as it does when the libraries for the weights are not installed.
    """
    absent = [name for name in names if find(name, run_options.weights) is None]
    if absent and (run_options.weights or run_options.offline or run_options.dry):
        require(absent[0], run_options.weights)
    if absent and not find_spec("torch"):
        raise MissingError(f"{absent[0]} needs torch: {INSTALL}")
    if absent:
        pull_models(absent, progress=run_options.progress, tell=run_options.tell)


def verify_models(
    names: Sequence[str] = (), named: Path | None = None, online: bool = False, progress: Progress = silent
) -> list[Checked]:
    """Read every byte of the models that are here, or of those named, and compare with what was published."""
    found = [require(name, named) for name in names] or [
        each for name in MODELS if (each := find_or_none(name, named)) is not None
    ]
    files = [(each, file) for each in found for file in files_of(each)]
    checked = []
    for number, (each, file) in enumerate(files, 1):
        progress(number - 1, len(files), f"checking {file.name}")
        checked.append(_check(each, file, online))
    return checked


def convert_model(
    target: str, named: Path | None = None, progress: Progress = silent, tell: Tell = unheard
) -> list[Path]:
    """Make the safetensors files of a model, or of a checkpoint file, now; those that are made already are returned."""
    if target in MODELS:
        found = require(target, named)
        return [usable(file, found.model.prefix, progress, tell) for file in files_of(found) if file.suffix != ".onnx"]
    path = Path(target)
    if not path.is_file():
        raise MissingError(f"{target} is neither a file nor one of {', '.join(MODELS)}")
    prefix = next((each.prefix for each in MODELS.values() if each.file == path.name), "")
    return [usable(path, prefix, progress, tell)]


def files_of(found: Found) -> list[Path]:
    """The files with a model's weights."""
    return [component(found.path, part) for part in COMPONENTS] if found.model.folder else [found.path]


def find_or_none(name: str, named: Path | None) -> Found | None:
    """Like `find`, also where `named` does not hold it."""
    try:
        return find(name, named)
    except MissingError:
        return None


def _check(found: Found, file: Path, online: bool) -> Checked:
    """Compare one file with what was published, else with the network that it is for."""
    name = found.model.name
    expected = found.model.md5 or published(file) or (_stated(found, file) if online else "")
    if expected:
        kind, digest = ("md5", _md5(file)) if found.model.md5 else ("sha256", file_digest(file))
        good = digest == expected
        differs = f"damaged: its {kind} is not the published one; remove it, pull again"
        return Checked(name, file, good, f"as published ({kind})" if good else differs)
    try:
        tensors = _read(found, file)
    except MissingError as error:
        return Checked(name, file, False, str(error).removeprefix(f"{file}: "))
    unknown = f"readable, {tensors} tensors, sha256 {weights_digest(file)}; what was published is not known here"
    return Checked(name, file, True, unknown)


def _read(found: Found, file: Path) -> int:
    """How many tensors a file has; a MissingError when it cannot be read, or is another network's."""
    shapes: dict[str | None, Shape]
    if file.suffix == ".safetensors":
        shapes = read_contents(file).of(found.model.prefix).shapes
    else:
        shapes = dict(read_shapes(file, found.model.prefix).items())
    if found.model.prefix and find_spec("torch"):
        from meshcli.lrm.model import parameter_shapes
        from meshcli.reconstructors.network_file import read_network

        check_shapes(file, shapes, parameter_shapes(read_network(found.model.name).sizes))
    return len(shapes)


def _stated(found: Found, file: Path) -> str:
    """The sha256 that the hub states now."""
    inside = file.relative_to(found.path).as_posix() if found.model.folder else file.name
    return next((remote.sha256 for remote in listing(found.model.repository) if remote.name == inside), "")


def _md5(file: Path) -> str:
    import hashlib

    with file.open("rb") as opened:
        return hashlib.file_digest(opened, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
