"""Run the stages, each in a child process, so that its memory returns to the system. Light: no numpy."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from meshcli.config import TypedSettings
from meshcli.config import options as sections
from meshcli.engines import Generator, Reconstructor, refuse_flags_unsupported_everywhere, supports_flag
from meshcli.errors import InputError, MeshcliError, UncertainError, UsageError
from meshcli.progress import Tell, unheard
from meshcli.project.manifest import STAGES, Manifest, RunStage, Stage, StageRecord
from meshcli.project.project import Project
from meshcli.stages.killed_child import killed_child_error, read_record
from meshcli.stages.pace import Work, stage_work
from meshcli.stages.photo_azimuths import (
    accept_guesses,
    guesses_json,
    photos_of_unknown_azimuth,
    refuse_guesses,
)
from meshcli.stages.preflight import ENGINE_PICKERS, complete_plan, look_ahead
from meshcli.stages.run_watcher import RunWatcher
from meshcli.stages.settings_in_force import SECTIONS, settings_in_force
from meshcli.stages.stage_runner import RunOptions
from meshcli.stages.status import read_status, stage_status
from meshcli.stages.view_candidates import add_posed_photos
from meshcli.stages.view_choice import DEFAULT_VIEW_COUNT
from meshcli.system.processes import INTERRUPTED_MESSAGE, SIGNALS, run_child
from meshcli.weights.locations import holds_rembg_model


class StageFailedError(MeshcliError):
    """A child failed and has printed its error already; carries its exit code, and its error where that is known."""

    printed = True

    def __init__(self, command: str, exit_code: int, cause: str = "") -> None:
        super().__init__(cause or f"{command} failed")
        self.command = command
        self.exit_code = exit_code  # type: ignore[misc]  # the child's


class ChildInterruptedError(MeshcliError):
    """A child was interrupted, which it leaves to `run` to report; carries its exit code."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(INTERRUPTED_MESSAGE)
        self.exit_code = exit_code  # type: ignore[misc]  # the child's


ChildCall = Callable[..., tuple[int, str]]  # as `run_child`: a command line to its exit code and output
MAX_AUTOMATIC_VIEWS = 24  # the most that are selected automatically: as many as the networks take


