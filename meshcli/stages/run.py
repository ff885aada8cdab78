"""All four stages, each as its own child process, so that memory is truly given back. Light: no numpy."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from meshcli.engines import Generator, Reconstructor, honours, pick_generator, refuse_idle_everywhere
from meshcli.errors import InputError, MeshcliError, UsageError
from meshcli.progress import Tell, unheard
from meshcli.project.manifest import STAGES, Manifest, Record, Stage
from meshcli.project.project import Project
from meshcli.settings import Settings
from meshcli.stages.imported_views import engine_before
from meshcli.stages.killed_child import cut_short, standing
from meshcli.stages.networks import pick_engine
from meshcli.stages.photo_set import photos_of_unknown_azimuth
from meshcli.stages.select import USUAL
from meshcli.stages.stage_runner import RunOptions
from meshcli.stages.status import read_status, stage_status
from meshcli.stages.view_candidates import with_photos
from meshcli.stages.view_generation import lacking
from meshcli.system.processes import run_child


class StageFailedError(MeshcliError):
    """A child has already said what is wrong; only its exit code is left to hand on."""

    printed = True

    def __init__(self, command: str, exit_code: int) -> None:
        super().__init__(f"{command} failed")
        self.command = command
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
    first: Stage = "generate"
    last: Stage = "render"
    dry: bool = False  # only find out what would run, and why
    typed: Mapping[Stage, Sequence[str]] = field(default_factory=dict)  # options that were typed and are for one stage
    shared: Sequence[str] = ()  # options about networks, for whichever stage has one
    generator: Generator = "auto"
    reconstructor: Reconstructor = "auto"
    settings: Settings = field(default_factory=Settings)  # of the configuration file and --set
    run_options: RunOptions = field(default_factory=RunOptions)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Those that are wanted, in order."""
        return STAGES[STAGES.index(self.first) : STAGES.index(self.last) + 1]


def run_stages(
    project: Project,
    arguments: RunArguments,
    *,
    capture: bool = False,
    tell: Tell = unheard,
    hand_on: Tell = unheard,
) -> list[dict[str, Any]]:
    """Run what is not done yet; the children's JSON documents when captured, what they would do when it is a dry run.

    Where photos were left out (`--keep-going`), the document of `generate` says so; it is there in any case, and
    `hand_on` gets what that child printed unless it is captured.

    Raises UsageError when a stage before the first is not done, or a choice of views that somebody made no longer
    fits, StageFailedError with a child's exit code, ResourceError when a child was ended because memory ran out. The
    lock is held by the children, not here.
    """
    _check(project, arguments)
    run = _Run(project, arguments, capture or arguments.dry, tell, hand_on, _share(project, arguments))
    steps = {"generate": run.generate, "select": run.select, "reconstruct": run.reconstruct, "render": run.render}
    for stage in arguments.stages:
        if changed := next((document["stage"] for document in run.documents if document.get("runs")), ""):
            run.documents.append({"stage": stage, "runs": True, "reason": f"{changed} runs before it", "engine": ""})
        else:
            steps[stage]()
    return run.documents


@dataclass
class _Run:
    """The children, one after another."""

    project: Project
    arguments: RunArguments
    capture: bool
    tell: Tell
    hand_on: Tell
    networks: Mapping[str, Sequence[str]] = field(default_factory=dict)  # stage -> shared options that it honours
    documents: list[dict[str, Any]] = field(default_factory=list)

    def generate(self) -> None:
        """With `align` where nobody says from which sides the photos were taken."""
        arguments = self.arguments
        options = [*arguments.generate, *self.networks.get("generate", ())]
        self._call("generate", [*options, *arguments.cameras, *self._forced], arguments.photos)
        if not self._planned and photos_of_unknown_azimuth(self.project.load()):
            if arguments.dry:
                reason = "nobody says from which sides the photos were taken"
                self.documents.append({"stage": "align", "runs": True, "reason": reason, "engine": ""})
                return
            self._call("generate", [], command="align")
            # `sculpt` makes one body of all photos now; the set is on record, and what was just done need not be forced
            if stage_status(self.project, self.project.load(), "generate").state != "done":
                self._call("generate", options)

    def select(self) -> None:
        """Unless somebody has chosen."""
        choice = selecting(self.project, self.arguments.views, self.arguments.include_photos)
        if choice is not None:
            self._call("select", [*choice, *self._forced])
        elif self.arguments.dry:
            reason = "the choice of views stands"
            self.documents.append({"stage": "select", "runs": False, "reason": reason, "engine": ""})
        else:
            idle = "; --include-photos is for another one" if self.arguments.include_photos else ""
            self.tell(f"select: the choice of views stands{idle}")

    def reconstruct(self) -> None:
        """The mesh."""
        options = [*self.arguments.reconstruct, *self.networks.get("reconstruct", ())]
        self._call("reconstruct", [*options, *self._forced])

    def render(self) -> None:
        """The pictures of it."""
        self._call("render", [*self.arguments.render, *self._forced])

    @property
    def _forced(self) -> list[str]:
        return ["--force"] if self.arguments.force else []

    @property
    def _planned(self) -> bool:
        return any(document.get("runs") for document in self.documents)

    def _call(self, stage: Stage, options: Sequence[str], photos: Sequence[str] = (), command: str = "") -> None:
        # A directory or photo may begin with a dash: options first, then -- and what is no option.
        common = [*self.arguments.common, *(["--json", "--dry-run"] if self.arguments.dry else [])]
        line = [command or stage, *common, *options, "--", str(self.project.root), *photos]
        before = standing(self.project, stage)
        keeping = "--keep-going" in options
        code, output = run_child(line, self.capture or keeping)
        document = json.loads(output) if self.capture and output else {}
        if document:
            self.documents.append(document)
        elif keeping:
            self.hand_on(output)
        if keeping and code == InputError.exit_code and output and "error" not in document:  # it came to its end
            if not document:
                self.documents.append({"stage": stage, "left_out": True})
            return
        if code:
            raise _failure(self.project, stage, code, before, command)


