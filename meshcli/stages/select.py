"""Views -> selection: which views build the mesh, in which order. Light until there is something to write."""

from collections.abc import Sequence
from dataclasses import replace

from meshcli.errors import UsageError
from meshcli.manifest import Chooser, Selection, ViewEntry
from meshcli.project import Project
from meshcli.stages.choice import read_choice, suggest
from meshcli.stages.inputs import chosen_views, selection_inputs
from meshcli.stages.work import How, Outcome, Task, unchanged, working

SHEET = "selection.png"  # as InstantMesh writes it: six views, 3 rows of 2, 640 x 960
USUAL = 6


def select_views(
    project: Project, views: str | Sequence[str] = "", *, auto: int = USUAL, by: Chooser = "flag", how: How = How()
) -> Outcome:
    """Choose views: those named ("0,3,5", "a0,b2", "0-5", "all", "photo:a"), or `auto` well-spread ones.

    Raises UsageError for views that do not exist or are named twice; nothing is changed then.
    """
    with project.writing(how.wait, how.tell):
        manifest = project.load()
        if not manifest.live_views:
            raise UsageError(f"{project.root} has no views; run `{project.command('generate')}`")
        text = views if isinstance(views, str) else ",".join(views)
        names = read_choice(text, manifest) if text else suggest(manifest, auto)
        selection = Selection(tuple(names), by if text else "auto")
        inputs = selection_inputs(project, manifest, selection)
        task = Task("select", selection.by, {"views": names}, inputs)
        if manifest.selection == selection and (outcome := unchanged(project, manifest, task, how)):
            return outcome
        with working(project, replace(manifest, selection=selection), task, how) as work:
            if len(names) == USUAL:
                work.write({SHEET: _sheet(project, chosen_views(project, work.manifest))})
            else:
                work.note(f"{len(names)} views are chosen; six is usual, `fit` takes any number")
        if len(names) != USUAL:
            project.path(SHEET).unlink(missing_ok=True)  # it would show an older choice
        return work.outcome()


def _sheet(project: Project, views: Sequence[ViewEntry]) -> bytes:
    from meshcli.image import encode_png, join_sheet, resize
    from meshcli.stages.pictures import load_views

    pictures = [view.pixels for view in load_views(project, views)]
    height, width = pictures[0].shape[:2]
    return encode_png(join_sheet([resize(picture, width, height)[..., :3] for picture in pictures], columns=2))