@dataclass(frozen=True)
class RunArguments:
    """The command lines of the children, apart from `meshcli STAGE DIR`, and how to run them."""

    generate: Sequence[str] = ()  # options
    cameras: Sequence[str] = ()  # options of generate about the pictures handed in and their cameras
    photos: Sequence[str] = ()
    views: str = ""  # for select; empty keeps the selection, or suggests one where there is none
    include_photos: bool = False  # for select
    reconstruct: Sequence[str] = ()
    render: Sequence[str] = ()
    export: Sequence[str] | None = None  # None leaves it out
    common: Sequence[str] = ()  # options of every child
    force: bool = False
    first: RunStage = "generate"
    last: RunStage = "render"
    dry: bool = False  # only find out what would run, and why
    guess: bool = False  # go on with azimuths that are guesses
    typed: Mapping[Stage, Sequence[str]] = field(default_factory=dict)  # typed options that only one stage has
    shared: Sequence[str] = ()  # options about networks, for each stage whose engine is one
    generator: Generator = "auto"
    reconstructor: Reconstructor = "auto"
    from_mesh: Path | None = None  # a file of another program that `reconstruct` takes the shape from
    settings: TypedSettings = field(default_factory=TypedSettings)  # from the configuration file and --set
    stage_settings: Mapping[Stage, TypedSettings] = field(default_factory=dict)  # these, and those of a stage's flags
    run_options: RunOptions = field(default_factory=RunOptions)
    only: Stage | None = None  # one stage alone, in place of those from `first` to `last`

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The stages from `first` to `last`, and `export` where it is asked for; or one stage alone."""
        if self.only:
            return (self.only,)
        usual = STAGES[STAGES.index(self.first) : STAGES.index(self.last) + 1]
        return usual if self.export is None or not usual else (*usual, "export")

    def settings_of(self, stage: Stage) -> TypedSettings:
        """What was typed about the settings of a stage."""
        return self.stage_settings.get(stage, self.settings)

    def of_stage(self, stage: Stage) -> "RunArguments":
        """What of these arguments is about one stage, to run it alone. UsageError for a stage they leave out."""
        if stage not in self.stages:
            raise UsageError(f"{stage} is not among the stages of this run: {', '.join(self.stages)}")
        of_generate, of_select = stage == "generate", stage == "select"
        return replace(
            self,
            cameras=self.cameras if of_generate else (),
            photos=self.photos if of_generate else (),
            views=self.views if of_select else "",
            include_photos=self.include_photos and of_select,
            typed={name: words for name, words in self.typed.items() if name == stage},
            shared=self.shared if stage in ENGINE_PICKERS else (),
            first="render" if stage == "export" else stage,
            last="render" if stage == "export" else stage,
            only=stage,
        )


def run_stages(
    project: Project,
    arguments: RunArguments,
    *,
    capture: bool = False,
    tell: Tell = unheard,
    print_output: Tell = unheard,
    watcher: RunWatcher | None = None,
    call: ChildCall | None = None,
) -> list[dict[str, Any]]:
    """Run the stages that are not done; returns the JSON documents of the children.

    The documents are there when output is captured or on a dry run, which returns what would run. A document of
    `generate` is also there when photos were left out (`--keep-going`); `print_output` receives the output of that
    child, and of all whose output `watcher` captures, unless it is a document. `call` runs the command lines, if
    no child processes shall: a worker does so itself.

    Raises UsageError when a stage before the first is not done, or a selection made by a person no longer fits;
    StageFailedError with a child's exit code; ResourceError when a child was ended for lack of memory. The children
    hold the write lock, this function does not.
    """
    _check_range(project, arguments)
    _check_settings(project, arguments)
    shared = _assign_shared_flags(project, arguments)
    if not arguments.dry:
        missing = look_ahead(project, arguments, lambda: run_stages(project, replace(arguments, dry=True), call=call))
        _fetch(missing, quiet=not {"--quiet", "--json"}.isdisjoint(arguments.common))
    if watcher:
        watcher.plan(_works(project, arguments), _finished_stages(project))
    watcher = watcher or RunWatcher()
    captures = capture or arguments.dry
    commands = _StageCommands(project, arguments, captures, tell, print_output, shared, watcher, call=call or run_child)
    run = {
        "generate": commands.generate, "select": commands.select, "reconstruct": commands.reconstruct,
        "render": commands.render, "export": commands.export,
    }  # fmt: skip
    for stage in arguments.stages:
        if changed := next((document["stage"] for document in commands.documents if document.get("runs")), ""):
            commands.plan(stage, f"{changed} runs before it")
        else:
            run[stage]()
    if arguments.dry:
        complete_plan(project, arguments, commands.documents)
    return commands.documents


@dataclass
class _StageCommands:
    """Runs the children, one after another, and collects their documents."""

    project: Project
    arguments: RunArguments
    capture: bool
    tell: Tell
    print_output: Tell
    shared: Mapping[str, Sequence[str]] = field(default_factory=dict)  # stage -> shared options that its engine uses
    watcher: RunWatcher = field(default_factory=RunWatcher)
    documents: list[dict[str, Any]] = field(default_factory=list)
    call: ChildCall = run_child

    def generate(self) -> None:
        """Run `generate`, and `align` when azimuths are unknown."""
        arguments = self.arguments
        self._accept_guesses()
        options = [*arguments.generate, *self.shared.get("generate", ()), *([] if arguments.guess else ["--certain"])]
        self._run_stage("generate", [*options, *arguments.cameras, *self._force_flag], arguments.photos)
        if any(document.get("runs") for document in self.documents) or not photos_of_unknown_azimuth(
            self.project.load()
        ):
            return
        if arguments.dry:
            self.plan("align", "the azimuths of the photos are unknown")
            return
        self._run_stage("generate", [], command="align")
        self._accept_guesses()
        manifest = self.project.load()
        refuse_guesses(self.project, manifest, [photo.stated for photo in manifest.active_photos])
        # `sculpt` now makes one body of all photos. The set is recorded, and nothing that was just done is forced.
        if stage_status(self.project, manifest, "generate").state != "done":
            self._run_stage("generate", options)

    def _accept_guesses(self) -> None:
        """Record that the user goes on with guesses, with --guess."""
        if self.arguments.guess and not self.arguments.dry and self.project.exists:
            accept_guesses(self.project, self.arguments.run_options.wait)

    def select(self) -> None:
        """Run `select` unless a selection was made by a person or a flag."""
        options = select_arguments(self.project, self.arguments.views, self.arguments.include_photos)
        if options is not None:
            self._run_stage("select", [*options, *self._force_flag])
        elif self.arguments.dry:
            self.plan("select", "the selection is kept", runs=False)
        else:
            unused = "; --include-photos is for a new one" if self.arguments.include_photos else ""
            self.tell(f"select: the selection is kept{unused}")

    def reconstruct(self) -> None:
        """Run `reconstruct`."""
        options = [*self.arguments.reconstruct, *self.shared.get("reconstruct", ())]
        self._run_stage("reconstruct", [*options, *self._force_flag])

    def render(self) -> None:
        """Run `render`."""
        self._run_stage("render", [*self.arguments.render, *self._force_flag])

    def export(self) -> None:
        """Run `export`."""
        self._run_stage("export", [*(self.arguments.export or ()), *self._force_flag])

    def plan(self, stage: str, reason: str, runs: bool = True) -> None:
        """Add a dry run's document for a stage whose child is not asked."""
        self.documents.append({"stage": stage, "runs": runs, "reason": reason, "engine": ""})

    @property
    def _force_flag(self) -> list[str]:
        return ["--force"] if self.arguments.force else []

    def _run_stage(self, stage: Stage, options: Sequence[str], photos: Sequence[str] = (), command: str = "") -> None:
        """Run a child to its end; `command` if it is not called as its stage. Raises what `_stage_error` returns."""
        # A directory or photo may begin with a dash: options first, then -- and the arguments.
        common = [*self.arguments.common, *(["--json", "--dry-run"] if self.arguments.dry else [])]
        line = [command or stage, *common, *options, "--", str(self.project.root), *photos]
        before = read_record(self.project, stage)
        keep_going = "--keep-going" in options
        captured = self.capture or keep_going or self.watcher.captures
        listening = (self.watcher.report, self.watcher.read_line) if self.watcher.read_line else ()
        self.watcher.started(stage, command or stage)
        code, output = self.call(line, captured, *listening)
        self.watcher.ended(stage, command or stage, code)
        document = json.loads(output) if self.capture and output else {}
        if document:
            self.documents.append(document)
        elif captured:
            self.print_output(output)
        photos_left_out = keep_going and code == InputError.exit_code and output and "error" not in document
        if photos_left_out:  # but the stage is done
            if not document:
                self.documents.append({"stage": stage, "left_out": True})
        elif code:
            raise _stage_error(self.project, stage, code, before, command, str(document.get("error", "")))