def _check(project: Project, arguments: RunArguments) -> None:
    """Complain about a range of stages that leaves out what it needs, or what something was said about."""
    stages = arguments.stages
    if not stages:
        raise UsageError(f"--from {arguments.first} comes after --to {arguments.last}")
    said = {"generate": [*arguments.photos, *arguments.cameras], "select": arguments.views or arguments.include_photos}
    for stage, words in said.items():
        if words and stage not in stages:
            what = "photos and their cameras" if stage == "generate" else "--views and --include-photos"
            raise UsageError(f"{what} are for {stage}, which --from {stages[0]} --to {stages[-1]} leaves out")
    for idle, typed in arguments.typed.items():
        if typed and idle not in stages:
            raise UsageError(f"{typed[0]} is for {idle}, which --from {stages[0]} --to {stages[-1]} leaves out")
    if arguments.first != "generate":
        for status in read_status(project).stages[: STAGES.index(arguments.first)]:
            if status.state != "done":
                raise UsageError(
                    f"--from {arguments.first}: {status.stage} is {status.state} ({status.reason}); run "
                    f"`{project.command('run')} --from {status.stage}`"
                )


def _share(project: Project, arguments: RunArguments) -> dict[str, list[str]]:
    """Which stage gets which of the options that they share; UsageError for one that no engine has a use for."""
    if not arguments.shared:
        return {}
    manifest = project.load() if project.exists else Manifest()
    choose = {"generate": _generator, "reconstruct": _reconstructor}
    picked = {stage: pick(manifest, arguments) for stage, pick in choose.items() if stage in arguments.stages}
    refuse_idle_everywhere(arguments.shared, picked)
    return {
        stage: [word for word in arguments.shared if honours(engine, word)] for stage, (engine, _) in picked.items()
    }


def _generator(manifest: Manifest, arguments: RunArguments) -> tuple[str, str]:
    """The engine that `generate` will take, and why."""
    ready = not arguments.photos and any(photo.stated.ready for photo in manifest.live_photos)
    if ready or arguments.generator == "photos":
        return "photos", "the views are ready" if ready else "named"
    before = "" if arguments.force else engine_before(manifest, ready)
    missing = lacking(arguments.settings, arguments.run_options) if arguments.generator == "auto" else ""
    return pick_generator(arguments.generator, before, missing)


def _reconstructor(manifest: Manifest, arguments: RunArguments) -> tuple[str, str]:
    """The engine that `reconstruct` will take, and why."""
    return pick_engine(
        arguments.reconstructor, manifest.stages.get("reconstruct"), arguments.settings, arguments.run_options
    )


def automatic_count(manifest: Manifest) -> int:
    """Six views, as the networks are used to; every one, up to 24, where they agree: of `sculpt` and real photos.

    Renders of one sculpted body cannot contradict each other, and `fit` draws the same number of rays from however many
    views there are: more of them cost next to nothing, and what only two of six see comes out torn.
    """
    views = manifest.live_views.values()
    photos = {photo.name for photo in manifest.live_photos if not photo.stated.ready}
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


def _failure(project: Project, stage: Stage, code: int, before: Record | None, command: str) -> MeshcliError:
    if error := cut_short(project, stage, code, before, command):
        return error
    return StageFailedError(command or stage, 128 - code if code < 0 else code)
