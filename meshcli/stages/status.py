"""What is done, stale, failed, interrupted; what to run next. Reads without the lock. Light: no numpy."""

from dataclasses import dataclass
from typing import Any, Literal

from meshcli.errors import MeshcliError
from meshcli.project.manifest import STAGES, Manifest, Record, Stage
from meshcli.project.project import Project
from meshcli.stages.inputs import inputs_now
from meshcli.stages.stage_runner import missing_files
from meshcli.system.digests import difference

State = Literal[
    "done",
    "stale",  # finished, but what it was made from changed, or an earlier stage must run again
    "failed",
    "interrupted",  # started, not finished, and nobody is at work
    "running",
    "missing",  # never run, or a file that it wrote is gone
]


@dataclass(frozen=True)
class StageStatus:
    """How one stage stands."""

    stage: Stage
    state: State
    reason: str = ""
    record: Record | None = None


@dataclass(frozen=True)
class ProjectStatus:
    """How a project stands."""

    project: Project
    manifest: Manifest
    stages: tuple[StageStatus, ...]

    @property
    def next(self) -> str:
        """The command to type next; empty when everything is done or somebody is at work."""
        for status in self.stages:
            if status.state == "running":
                return ""
            if status.state != "done":
                return self.project.command(status.stage)
        return ""

    def to_json(self) -> dict[str, Any]:
        """For scripts."""
        selection = self.manifest.selection
        return {
            "meshcli": 1,
            "project": str(self.project.root),
            "photos": [photo.name for photo in self.manifest.live_photos],
            "views": [view.name for view in self.manifest.live_views.values()],
            "selection": list(selection.names) if selection else [],
            "stages": {
                status.stage: {
                    "state": status.state,
                    "reason": status.reason,
                    "engine": status.record.engine if status.record else "",
                    "seconds": seconds(status.record),
                    "finished": status.record.finished if status.record else "",
                    "smaller": status.record.smaller if status.record else {},
                }
                for status in self.stages
            },
            "next": self.next,
        }


def read_status(project: Project, alone: bool = False) -> ProjectStatus:
    """Look at every stage; what is stale carries the reason. `alone`: the caller holds the lock, nobody is at work."""
    manifest = project.load()
    stages: list[StageStatus] = []
    for stage in STAGES:
        status = stage_status(project, manifest, stage, alone)
        unfit = [earlier for earlier in stages if earlier.state != "done"]
        if status.state == "done" and unfit:
            status = StageStatus(stage, "stale", f"{unfit[0].stage} is {unfit[0].state}", status.record)
        stages.append(status)
    return ProjectStatus(project, manifest, tuple(stages))


def stage_status(project: Project, manifest: Manifest, stage: Stage, alone: bool = False) -> StageStatus:
    """One stage by itself."""
    record = manifest.stages.get(stage)
    if record is None:
        return StageStatus(stage, "missing", "not run yet")
    if record.status == "running":
        busy = not alone and project.busy()
        reason = f"since {record.started}" if busy else f"started {record.started}"
        return StageStatus(stage, "running" if busy else "interrupted", reason, record)
    if record.status == "failed":
        return StageStatus(stage, "failed", record.error, record)
    if gone := missing_files(project, record):
        return StageStatus(stage, "missing", f"{gone[0]} is gone", record)
    try:
        changed = difference(record.inputs, inputs_now(project, manifest, stage))
    except MeshcliError as error:
        changed = str(error)
    return StageStatus(stage, "stale" if changed else "done", changed, record)


def seconds(record: Record | None) -> float | None:
    """How long the stage took, when it is known."""
    table = record.facts.get("seconds") if record else None
    total = table.get("total") if isinstance(table, dict) else None
    return float(total) if isinstance(total, int | float) and not isinstance(total, bool) else None
