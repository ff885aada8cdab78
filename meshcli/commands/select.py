"""`meshcli select`: which views build the mesh."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import typer

from meshcli.commands.console import print_error, print_views, views_json
from meshcli.commands.flag_groups import Only, expand_flag_groups
from meshcli.commands.flags import Directory, ExecutionFlags, OutputFlags, SelectionFlags
from meshcli.commands.hints import refuse_photos_as_directory
from meshcli.commands.invocation import run_options, run_stage
from meshcli.commands.lazy_commands import Command
from meshcli.commands.plain_output import escape_controls, print_json
from meshcli.commands.reporter import Reporter
from meshcli.commands.view_question import ask_views, fits_picker, has_terminal
from meshcli.errors import MeshcliError, UsageError
from meshcli.project.manifest import Manifest, SelectedBy
from meshcli.project.project import Project
from meshcli.stages.picker_state import opening_state
from meshcli.stages.select import prepare_candidates, select_views
from meshcli.stages.stage_runner import RunOptions
from meshcli.stages.view_choice import parse_view_choice

app = typer.Typer(add_completion=False)
CANCELLED = 130  # the exit code of Ctrl-C


@app.command(cls=Command, epilog="Example: meshcli select desk --views 0,3,5,7,8,10")
@expand_flag_groups
def select(
    directory: Directory,
    selection: SelectionFlags,
    execution: Annotated[ExecutionFlags, Only("force", "wait", "dry_run")],
    output: OutputFlags,
) -> int:
    """Choose the views that build the mesh; without a flag, ask on the terminal."""
    refuse_photos_as_directory(directory, "select", [])
    project = Project(directory)
    _refuse_contradictions(selection, execution)
    if selection.list_views:
        manifest = project.load()
        if output.as_json:
            print_json({"meshcli": 1, **views_json(manifest)})
        else:
            print_views(manifest)
        return 0
    options = run_options(execution)
    names = selection.views
    by: SelectedBy = "auto" if selection.suggested else "flag"
    if not names and not selection.auto:
        names = _ask(project, selection.include_photos, replace(options, tell=Reporter(output.quiet).tell))
        if not names:
            raise SelectionCancelledError(project)
        by = "person"
    return run_stage(
        directory,
        "select",
        lambda project, reported: select_views(
            project, names, auto=selection.auto or 0, include_photos=selection.include_photos, by=by,
            run_options=reported,
        ),
        options,
        output,
    )  # fmt: skip


class SelectionCancelledError(MeshcliError):
    """The picker was left without accepting; with the exit code of Ctrl-C, so that a script stops."""

    exit_code = CANCELLED

    def __init__(self, project: Project) -> None:
        recorded = project.load().selection
        kept = f"the recorded one is kept ({', '.join(recorded.names)})" if recorded else "none is recorded"
        super().__init__(f"no selection was accepted; {kept}")


def _refuse_contradictions(selection: SelectionFlags, execution: ExecutionFlags) -> None:
    chosen = selection.views or selection.auto
    if selection.list_views and (chosen or selection.include_photos or execution.force or execution.dry_run):
        raise UsageError("--list only prints the views; leave out the other flags")
    if selection.views and selection.auto:
        raise UsageError("--views and --auto exclude each other")
    if execution.dry_run and not chosen and not selection.list_views:
        raise UsageError("--dry-run does not ask; add --views or --auto")


def _ask(project: Project, include_photos: bool, options: RunOptions) -> str:
    """Let the user choose on the terminal; empty if the selection is to stay as it is."""
    manifest = project.load()
    if not manifest.active_views:
        raise UsageError(f"{project.root} has no views; run `{project.command('generate')}`")
    if not has_terminal():
        raise UsageError("there is no terminal to ask on; use --views 0,3,5, --auto or --list")
    manifest = prepare_candidates(project, include_photos, options.wait, options.tell)
    state = opening_state(manifest)
    if not fits_picker():
        return _ask_by_line(project, manifest, manifest.selection.names if manifest.selection else state.proposed)

    from meshcli.commands.picker.screen import Row
    from meshcli.commands.picker.terminal import pick

    views = manifest.active_views
    sources = {photo.name: escape_controls(photo.source) for photo in manifest.active_photos}
    rows = [Row(number, view, sources[view.photo]) for number, view in views.items()]
    files = {view.name: project.path(view.file) for view in views.values()}
    end = pick(project.root.resolve().name, rows, files, state, lambda text: parse_view_choice(text, manifest))
    return ",".join(end.chosen) if end.end == "accepted" else ""


def _ask_by_line(project: Project, manifest: Manifest, proposed: Sequence[str]) -> str:
    """On a terminal without cursor positioning: print a table, and ask until the answer is valid."""
    print_views(manifest, to_stderr=True)
    while True:
        answer = ask_views(project, proposed)
        try:
            parse_view_choice(answer, manifest)
        except UsageError as error:
            print_error(str(error))
        else:
            return answer