def _check_range(project: Project, arguments: RunArguments) -> None:
    """Raise UsageError for a range of stages that needs one before it, or flags for a stage outside the range."""
    stages = arguments.stages
    if not stages:
        raise UsageError(f"--from {arguments.first} comes after --to {arguments.last}")
    given = {"generate": [*arguments.photos, *arguments.cameras], "select": arguments.views or arguments.include_photos}
    for stage, words in given.items():
        if words and stage not in stages:
            what = "photos and their cameras" if stage == "generate" else "--views and --include-photos"
            raise UsageError(f"{what} are for {stage}, which --from {stages[0]} --to {stages[-1]} leaves out")
    for stage, typed in arguments.typed.items():
        if typed and stage == "export" and arguments.export is None:
            raise UsageError(f"{typed[0]} is for an export; add what to export, as --export glb")
        if typed and stage not in stages:
            raise UsageError(f"{typed[0]} is for {stage}, which --from {stages[0]} --to {stages[-1]} leaves out")
    if arguments.first != "generate":
        for status in read_status(project).stages[: STAGES.index(arguments.first)]:
            if status.state != "done":
                raise UsageError(
                    f"--from {arguments.first}: {status.stage} is {status.state} ({status.reason}); run "
                    f"`{project.command('run')} --from {status.stage}`"
                )


def _check_settings(project: Project, arguments: RunArguments) -> None:
    """Raise the error that a stage would raise for its settings, typed and on record, before any is run."""
    manifest = project.load() if project.exists else Manifest()
    for stage in arguments.stages:
        settings_in_force(stage, manifest.stages.get(stage), arguments.settings_of(stage))


def _fetch(weights: Sequence[str], quiet: bool) -> None:
    """Download weights before the first stage starts; StageFailedError when that fails."""
    line = ["models", "pull", *weights, *(["--quiet"] if quiet else [])]
    if weights and (code := run_child(line, capture=True)[0]):
        raise StageFailedError("models pull", 128 - code if code < 0 else code)


