"""Prepares a network for the reconstruct stage. Light: no numpy, no torch.

Finds its configuration file and weights, and tells whether the triplane of an earlier run can be reused.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from meshcli.config import override
from meshcli.engines import IMPORT, NETWORKS, Reconstructor, pick_reconstructor
from meshcli.errors import MeshcliError, MissingError, ProjectError, UsageError
from meshcli.lrm.sizes import Sizes, VitSizes
from meshcli.project.artefacts import PLANES
from meshcli.project.manifest import StageRecord
from meshcli.project.project import Project
from meshcli.reconstructors.network_file import NetworkFile, read_network
from meshcli.settings import Settings
from meshcli.stages.models import check_weights, fetch_missing
from meshcli.stages.stage_runner import RunOptions
from meshcli.system.digests import digest
from meshcli.weights.device import install_hint
from meshcli.weights.locations import LocatedWeights, find_weights, require_weights, weights_digest
from meshcli.weights.safetensors_file import read_header

METADATA_KEY = "meshcli"  # in the metadata of the triplane's file


@dataclass(frozen=True)
class PreparedNetwork:
    """A network with everything needed to run it."""

    engine: str
    file: NetworkFile
    located: LocatedWeights | None  # None: not on this machine, and not needed since the triplane is reusable
    weights: str  # sha256
    key: str  # digest of everything that the triplane depends on
    reusable: bool  # the triplane of an earlier run has the same key

    def options(self) -> dict[str, Any]:
        """Sizes and weights, for the record and the fingerprint."""
        return {"network": asdict(self.file.sizes), "weights": self.weights}

    def metadata(self) -> dict[str, str]:
        """Metadata for the triplane's file."""
        return {METADATA_KEY: json.dumps({"engine": self.engine, "key": self.key, "weights": self.weights})}


def pick_engine(
    name: Reconstructor, record: StageRecord | None, settings: Settings, run_options: RunOptions
) -> tuple[str, str]:
    """Choose the engine that reconstructs the mesh; returns its name and the reason."""
    before = record.engine if record and record.status == "done" and not run_options.force else ""
    if record and record.engine == IMPORT:  # a mesh that was handed in is not dropped for a failure, or with --force
        before = IMPORT
    recorded = record.settings.get("lrm.file") if record and before else ""
    if settings.lrm.file not in ("", recorded) and name == "auto":
        return _engine_described_by(settings.lrm.file), f"auto: the one that {settings.lrm.file} describes"
    return pick_reconstructor(name, before, lambda engine: missing_requirement(engine, run_options))


def missing_requirement(engine: str, run_options: RunOptions) -> str:
    """What this machine lacks to run an engine and the command that gets it; empty when nothing."""
    try:
        found = find_weights(engine, run_options.weights)
    except MissingError as error:
        return f"weights ({error})"
    if found is None:
        return f"weights: `meshcli models pull {engine}`"
    return "" if find_spec("torch") else f"torch: {install_hint()}"


def prepare_network(
    project: Project, engine: str, settings: Settings, views: Mapping[str, str], run_options: RunOptions
) -> tuple[PreparedNetwork, Settings]:
    """Prepare a network for these views; returns it with the settings completed from its configuration file.

    Downloads missing weights if they are needed, but not on a dry run. Raises UsageError for a file of another kind of
    network, MissingError when there are neither weights nor a reusable triplane and nothing can be downloaded.
    """
    file = describe_network(engine, settings)
    grid, threshold = settings.lrm.grid or file.grid, settings.lrm.threshold or file.threshold
    settings = override(settings, {"lrm.grid": grid, "lrm.threshold": threshold}, settings.lrm.file or engine)
    before = _recorded_metadata(project)
    dtype = "fp32" if settings.lrm.dtype == "auto" else settings.lrm.dtype

    def network(found: LocatedWeights | None) -> PreparedNetwork:
        weights = weights_digest(found.path) if found else before.get("weights", "")
        key = digest({"network": asdict(file.sizes), "weights": weights, "dtype": dtype, "views": dict(views)})
        return PreparedNetwork(engine, file, found, weights, key, before.get("key") == key)

    prepared = network(find_network_weights(engine, settings, file, run_options))
    if prepared.located is None and not prepared.reusable:
        fetch_missing([engine], run_options)
        if not run_options.dry:
            prepared = network(require_weights(engine, run_options.weights))
    return prepared, settings


