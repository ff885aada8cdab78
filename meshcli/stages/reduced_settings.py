"""Smaller settings after memory ran out: taken from the record of the failed run, and checked. Light: no numpy."""

import reprlib
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from meshcli.config import override
from meshcli.errors import ProjectError, UsageError
from meshcli.out_of_memory import OOM_KILLER_SIGNAL
from meshcli.project.manifest import StageRecord
from meshcli.settings import Settings
from meshcli.system.digests import digest

if TYPE_CHECKING:
    from meshcli.stages.stage_runner import RunOptions

WORD_SETTINGS = ("zero123plus.vram", "zero123plus.dtype")  # settings that are reduced to another word, not a number
ALL_BY_ZERO = ("export.texture_size",)  # settings of which 0 keeps all there is, so that any number is smaller
REDUCTION_FLOOR = 64  # reductions stop at a minimum, 64 at most (lrm.grid), which may exceed what was requested
ENDED_BY = "ended"  # key in Record.facts: the signal, or the exit code, that ended the stage's process


def with_reduced_settings(
    record: StageRecord | None, engine: str, settings: Settings, options: Mapping[str, Any], run_options: "RunOptions"
) -> tuple[Settings, str, dict[str, Any]]:
    """The settings to use, the digest of the requested ones, and which were reduced.

    When the same command ran out of memory before, the reduced settings of its record are taken. They are kept once it
    has succeeded, so that calling it again finds nothing to do. `--force` tries the requested settings.
    """
    requested = digest({"engine": engine, "options": options})
    if not record or record.requested_digest != requested or not record.reduced_settings or run_options.force:
        return settings, requested, {}
    if record.status != "done":
        ended_by = record.facts.get(ENDED_BY, OOM_KILLER_SIGNAL.name)
        perhaps = "" if ended_by == OOM_KILLER_SIGNAL.name else "perhaps "
        run_options.tell(
            f"{perhaps}memory ran out the last time, taking smaller settings: {assignments(record.reduced_settings)}"
        )
    return _apply_reductions(settings, record.reduced_settings), requested, record.reduced_settings


def assignments(settings: Mapping[str, Any]) -> str:
    """Settings as `--set` takes them."""
    return ", ".join(f"{key}={value}" for key, value in settings.items())


def _apply_reductions(settings: Settings, reduced: Mapping[str, Any]) -> Settings:
    """The settings with reduced ones; ProjectError when a foreign manifest would change or enlarge something else."""
    try:
        result = override(settings, reduced, "smaller")
    except UsageError as error:
        raise ProjectError(f"manifest.json: {error}") from error
    for key in reduced:
        section, _, name = key.partition(".")
        values = (vars(getattr(each, section)).get(name) for each in (settings, result))
        before, after = (max(value) if isinstance(value, tuple) and value else value for value in values)
        if key in ALL_BY_ZERO and before == 0:
            before = sys.maxsize
        numbers = isinstance(before, int) and isinstance(after, int)
        if key not in WORD_SETTINGS and not (numbers and 0 < after <= max(before, REDUCTION_FLOOR)):
            raise ProjectError(f"manifest.json: smaller: {key}={reprlib.repr(reduced[key])} is not smaller")
    return result
