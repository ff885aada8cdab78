"""Views -> selection: which views build the mesh, in which order. Light until there is something to write."""

from collections.abc import Sequence
from dataclasses import replace

from meshcli.errors import UsageError
from meshcli.progress import Tell
from meshcli.project.artefacts import FIXED_ARTEFACTS, SELECTION_SHEET, VIEWS_SHEET
from meshcli.project.manifest import Manifest, SelectedBy, Selection, ViewEntry
from meshcli.project.project import Project
from meshcli.stages.inputs import chosen_views, selection_inputs
from meshcli.stages.photo_azimuths import guess_warning, photos_of_unknown_azimuth
from meshcli.stages.stage_runner import (
    Outcome,
    ResolvedTask,
    RunOptions,
    outcome_without_running,
    recording,
    write_lock,
)
from meshcli.stages.view_candidates import add_posed_photos, refresh_candidates
from meshcli.stages.view_choice import DEFAULT_VIEW_COUNT, parse_view_choice, suggest_views
from meshcli.views.photo_cameras import unknown_azimuths


def select_views(
    project: Project,
    views: str | Sequence[str] = "",
    *,
    auto: int = DEFAULT_VIEW_COUNT,
    include_photos: bool = False,
    by: SelectedBy | None = None,
    run_options: RunOptions = RunOptions(),
) -> Outcome:
    """Select the named views ("0,3,5", "a0,b2", "0-5", "all", "photo:a"), or suggest `auto` well-spread ones.

    `by` says who chose: "flag" for names and "auto" for a suggestion if it is not said; `run` replaces the latter.
    `include_photos` first adds photos with known cameras to the views. Raises UsageError for views that do not exist or
    are named twice; nothing is changed then.
    """
    with write_lock(project, run_options):
        manifest = project.load()
        if not manifest.active_views:
            raise UsageError(f"{project.root} has no views; run `{project.command('generate')}`")
        text = views if isinstance(views, str) else ",".join(views)
        candidates = add_posed_photos(project, manifest, run_options.tell) if include_photos else manifest
        names = parse_view_choice(text, candidates) if text else []  # before anything is written
        if run_options.dry:
            manifest = candidates  # with the recorded scores, although a view may have been edited since
        elif include_photos or not text or not project.path(VIEWS_SHEET).is_file():
            manifest = refresh_candidates(project, candidates)
        names = names or suggest_views(manifest, auto)
        _check_azimuths(project, manifest, names)
        selection = Selection(tuple(names), by or ("flag" if text else "auto"))
        inputs = selection_inputs(project, manifest, selection)
        task = ResolvedTask("select", selection.by, {"views": names}, inputs, files=FIXED_ARTEFACTS["select"])
        outcome = outcome_without_running(project, manifest, task, run_options)
        if outcome and (manifest.selection == selection or run_options.dry):
            return outcome
        if warning := guess_warning(project, manifest):
            run_options.tell(warning)
        with recording(project, replace(manifest, selection=selection), task, run_options) as run:
            if len(names) == DEFAULT_VIEW_COUNT:
                run.write({SELECTION_SHEET: _selection_sheet(project, chosen_views(project, run.manifest))})
            else:
                run.note(
                    f"{len(names)} views are selected: `fit` takes any number, InstantMesh was trained with "
                    f"{DEFAULT_VIEW_COUNT}"
                )
        if len(names) != DEFAULT_VIEW_COUNT:
            project.path(SELECTION_SHEET).unlink(missing_ok=True)  # it would show an older selection
        return run.outcome()


def prepare_candidates(project: Project, include_photos: bool, wait: bool, tell: Tell) -> Manifest:
    """The manifest for a person to choose from: photos among the views if wanted, scores and sheet up to date."""
    with project.write_lock(wait, tell):
        manifest = project.load()
        candidates = add_posed_photos(project, manifest, tell) if include_photos else manifest
        return refresh_candidates(project, candidates)


def _check_azimuths(project: Project, manifest: Manifest, names: Sequence[str]) -> None:
    """Raise UsageError when views of several photos are selected and the azimuth of one of these is unknown."""
    photos = {view.photo for view in manifest.active_views.values() if view.name in names}
    unknown = [name for name in photos_of_unknown_azimuth(manifest) if name in photos]
    if len(photos) > 1 and unknown:
        raise unknown_azimuths(project.command("align"), unknown)


def _selection_sheet(project: Project, views: Sequence[ViewEntry]) -> bytes:
    """PNG of six views in three rows of two on white, as InstantMesh writes them."""
    from meshcli.pictures.image import encode_png, join_sheet, resize
    from meshcli.stages.view_loading import load_views

    pictures = [view.pixels for view in load_views(project, views)]
    height, width = pictures[0].shape[:2]
    return encode_png(join_sheet([resize(picture, width, height)[..., :3] for picture in pictures], columns=2))
