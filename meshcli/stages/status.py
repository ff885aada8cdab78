"""The state of every stage, and what to run next; reads without the write lock. Light: no numpy."""

from dataclasses import dataclass
from typing import Any, Literal

from meshcli.errors import MeshcliError
from meshcli.project.log_file import LastFailure, last_failure
from meshcli.project.manifest import STAGES, Manifest, RunStage, Stage, StageRecord
from meshcli.project.project import Project
from meshcli.stages.inputs import current_inputs
from meshcli.stages.mesh_check import recorded_match
from meshcli.stages.photo_azimuths import azimuths_json, photos_of_unknown_azimuth
from meshcli.stages.reasons import why_missing, why_stale
from meshcli.stages.stage_runner import PAUSED, missing_files

State = Literal[
    "done",
    "stale",  # finished, but its inputs changed or an earlier stage must run again
    "failed",
    "interrupted",  # started, not finished, and no process is running it
    "running",
    "missing",  # never run, or one of its files is gone
]


@dataclass(frozen=True)
class StageStatus:
    """The state of one stage, and why."""

    stage: Stage
    state: State
    reason: str = ""
    record: StageRecord | None = None


@dataclass(frozen=True)
class ProjectStatus:
    """The states of all stages of a project."""

    project: Project
    manifest: Manifest
    stages: tuple[StageStatus, ...]  # STAGES, and `export` once it has a record

    def before(self, stage: RunStage) -> tuple[StageStatus, ...]:
        """Those that run before one of STAGES."""
        return self.stages[: STAGES.index(stage)]

    @property
    def next(self) -> str:
        """The command to run next; empty when everything is done or a stage is running."""
        for status in self.stages:
            if status.state == "running":
                return ""
            if status.stage == "select" and status.state != "done" and photos_of_unknown_azimuth(self.manifest):
                return self.project.command("align")
            if status.state != "done":
                return self.project.command(status.stage)
        return ""

    @property
    def last_failure(self) -> LastFailure | None:
        """The last command that failed, unless one has succeeded since; None without a log."""
        return last_failure(self.project.root)

    def to_json(self) -> dict[str, Any]:
        """The document of `status --json`."""
        selection, failure = self.manifest.selection, self.last_failure
        return {
            "meshcli": 1,
            "project": str(self.project.root),
            "photos": [photo.name for photo in self.manifest.active_photos],
            "azimuths": azimuths_json(self.manifest),
            "views": [view.name for view in self.manifest.active_views.values()],
            "match": recorded_match(self.manifest.stages.get("reconstruct")),
            "selection": list(selection.names) if selection else [],
            "stages": {
                status.stage: {
                    "state": status.state,
                    "reason": status.reason,
                    "engine": status.record.engine if status.record else "",
                    "seconds": seconds(status.record),
                    "finished": status.record.finished if status.record else "",
                    "smaller": status.record.reduced_settings if status.record else {},
                    "settings": changed_settings(status.record),
                }
                for status in self.stages
            },
            "last_failure": vars(failure) if failure else None,
            "next": self.next,
        }


def read_status(project: Project, holds_lock: bool = False) -> ProjectStatus:
    """The state of every stage. Pass `holds_lock` when the caller does, so that no other process can be running one."""
    manifest = project.load()
    stages: list[StageStatus] = []
    for stage in STAGES:
        status = stage_status(project, manifest, stage, holds_lock)
        unfinished = [earlier for earlier in stages if earlier.state != "done"]
        if status.state == "done" and unfinished:
            status = StageStatus(stage, "stale", f"{unfinished[0].stage} is {unfinished[0].state}", status.record)
        stages.append(status)
    if "export" in manifest.stages:
        status, mesh = stage_status(project, manifest, "export", holds_lock), stages[: STAGES.index("render")]
        unfinished = [earlier for earlier in mesh if earlier.state != "done"]
        if status.state == "done" and unfinished:
            status = StageStatus("export", "stale", f"{unfinished[0].stage} is {unfinished[0].state}", status.record)
        stages.append(status)
    return ProjectStatus(project, manifest, tuple(stages))


def stage_status(project: Project, manifest: Manifest, stage: Stage, holds_lock: bool = False) -> StageStatus:
    """The state of one stage, whatever that of the earlier ones."""
    record = manifest.stages.get(stage)
    if record is None:
        return StageStatus(stage, "missing", "not run yet")
    if record.status == "running" and (paused := record.facts.get(PAUSED)):
        return StageStatus(stage, "missing", str(paused), record)
    if record.status == "running":
        busy = not holds_lock and project.is_locked()
        reason = f"since {record.started}" if busy else f"started {record.started}"
        return StageStatus(stage, "running" if busy else "interrupted", reason, record)
    if record.status == "failed":
        return StageStatus(stage, "failed", record.error, record)
    if missing := missing_files(project, record):
        return StageStatus(stage, "missing", why_missing(missing), record)
    try:
        changed = why_stale(manifest, record.inputs, current_inputs(project, manifest, stage))
    except MeshcliError as error:
        changed = str(error)
    return StageStatus(stage, "stale" if changed else "done", changed, record)


def stale_choice(project: Project, manifest: Manifest) -> str:
    """What became of a choice of views that a person or a flag made and that no longer fits; empty where it does."""
    selection, record = manifest.selection, manifest.stages.get("select")
    if selection is None or selection.by == "auto" or record is None or record.status != "done":
        return ""
    status = stage_status(project, manifest, "select")
    if status.state != "stale":
        return ""
    how = "by hand" if selection.by == "person" else "with a flag"
    lost = any(name not in (view.name for view in manifest.active_views.values()) for name in selection.names)
    command = "" if lost else f"; look at views/sheet.png and choose again: `{project.command('select')}`"
    return f"the choice of views that was made {how} no longer fits: {status.reason}{command}"


def changed_settings(record: StageRecord | None) -> dict[str, Any]:
    """The settings on record that are not the defaults, in the sections that the recorded engine uses."""
    used = {"seed", *record.options} if record else set()
    return {key: value for key, value in record.settings.items() if key.split(".")[0] in used} if record else {}


def seconds(record: StageRecord | None) -> float | None:
    """The duration of a stage's run in seconds; None when it is not recorded."""
    table = record.facts.get("seconds") if record else None
    total = table.get("total") if isinstance(table, dict) else None
    return float(total) if isinstance(total, int | float) and not isinstance(total, bool) else None
