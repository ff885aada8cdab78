"""The actions of `meshcli models`: list, download, verify, convert. Light until there is something to do."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshcli.errors import MissingError
from meshcli.progress import Progress, Tell, silent, unheard
from meshcli.stages.stage_runner import RunOptions
from meshcli.system.digests import file_digest
from meshcli.weights.catalogue import COMPONENT_FILES, MODELS, find_model
from meshcli.weights.conversion import ensure_safetensors
from meshcli.weights.device import install_hint
from meshcli.weights.download import list_repository, published_sha256, pull
from meshcli.weights.locations import LocatedWeights, component_file, find_weights, require_weights, weights_digest
from meshcli.weights.safetensors_file import Shape, check_shapes, read_header
from meshcli.weights.torch_checkpoint import read_shapes

if TYPE_CHECKING:
    from meshcli.lrm.sizes import Sizes


@dataclass(frozen=True)
class VerifiedFile:
    """Result of verifying one file."""

    name: str  # of the model
    file: Path
    valid: bool
    message: str


def list_models(named: Path | None = None) -> list[dict[str, Any]]:
    """A row for every model, with its location on this machine."""
    rows = []
    for each in MODELS.values():
        found = find_if_present(each.name, named)
        rows.append(
            {
                "name": each.name,
                "what": each.description,
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
) -> list[LocatedWeights]:
    """Download the models that are missing; with a folder `to`, those that are missing there."""
    wanted = [find_model(name) for name in names]
    pulled = []
    for each in wanted:
        found = find_if_present(each.name, to)
        if found:
            _check_rembg_model(found)
            tell(f"{each.name} is already {f'in {to}' if to else f'on this machine ({found.where})'}")
        elif offline:
            raise MissingError(f"{each.name} is not on this machine, and --offline fetches nothing")
        else:
            size = f", {each.size / 1e9:.1f} GB" if each.size > 1e8 else ""
            tell(f"fetching {each.name} ({each.description}{size}); licence: {each.licence}")
            pull(each, to, progress)
            found = require_weights(each.name, to)
        pulled.append(found)
    return pulled


def fetch_missing(names: Sequence[str], run_options: RunOptions) -> None:
    """Download the models that an engine needs and this machine does not have, announcing their licences.

    On a dry run they are only announced. Raises MissingError with instructions instead when the run options name a
    place for weights or forbid the network, or when torch is not installed.
    """
    absent = fetchable(names, run_options)
    if run_options.dry:
        for each in map(find_model, absent):
            run_options.tell(f"{each.name} would be fetched first ({each.size / 1e9:.1f} GB; licence: {each.licence})")
    elif absent:
        pull_models(absent, progress=run_options.progress, tell=run_options.tell)


def fetchable(names: Sequence[str], run_options: RunOptions) -> list[str]:
    """Those of the models that are to be fetched; MissingError for one that is not on this machine and cannot be."""
    absent = [name for name in names if find_weights(name, run_options.weights) is None]
    if absent and (run_options.weights or run_options.offline):
        require_weights(absent[0], run_options.weights)
    if absent and not find_spec("torch"):
        raise MissingError(f"{absent[0]} needs torch: {install_hint()}")
    return absent


def check_weights(found: LocatedWeights, sizes: "Sizes | None" = None) -> None:
    """MissingError for weights that are cut off, no weights at all, or of another network than one of these sizes."""
    for file in weight_files(found):
        _count_tensors(found, file, sizes)


def verify_models(
    names: Sequence[str] = (), named: Path | None = None, online: bool = False, progress: Progress = silent
) -> list[VerifiedFile]:
    """Verify the named models, or all on this machine, against their published checksums."""
    found = [require_weights(name, named) for name in names] or [
        each for name in MODELS if (each := find_if_present(name, named)) is not None
    ]
    files = [(each, file) for each in found for file in weight_files(each)]
    checked = []
    for number, (each, file) in enumerate(files, 1):
        progress(number - 1, len(files), f"checking {file.name}")
        checked.append(_verify(each, file, online))
    return checked


def convert_model(
    target: str, named: Path | None = None, progress: Progress = silent, tell: Tell = unheard
) -> list[Path]:
    """Convert a model, or a checkpoint file, to safetensors; returns the files, including those converted before."""
    if target in MODELS:
        found = require_weights(target, named)
        return [
            ensure_safetensors(file, found.model.prefix, progress, tell)
            for file in weight_files(found)
            if file.suffix != ".onnx"
        ]
    path = Path(target)
    if not path.is_file():
        raise MissingError(f"{target} is neither a file nor one of {', '.join(MODELS)}")
    prefix = next((each.prefix for each in MODELS.values() if each.file == path.name), "")
    return [ensure_safetensors(path, prefix, progress, tell)]


def weight_files(found: LocatedWeights) -> list[Path]:
    """All weight files of a model."""
    return [component_file(found.path, part) for part in COMPONENT_FILES] if found.model.is_folder else [found.path]


def find_if_present(name: str, named: Path | None) -> LocatedWeights | None:
    """Like `find_weights`, but None also when `named` does not hold the model."""
    try:
        return find_weights(name, named)
    except MissingError:
        return None


def _check_rembg_model(found: LocatedWeights) -> None:
    """MissingError for a rembg model that is not the published file; those are small enough to be read."""
    if found.model.md5 and _file_md5(found.path) != found.model.md5:
        raise MissingError(
            f"{found.path} is not {found.model.name} as published (its md5 differs); move it away, and "
            f"`meshcli models pull {found.model.name}` fetches it"
        )


def _verify(found: LocatedWeights, file: Path, online: bool) -> VerifiedFile:
    """Compare one file with its published checksum; without one, its tensors with those of the network."""
    name = found.model.name
    expected = found.model.md5 or published_sha256(file) or (_sha256_on_hub(found, file) if online else "")
    if expected:
        kind, digest = ("md5", _file_md5(file)) if found.model.md5 else ("sha256", file_digest(file))
        good = digest == expected
        differs = f"damaged: its {kind} is not the published one; remove it, pull again"
        return VerifiedFile(name, file, good, f"as published ({kind})" if good else differs)
    try:
        tensors = _count_tensors(found, file)
    except MissingError as error:
        return VerifiedFile(name, file, False, str(error).removeprefix(f"{file}: "))
    unknown = f"readable, {tensors} tensors, sha256 {weights_digest(file)}; its published checksum is not known"
    return VerifiedFile(name, file, True, unknown)


def _count_tensors(found: LocatedWeights, file: Path, sizes: "Sizes | None" = None) -> int:
    """Count a file's tensors; MissingError when it cannot be read or belongs to another network."""
    shapes: dict[str | None, Shape]
    if file.suffix == ".safetensors":
        shapes = read_header(file).for_network(found.model.prefix).shapes
    else:
        shapes = dict(read_shapes(file, found.model.prefix).items())
    if found.model.prefix and find_spec("torch"):
        from meshcli.lrm.model import parameter_shapes
        from meshcli.reconstructors.network_file import read_network

        check_shapes(file, shapes, parameter_shapes(sizes or read_network(found.model.name).sizes))
    return len(shapes)


def _sha256_on_hub(found: LocatedWeights, file: Path) -> str:
    """Ask the Hub for the sha256 of a file; empty when it states none."""
    inside = file.relative_to(found.path).as_posix() if found.model.is_folder else file.name
    return next((remote.sha256 for remote in list_repository(found.model.repository) if remote.name == inside), "")


def _file_md5(file: Path) -> str:
    import hashlib

    with file.open("rb") as opened:
        return hashlib.file_digest(opened, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
