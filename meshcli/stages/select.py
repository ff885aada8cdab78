"""Views -> selection: which views build the mesh, in which order. Light until there is something to write."""

from collections.abc import Sequence
from dataclasses import replace

from meshcli.errors import UsageError
from meshcli.project.manifest import SELECTION_SHEET, Chooser, Manifest, Selection, ViewEntry
from meshcli.project.project import Project
from meshcli.stages.inputs import chosen_views, selection_inputs
from meshcli.stages.photo_set import photos_of_unknown_azimuth
from meshcli.stages.stage_runner import Outcome, ResolvedTask, RunOptions, entering, recording, unchanged
from meshcli.stages.view_candidates import SHEET, refresh, with_photos
from meshcli.stages.view_choice import read_choice, suggest
from meshcli.views.photo_cameras import unknown_azimuths

USUAL = 6


def select_views(
    project: Project,
    views: str | Sequence[str] = "",
    *,
    auto: int = USUAL,
    include_photos: bool = False,
    by: Chooser = "flag",
    run_options: RunOptions = RunOptions(),
) -> Outcome:
    """Choose views: those named ("0,3,5", "a0,b2", "0-5", "all", "photo:a"), or the `auto` best and well-spread ones.

    `include_photos` first puts photos whose cameras are known among the views, as views of their own. Raises
    UsageError for views that do not exist or are named twice; nothing is changed then.
    """
    with entering(project, run_options):
        manifest = project.load()
        if not manifest.live_views:
            raise UsageError(f"{project.root} has no views; run `{project.command('generate')}`")
        text = views if isinstance(views, str) else ",".join(views)
        pool = with_photos(project, manifest, run_options.tell) if include_photos else manifest
        names = read_choice(text, pool) if text else []  # a wrong one leaves everything as it is
        if run_options.dry:
            manifest = pool  # its scores are at most those from before somebody edited a view
        elif include_photos or not text or not project.path(SHEET).is_file():
            manifest = refresh(project, pool)
        names = names or suggest(manifest, auto)
        _refuse_sideless(project, manifest, names)
        selection = Selection(tuple(names), by if text else "auto")
        inputs = selection_inputs(project, manifest, selection)
        task = ResolvedTask("select", selection.by, {"views": names}, inputs)
        outcome = unchanged(project, manifest, task, run_options)
        if outcome and (manifest.selection == selection or run_options.dry):
            return outcome
        with recording(project, replace(manifest, selection=selection), task, run_options) as run:
            if len(names) == USUAL:
                run.write({SELECTION_SHEET: _sheet(project, chosen_views(project, run.manifest))})
            else:
                run.note(
                    f"{len(names)} views are chosen; six is usual: `fit` takes any number, InstantMesh learned from six"
                )
        if len(names) != USUAL:
            project.path(SELECTION_SHEET).unlink(missing_ok=True)  # it would show an older choice
        return run.outcome()


def _refuse_sideless(project: Project, manifest: Manifest, names: Sequence[str]) -> None:
    """Views of several photos need to know how these stand to each other; views of one photo do not."""
    photos = {view.photo for view in manifest.live_views.values() if view.name in names}
    unknown = [name for name in photos_of_unknown_azimuth(manifest) if name in photos]
    if len(photos) > 1 and unknown:
        raise unknown_azimuths(project.command("align"), unknown)


def prepare_pool(project: Project, include_photos: bool, run_options: RunOptions) -> Manifest:
    """The project with everything that somebody wants to see who chooses: photos among the views if wanted, scores."""
    with project.writing(run_options.wait, run_options.tell):
        manifest = project.load()
        pool = with_photos(project, manifest, run_options.tell) if include_photos else manifest
        return refresh(project, pool)


def _sheet(project: Project, views: Sequence[ViewEntry]) -> bytes:
    from meshcli.pictures.image import encode_png, join_sheet, resize
    from meshcli.stages.view_loading import load_views

    pictures = [view.pixels for view in load_views(project, views)]
    height, width = pictures[0].shape[:2]
    return encode_png(join_sheet([resize(picture, width, height)[..., :3] for picture in pictures], columns=2))
