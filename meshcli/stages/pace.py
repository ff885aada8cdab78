"""How long the stages take on this machine, from runs that are over; kept in a small file of the user. Light: no numpy.

A rate holds for one stage, engine, device and set of settings. What was never timed with these has no estimate.
"""

import json
import os
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from meshcli.system.atomic_files import replacing
from meshcli.system.digests import digest

STATE_VARIABLE = "MESHCLI_STATE"  # environment variable: the directory of the file, in place of the user's own
FILE_NAME = "pace.json"
MAX_RATES = 200  # the oldest are dropped; by choice: far more than a person's habits, and the file stays under 20 kB


@dataclass(frozen=True)
class Work:
    """What one call of a stage has to do, as far as its duration is concerned."""

    command: str  # generate, align, select, reconstruct or render
    engine: str
    device: str
    settings: str  # digest
    units: int  # photos, for a command that takes as long as there are many of them; else 1

    @property
    def key(self) -> str:
        """What a rate is recorded under."""
        return f"{self.command} {self.engine} {self.device} {self.settings[:16]}"

    def of(self, command: str) -> "Work":
        """The same photos, engine and settings in another command."""
        return replace(self, command=command)


def stage_work(command: str, engine: str, device: str, settings: object, units: int = 1) -> Work:
    """The work of a call; `settings` are those that its duration may depend on."""
    return Work(command, engine, device, digest(settings), max(units, 1))


def expected_seconds(work: Work) -> float | None:
    """How long this work took before on this machine, by its units; None when nothing like it was timed."""
    rate = _read_rates().get(work.key)
    return None if rate is None else rate * work.units


def record_seconds(work: Work, seconds: float) -> None:
    """Keep how long a work took; the file is not worth an error."""
    rates = _read_rates()
    rates.pop(work.key, None)
    rates = {**dict(list(rates.items())[-MAX_RATES + 1 :]), work.key: round(seconds / work.units, 3)}
    with suppress(OSError):
        path = _pace_file()
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(rates, indent=1), "utf-8")


def _pace_file() -> Path:
    if directory := os.environ.get(STATE_VARIABLE):
        return Path(directory) / FILE_NAME
    from platformdirs import user_state_path

    return user_state_path("meshcli") / FILE_NAME


def _read_rates() -> dict[str, float]:
    """Work -> seconds for each unit; empty when there is no readable file."""
    try:
        table = json.loads(_pace_file().read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    rows = table.items() if isinstance(table, dict) else ()
    return {key: float(rate) for key, rate in rows if type(rate) in (int, float) and 0 <= rate < float("inf")}
