"""What has come of each object of a batch, and what is left to do. Light: no numpy.

An object is finished, without a look into its files, when its record says so and still fits: the same flags and stages,
photos and rig with the size and time that they had, the manifest as it was, and every file that it lists there with its
size. A file that was edited without a change of its size is not seen here; `meshcli status` compares contents. Whatever
does not fit goes to the stages, which know what is unchanged.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from meshcli.batch.batch_folder import BatchFolder, ObjectRecord, StageFigures, stamp
from meshcli.batch.storage import is_url
from meshcli.batch.stored_projects import is_locked, opened
from meshcli.batch.tasks import MAX_TRIES, NEEDS_WORD, PATH_FLAGS, BatchObject, StageResult
from meshcli.engines import VERSIONS
from meshcli.errors import MeshcliError, ResourceError
from meshcli.project.log_file import last_failure
from meshcli.project.manifest import Manifest, Stage, StageRecord
from meshcli.project.project import MANIFEST, Project
from meshcli.stages.mesh_check import recorded_match
from meshcli.stages.status import seconds
from meshcli.system.digests import digest

NOT_ASKED = ("--force", "--offline")  # flags that change nothing about the result

State = Literal["done", "failed", "retry", "running", "interrupted", "unfinished", "not started"]


@dataclass(frozen=True)
class ObjectState:
    """Where an object stands."""

    item: BatchObject
    state: State
    stage: str = ""  # the first that is not done
    figures: Mapping[Stage, StageFigures] = field(default_factory=dict)
    faces: int | None = None
    score: float | None = None  # match of the mesh to the pictures, from 0 to 1
    exit_code: int = 0
    error: str = ""
    tries: int = 0

    def to_json(self) -> dict[str, Any]:
        """The row of `batch status --json`."""
        return {
            "name": self.item.name,
            "project": self.item.place,
            "state": self.state,
            "stage": self.stage,
            "seconds": {stage: figures.seconds for stage, figures in self.figures.items()},
            "peak_bytes": {stage: figures.peak_bytes for stage, figures in self.figures.items()},
            "faces": self.faces,
            "score": self.score,
            "exit_code": self.exit_code,
            "error": self.error,
            "tries": self.tries,
        }


def read_state(folder: BatchFolder, item: BatchObject) -> ObjectState:
    """Where an object stands: by its record where that fits the manifest, else by the manifest."""
    record = folder.record(item.name)
    if record and folder.fits(item, record):
        return state_of_record(item, record)
    return state_of_project(item, record)


def state_of_project(item: BatchObject, record: ObjectRecord | None = None) -> ObjectState:
    """Where an object stands by its manifest; an older record may know the exit code of a failure."""
    try:
        with opened(item) as project:
            return _state_of(project, item, record)
    except (MeshcliError, OSError) as error:
        code = error.exit_code if isinstance(error, MeshcliError) else 5
        return ObjectState(item, "failed", exit_code=code, error=str(error))


def _state_of(project: Project, item: BatchObject, record: ObjectRecord | None) -> ObjectState:
    if not project.exists:
        return ObjectState(item, "not started")
    manifest = project.load()
    open_stage = next((stage for stage in item.stages if not _is_done(manifest.stages.get(stage))), "")
    known = ObjectState(item, "done", open_stage, project_figures(manifest), *mesh_figures(manifest))
    if not open_stage:
        return known
    found = manifest.stages.get(open_stage)  # type: ignore[call-overload]  # a stage, as it is not empty
    if is_locked(item):
        return replace(known, state="running")
    if found is None or found.status != "failed":
        return replace(known, state="interrupted" if found and found.status == "running" else "unfinished")
    failure, tries = last_failure(project.root), record.tries if record else 0
    code = (failure.exit_code if failure else None) or (record.exit_code if record else 0) or 1
    return replace(known, state=_failed_state(code, tries), exit_code=code, error=found.error, tries=tries)


def record_of(item: BatchObject, asked: str, ends: Mapping[Stage, StageResult]) -> ObjectRecord:
    """The record of an object that has just ended, by its manifest and by how its stages ended in this call."""
    failed = next((result for result in ends.values() if result.failed), None)
    record = ObjectRecord(item.name, asked)
    if failed:
        record = replace(record, exit_code=failed.exit_code, error=failed.error, stage=failed.stage, tries=failed.tries)
    figures = {
        stage: StageFigures(result.seconds, result.peak_bytes) for stage, result in ends.items() if not result.skipped
    }
    record = replace(record, figures=figures)
    try:
        with opened(item) as project:
            return _with_manifest(project, item, record)
    except MeshcliError:
        return record


def _with_manifest(project: Project, item: BatchObject, record: ObjectRecord) -> ObjectRecord:
    """The record with what the project's manifest knows."""
    if not project.exists:
        return record
    seen = stamp(project.root / MANIFEST)
    manifest = project.load()
    faces, score = mesh_figures(manifest)
    wanted = [manifest.stages[stage] for stage in item.stages if stage in manifest.stages]
    return replace(
        record,
        figures={**project_figures(manifest), **record.figures},
        faces=faces,
        score=score,
        manifest=seen,
        files={output.file: output.size for each in wanted for output in each.outputs},
    )