def describe_network(engine: str, settings: Settings) -> NetworkFile:
    """The description of a network: the engine's own, or the user's; UsageError for one of another kind."""
    file = read_network(settings.lrm.file or engine)
    if file.sizes.kind not in engine:
        raise UsageError(f"{settings.lrm.file} describes a {file.sizes.kind} network, which {engine} is not")
    return file


def check_network(found: LocatedWeights | None, file: NetworkFile, settings: Settings, run_options: RunOptions) -> None:
    """Raise what keeps a network from running: MissingError for its weights, UsageError for a device or precision.

    Without weights, only the device is checked: the triplane is reusable, or they are fetched first. The network's own
    work comes upon the same, but later.
    """
    from meshcli.weights.device import resolve_device, resolve_dtype

    device = resolve_device(run_options.device)
    resolve_dtype(settings.lrm.dtype, device, auto="fp32")
    if found:
        check_weights(found, file.sizes)


def field_sizes(project: Project, record: StageRecord | None) -> Sizes:
    """Sizes of the network whose radiance field was stored with the mesh; UsageError when there is none."""
    table = record.options.get("network") if record else None
    if not isinstance(table, dict) or table.get("kind") != "nerf" or not project.path(PLANES).is_file():
        raise UsageError(
            "--source field needs a radiance field, which instant-nerf-large and instant-nerf-base leave: "
            f"`{project.command('reconstruct')} --engine instant-nerf-large`"
        )
    try:
        sizes = Sizes(**{**table, "vit": VitSizes(**table["vit"])})
        numbers = [
            *vars(sizes.vit).values(),
            *(value for key, value in vars(sizes).items() if key not in ("kind", "vit")),
        ]
        if not all(isinstance(number, int | float) and 0 < number < 10**5 for number in numbers):
            raise TypeError("a size is no number above 0")
        return sizes
    except (TypeError, KeyError) as error:
        raise ProjectError(
            f"{project.root}: the record of reconstruct does not describe its network: {error}"
        ) from error


def smaller_settings(settings: Settings) -> dict[str, Any]:
    """Settings to try next after running out of memory: a coarser grid, then a smaller texture; empty when none are."""
    if settings.lrm.grid > 64:
        return {"lrm.grid": max(64, settings.lrm.grid * 3 // 4)}
    smaller = {"texture.size": settings.texture.size // 2}
    return smaller if settings.lrm.texture and settings.texture.size > 512 else {}


def find_network_weights(
    engine: str, settings: Settings, file: NetworkFile, run_options: RunOptions
) -> LocatedWeights | None:
    """Search for weights: --weights, then the path in the user's configuration file, then the usual places."""
    named = run_options.weights
    if not named and settings.lrm.file and file.weights and Path(file.weights).is_file():
        named = Path(file.weights)
    return find_weights(engine, named)


def _recorded_metadata(project: Project) -> Mapping[str, str]:
    """Metadata of an earlier run's triplane; empty when there is none."""
    try:
        about = json.loads(read_header(project.path(PLANES)).metadata[METADATA_KEY])
    except (OSError, MeshcliError, KeyError, ValueError, RecursionError):
        return {}
    return about if isinstance(about, dict) and all(isinstance(value, str) for value in about.values()) else {}


def _engine_described_by(file: str) -> str:
    """The engine whose packaged configuration has the same sizes as this file."""
    sizes = read_network(file).sizes
    for engine in NETWORKS:
        if read_network(engine).sizes == sizes:
            return engine
    raise UsageError(
        f"{file} describes a network of none of the published sizes; name the closest engine with --engine"
    )
