"""The projects of a batch as its driver sees them: folders, or manifests of projects in storage. Light."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from meshcli.batch.claims import drop_claim, is_taken
from meshcli.batch.storage import Storage
from meshcli.batch.tasks import BatchObject
from meshcli.errors import MeshcliError
from meshcli.project.manifest import Stage, StageRecord
from meshcli.project.project import MANIFEST, Project
from meshcli.stages.killed_child import read_record
from meshcli.system.atomic_files import write_files


@contextmanager
def opened(item: BatchObject) -> Iterator[Project]:
    """The project of an object; of one in storage a copy of the manifest alone, which goes back if it has changed."""
    project = Project(item.project)
    if not item.storage:
        yield project
        return
    storage, file, copy = Storage(item.storage), f"{item.name}/{MANIFEST}", project.root / MANIFEST
    before = storage.read(file)
    try:
        if before is not None:
            write_files({copy: before})
        yield project
        if copy.exists() and (after := copy.read_bytes()) != before:
            storage.write(file, after)
    finally:
        shutil.rmtree(project.root, ignore_errors=True)


def stage_record(item: BatchObject, stage: Stage) -> StageRecord | None:
    """The record of a stage of an object; None where there is none that can be read."""
    with suppress(MeshcliError), opened(item) as project:
        return read_record(project, stage)
    return None


def record_before(item: BatchObject, stage: Stage, tried: bool) -> StageRecord | None:
    """The record of a stage before a try; `tried` tells whether this driver has tried it already.

    Storage is not asked, which takes milliseconds of the driver's processor, where it had no project to begin with.
    """
    return None if item.new and not tried else stage_record(item, stage)


def is_locked(item: BatchObject) -> bool:
    """Whether a process works on the project of an object."""
    return is_taken(Storage(item.storage), item.name) if item.storage else Project(item.project).is_locked()


def unlock_lost(item: BatchObject) -> None:
    """Let others have an object whose worker is lost; a lock of the operating system is free by itself."""
    if item.storage:
        with suppress(MeshcliError):  # then the claim ends by itself
            drop_claim(Storage(item.storage), item.name, item.driver)
