"""What a stage of an object needs of a machine, by the engine that it will take. Light: no numpy.

The settings `needs` are a first guess: a runner that measures replaces their memory by the peaks of finished stages.
Which engine: what a batch was told decides, then what the project has on record, then the weights on this machine.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from meshcli.batch.stored_projects import record_before
from meshcli.batch.tasks import NEEDS_WORD, BatchObject
from meshcli.config import read_settings
from meshcli.engines import NETWORKS, pick_generator, pick_reconstructor
from meshcli.project.manifest import Stage
from meshcli.settings import Settings
from meshcli.stages.networks import missing_requirement
from meshcli.stages.stage_runner import RunOptions
from meshcli.stages.view_generation import lacking

NETWORK = "network"  # the kind of all networks that reconstruct
ENGINE_FLAGS: Mapping[Stage, str] = MappingProxyType({"generate": "--generator", "reconstruct": "--reconstructor"})
KINDS = ("sculpt", "photos", "zero123plus", "select", "fit", "import", NETWORK, "render", "export")
WITH_NETWORK = ("zero123plus", NETWORK)  # kinds that are best kept loaded
READY_VIEWS = ("--from-sheet", "--from-views")  # flags with which `generate` has nothing to paint


@dataclass(frozen=True)
class Needs:
    """What a stage is given; no process is kept from taking more."""

    cpus: int
    memory: int  # bytes
    gpus: int = 0  # whole ones: a part of one would not limit its memory


def needs_of(words: tuple[str, ...]) -> Mapping[str, Needs]:
    """Kind of work -> its needs, as the settings among the words of an object say; UsageError for invalid ones."""
    config, assignments = (
        word_value(words, "--config"),
        [word.removeprefix("--set=") for word in words if word.startswith(NEEDS_WORD)],
    )
    table = read_settings(Path(config) if config else None, assignments).needs
    return {
        kind: Needs(
            getattr(table, f"{kind}_cores"),
            int(getattr(table, f"{kind}_memory") * 2**30),
            getattr(table, f"{kind}_gpus", 0),
        )
        for kind in KINDS
    }


@dataclass
class StageKinds:
    """Tells the kind of work of a stage; looks up the weights on this machine once for each place named."""

    _found: dict[tuple[str, str], str] = field(default_factory=dict)  # flag, weights -> engine that `auto` takes
    _needs: dict[tuple[str, ...], Mapping[str, Needs]] = field(default_factory=dict)  # words about settings -> table

    def needs(self, item: BatchObject, kind: str) -> Needs:
        """What a stage of this kind needs, as the words of its object say."""
        words = tuple(word for word in item.words if word.startswith((NEEDS_WORD, "--config=")))
        if words not in self._needs:
            self._needs[words] = needs_of(words)
        return self._needs[words][kind]

    def kind(self, item: BatchObject, stage: Stage) -> str:
        """One of KINDS."""
        if stage not in ENGINE_FLAGS:
            return stage
        if stage == "generate" and any(word.partition("=")[0] in READY_VIEWS for word in item.words):
            return "photos"
        if stage == "reconstruct" and word_value(item.words, "--from-mesh"):
            return "import"
        engine = word_value(item.words, ENGINE_FLAGS[stage]) or "auto"
        if engine == "auto":
            record = None if "--force" in item.words else record_before(item, stage, tried=False)
            before = record.engine if record and record.status == "done" else ""
            engine = before if before and before != "sculpt" else self._auto(item, stage)
        if engine in NETWORKS:
            return NETWORK
        return engine if engine in KINDS else stage_default(stage)

    def _auto(self, item: BatchObject, stage: Stage) -> str:
        """The engine that `auto` takes on this machine."""
        weights = word_value(item.words, "--weights")
        key = ENGINE_FLAGS[stage], weights
        if key not in self._found:
            named = Path(weights) if weights else None
            options = RunOptions(weights=named)
            self._found[key] = (
                pick_generator("auto", missing=lacking(Settings(), named))[0]
                if stage == "generate"
                else pick_reconstructor("auto", lacks=lambda engine: missing_requirement(engine, options))[0]
            )
        return self._found[key]


def stage_default(stage: Stage) -> str:
    """The kind of a stage whose engine nobody knows; its own command will say what is wrong."""
    return {"generate": "sculpt", "reconstruct": "fit"}.get(stage, stage)


def word_value(words: tuple[str, ...], flag: str) -> str:
    """The last value of a flag, written `--flag=value` or `--flag value`; empty where it is not there."""
    found = ""
    for number, word in enumerate(words):
        if word.startswith(f"{flag}="):
            found = word.partition("=")[2]
        elif word == flag:
            found = "".join(words[number + 1 : number + 2])
    return found