def _assign_shared_flags(project: Project, arguments: RunArguments) -> dict[str, list[str]]:
    """Stage -> shared options that its engine uses; UsageError for an option that no engine uses."""
    if not arguments.shared:
        return {}
    manifest = project.load() if project.exists else Manifest()
    picked = {stage: pick(manifest, arguments) for stage, pick in ENGINE_PICKERS.items() if stage in arguments.stages}
    in_force = settings_in_force("generate", manifest.stages.get("generate"), arguments.settings).settings
    cuts_out = "generate" in picked and holds_rembg_model(in_force.photo.rembg_model, arguments.run_options.weights)
    for_cutting_out = [word for word in arguments.shared if cuts_out and word.startswith("--weights=")]
    refuse_flags_unsupported_everywhere([word for word in arguments.shared if word not in for_cutting_out], picked)
    return {
        stage: [
            word
            for word in arguments.shared
            if supports_flag(engine, word) or (stage == "generate" and word in for_cutting_out)
        ]
        for stage, (engine, _) in picked.items()
    }


def _works(project: Project, arguments: RunArguments) -> dict[Stage, Work]:
    """What the stages have to do, as far as it tells how long they take."""
    manifest = project.load() if project.exists else Manifest()
    recorded = 0 if arguments.photos and "--add" not in arguments.cameras else len(manifest.active_photos)
    works: dict[Stage, Work] = {}
    for stage in arguments.stages:
        settings = settings_in_force(stage, manifest.stages.get(stage), arguments.settings).settings
        engine = ENGINE_PICKERS[stage](manifest, arguments)[0] if stage in ENGINE_PICKERS else ""
        units = recorded + len(arguments.photos) if stage == "generate" else 1
        typed = [*arguments.typed.get(stage, ()), sections(settings, *SECTIONS[stage])]
        works[stage] = stage_work(stage, engine, arguments.run_options.device, typed, units)
    return works


def _finished_stages(project: Project) -> frozenset[Stage]:
    """The stages that are done; those that need not run again if nothing else was typed."""
    stages = read_status(project).stages if project.exists else ()
    return frozenset(status.stage for status in stages if status.state == "done")


def automatic_count(manifest: Manifest) -> int:
    """How many views to select automatically: six, as the networks expect, or all up to 24 if they agree.

    Views of one sculpted body and real photos cannot contradict each other, and `fit` samples the same number of rays
    however many views there are. So more of them cost almost nothing, and surfaces that only two of six views show
    come out torn.
    """
    views = manifest.active_views.values()
    photos = {photo.name for photo in manifest.active_photos if not photo.stated.ready}
    if all(view.engine == "sculpt" or view.name in photos for view in views):
        return min(len(views), MAX_AUTOMATIC_VIEWS)
    return min(len(views), DEFAULT_VIEW_COUNT)


def select_arguments(project: Project, views: str, include_photos: bool = False) -> list[str] | None:
    """The options of `select`; None to keep one that a person or a flag made, `select --auto` too."""
    photos_flag = ["--include-photos"] if include_photos else []
    if views:
        return ["--views", views, *photos_flag]
    manifest = project.load()
    if manifest.selection is None or manifest.selection.by == "auto":
        candidates = add_posed_photos(project, manifest, unheard) if include_photos else manifest
        return ["--auto", str(automatic_count(candidates)), "--suggested", *photos_flag]
    status = stage_status(project, manifest, "select")
    if status.state == "done":
        return None
    if status.state == "stale":
        raise UsageError(
            f"the views of {project.root} were chosen by a {manifest.selection.by}, and now {status.reason}; look at "
            f"views/sheet.png and choose again: `{project.command('select')}`"
        )
    return ["--views", ",".join(manifest.selection.names)]  # only its files are missing


def _stage_error(
    project: Project, stage: Stage, code: int, before: StageRecord | None, command: str, cause: str
) -> MeshcliError:
    """The error for a child that failed with an exit code, negative for a signal; `cause` is its error, if known."""
    if error := killed_child_error(project, stage, code, before, command):
        return error
    if code == UncertainError.exit_code and stage == "generate":
        uncertain = UncertainError("the azimuths of the photos are guesses")
        uncertain.printed, uncertain.details = True, guesses_json(project, project.load())
        return uncertain
    if code in (128 + number for number in SIGNALS):
        return ChildInterruptedError(code)
    return StageFailedError(command or stage, 128 - code if code < 0 else code, cause)
