"""All four stages, each as its own child process, so that memory is truly given back. Light: no numpy."""

import json
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from meshcli.children import run_child
from meshcli.errors import MeshcliError, ResourceError, UsageError
from meshcli.manifest import Manifest, Stage
from meshcli.progress import Tell, unheard
from meshcli.project import Project
from meshcli.stages.photo_set import sideless
from meshcli.stages.pool import with_photos
from meshcli.stages.select import USUAL
from meshcli.stages.status import stage_status
from meshcli.stages.work import out_of_memory

# The kernel's OOM killer, and how libraries in C end that do not look at what the allocator answers.
KILLED = (signal.SIGKILL, signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS)


class StageFailedError(MeshcliError):
    """A child has already said what is wrong; only its exit code is left to hand on."""

    def __init__(self, stage: Stage, exit_code: int) -> None:
        super().__init__(f"{stage} failed")
        self.stage = stage
        self.exit_code = exit_code  # type: ignore[misc]  # the child's


MOST = 24  # views that are chosen without a person


@dataclass(frozen=True)
class RunArguments:
    """What each child is called with besides `meshcli STAGE DIR` and the options that all have in common."""

    generate: Sequence[str] = ()  # options
    cameras: Sequence[str] = ()  # options for generate that say what is handed in and from which side
    photos: Sequence[str] = ()
    views: str = ""  # for select; empty keeps a standing choice or takes an automatic one
    include_photos: bool = False  # for select
    reconstruct: Sequence[str] = ()
    render: Sequence[str] = ()
    common: Sequence[str] = ()
    force: bool = False


def run_stages(
    project: Project, arguments: RunArguments, *, capture: bool = False, tell: Tell = unheard
) -> list[dict[str, Any]]:
    """Run what is not done yet; the children's JSON documents when captured.

    Raises UsageError when a choice of views that somebody made no longer fits, StageFailedError with a child's exit
    code, ResourceError when a child was ended because memory ran out. The lock is held by the children, not here.
    """
    documents: list[dict[str, Any]] = []
    force = ["--force"] if arguments.force else []

    def call(stage: Stage, options: Sequence[str], photos: Sequence[str] = (), command: str = "") -> None:
        # A directory or photo may begin with a dash: options first, then -- and what is no option.
        line = [command or stage, *arguments.common, *options, "--", str(project.root), *photos]
        code, output = run_child(line, capture)
        if capture and output:
            documents.append(json.loads(output))
        if code:
            raise _failure(project, stage, code)

    call("generate", [*arguments.generate, *arguments.cameras, *force], arguments.photos)
    if sideless(project.load()):
        call("generate", [], command="align")
        # `sculpt` makes one body of all photos now; the set is on record, and what was just done need not be forced
        if stage_status(project, project.load(), "generate").state != "done":
            call("generate", arguments.generate)
    choice = selecting(project, arguments.views, arguments.include_photos)
    if choice is None:
        tell("select: the choice of views stands")
    else:
        call("select", [*choice, *force])
    call("reconstruct", [*arguments.reconstruct, *force])
    call("render", [*arguments.render, *force])
    return documents


def automatic_count(manifest: Manifest) -> int:
    """Six views, as the networks are used to; every one, up to 24, where they agree: of `sculpt` and real photos.

    Renders of one sculpted body cannot contradict each other, and `fit` draws the same number of rays from however many
    views there are: more of them cost next to nothing, and what only two of six see comes out torn.
    """
    views = manifest.live_views.values()
    photos = {photo.name for photo in manifest.live_photos if not photo.stated.get("ready")}
    if all(view.engine == "sculpt" or view.name in photos for view in views):
        return min(len(views), MOST)
    return min(len(views), USUAL)


def selecting(project: Project, views: str, include_photos: bool = False) -> list[str] | None:
    """The arguments of `select`; None when a choice by a person or a flag stands."""
    switch = ["--include-photos"] if include_photos else []
    if views:
        return ["--views", views, *switch]
    manifest = project.load()
    if manifest.selection is None or manifest.selection.by == "auto":
        pool = with_photos(project, manifest, unheard) if include_photos else manifest
        return ["--auto", str(automatic_count(pool)), *switch]
    status = stage_status(project, manifest, "select")
    if status.state == "done":
        return None
    if status.state == "stale":
        raise UsageError(
            f"the views of {project.root} were chosen by a {manifest.selection.by}, and now {status.reason}; look at "
            f"views/sheet.png and choose again: `{project.command('select')}`"
        )
    return ["--views", ",".join(manifest.selection.names)]  # the choice stands, its files do not


def _failure(project: Project, stage: Stage, code: int) -> MeshcliError:
    if -code in KILLED:
        return _killed(project, stage, -code)
    return StageFailedError(stage, 128 - code if code in (-signal.SIGINT, -signal.SIGTERM) else max(code, 1))


def _killed(project: Project, stage: Stage, number: int) -> MeshcliError:
    """The child was ended as it happens when memory runs out: its record takes the smaller setting."""
    ended = f"{stage} was ended by signal {number} ({signal.Signals(number).name}), as happens when memory runs out"
    with project.writing(wait=True):
        manifest = project.load() if project.exists else None
        record = manifest.stages.get(stage) if manifest else None
        if manifest is None or record is None or record.status != "running":
            return ResourceError(f"{ended}, before it began")
        project.save(manifest.with_record(stage, out_of_memory(record)))
    if not record.fallback:
        return ResourceError(f"{ended}; there is no smaller setting left to try")
    smaller = ", ".join(f"{key}={value}" for key, value in record.fallback.items())
    return ResourceError(f"{ended}; the same command will now take {smaller}")