def asked_of(item: BatchObject) -> str:
    """A digest of what is asked for: flags, stages, the versions of the engines, and the files handed in."""
    words = [word for word in item.words if word not in NOT_ASKED and not word.startswith(NEEDS_WORD)]
    files = [word.partition("=")[2] if word.partition("=")[0] in PATH_FLAGS else word for word in words]
    stamps = [each for word in files if not word.startswith("--") and not is_url(word) for each in _stamps(word)]
    stamps += item.stamps
    return digest({"words": words, "stages": item.stages, "files": stamps, "engines": VERSIONS})


def is_finished(folder: BatchFolder, item: BatchObject, asked: str) -> bool:
    """Whether nothing is to be done for an object; see the head of this module for what is looked at."""
    record = folder.record(item.name)
    if record is None or record.exit_code or record.asked != asked or not record.manifest:
        return False
    return folder.fits(item, record) and folder.holds_files(item, record)


def failed_before(folder: BatchFolder, item: BatchObject, asked: str) -> ObjectState | None:
    """The state of an object that failed when the same was asked for, and would only fail again; None for any other."""
    record = folder.record(item.name)
    if not record or not record.exit_code or record.asked != asked:
        return None
    if not folder.fits(item, record):
        return None
    state = state_of_record(item, record)
    return state if state.state == "failed" else None


def project_figures(manifest: Manifest) -> dict[Stage, StageFigures]:
    """What the finished stages took, as the project recorded it."""
    return {
        stage: StageFigures(seconds(record) or 0.0, _whole(record.facts.get("peak_rss")) or 0)
        for stage, record in manifest.stages.items()
        if _is_done(record)
    }


def mesh_figures(manifest: Manifest) -> tuple[int | None, float | None]:
    """Faces of the mesh, and its match to the pictures; None where they are not on record."""
    record = manifest.stages.get("reconstruct")
    match = recorded_match(record)
    mean = match.get("mean") if isinstance(match, dict) else None
    score = float(mean) if isinstance(mean, int | float) and not isinstance(mean, bool) else None
    return (_whole(record.facts.get("faces")) if record else None), score


def state_of_record(item: BatchObject, record: ObjectRecord) -> ObjectState:
    """Where an object stands by its record alone."""
    state: State = _failed_state(record.exit_code, record.tries) if record.exit_code else "done"
    return ObjectState(
        item, state, record.stage, record.figures, record.faces, record.score, record.exit_code, record.error,
        record.tries,
    )  # fmt: skip


def _failed_state(code: int, tries: int) -> State:
    """A lack of memory or disk is tried again, a few times; anything else would only fail again."""
    return "retry" if code == ResourceError.exit_code and tries < MAX_TRIES else "failed"


def _stamps(word: str) -> list[str]:
    """Size and time of a file that is handed in, photo.jpg@45 too, or of those in a folder."""
    path = word if os.path.lexists(word) else word.rpartition("@")[0]
    own = stamp(path)
    if own and Path(path).suffix == "" and Path(path).is_dir():
        return [f"{each.name} {stamp(each)}" for each in sorted(Path(path).iterdir())]
    return [f"{path} {own}"]


def _is_done(record: StageRecord | None) -> bool:
    return record is not None and record.status == "done"


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
