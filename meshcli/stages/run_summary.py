"""The summary at the end of `run`: results, figures, what was guessed, where to look. Light: no numpy."""

from collections.abc import Iterator

from meshcli.project.artefacts import CONTACT_SHEET, EXPORT, MESH, SELECTION_SHEET, VIEWS_SHEET
from meshcli.project.manifest import Manifest, Stage, StageRecord
from meshcli.project.project import Project
from meshcli.stages.mesh_check import mesh_match
from meshcli.stages.mesh_import import engine_label
from meshcli.stages.photo_azimuths import azimuth_lines, photos_of_unknown_azimuth

CHOSEN_BY = {"auto": "chosen automatically", "flag": "chosen with a flag", "person": "chosen by hand"}
NOTED_STAGES: tuple[Stage, ...] = ("generate", "reconstruct", "render", "export")  # whose notes are about the result


def summary_lines(project: Project, took: float | None = None) -> list[tuple[str, str]]:
    """Rows of a heading and a text about what is done; `took` seconds were spent on it in all."""
    manifest = project.load()
    rows = [*_results(project, manifest), *(("guessed", text) for text in guesses(manifest))]
    rows += [("note", text) for text in _notes(manifest) if "guess" not in text]
    if took is not None:
        rows.append(("time", format_seconds(took)))
    sheets = [sheet for sheet in (CONTACT_SHEET, SELECTION_SHEET, VIEWS_SHEET) if _has(manifest, sheet)]
    return [*rows, *(("look at", str(project.root / sheet)) for sheet in sheets[:1])]


def guesses(manifest: Manifest) -> list[str]:
    """What the result rests on that nobody stated: estimated or unknown sides, shapes that no photo shows."""
    unknown = photos_of_unknown_azimuth(manifest)
    estimated = [photo.name for photo in manifest.active_photos if photo.stated.aligned and not photo.stated.given]
    lines = [line for line in azimuth_lines(manifest) if line.split()[0] in (*unknown, *estimated)]
    return [*lines, *(text for text in _notes(manifest) if "guess" in text)]


def format_seconds(seconds: float) -> str:
    """A duration for people: `8 s`, `1 min 55 s`, `2 h 3 min`."""
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    if minutes < 1:
        return f"{rest} s"
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def format_rough(seconds: float) -> str:
    """A time as exact as an estimate is: in steps of 5 seconds, from 90 seconds on in minutes."""
    return f"{max(round(seconds / 5) * 5, 5)} s" if seconds < 90 else f"{round(seconds / 60)} min"


def _results(project: Project, manifest: Manifest) -> Iterator[tuple[str, str]]:
    """The files that are done, each with its figures."""
    reconstruct, render = _done(manifest, "reconstruct"), _done(manifest, "render")
    if reconstruct and _has(manifest, MESH):
        yield "mesh", str(project.root / MESH)
        yield "", _mesh_figures(reconstruct)
        if match := mesh_match(reconstruct):
            yield "match", match.removeprefix("the mesh matches ")
    for video in [output.file for output in render.outputs if output.file.endswith(".mp4")] if render else []:
        yield "video", str(project.root / video)
    if _done(manifest, "export"):
        yield "export", str(project.root / EXPORT)
    if manifest.selection and _done(manifest, "select"):
        chosen, views = len(manifest.selection.names), len(manifest.active_views)
        yield "views", f"{chosen} of {views}, {CHOSEN_BY[manifest.selection.by]}"
    if manifest.active_photos:
        engines = {view.engine for view in manifest.active_views.values()}
        made = f", views by {' and '.join(sorted(engines))}" if engines else ""
        built = f", mesh by {engine_label(reconstruct)}" if reconstruct else ""
        count = len(manifest.active_photos)
        yield "from", f"{count} photo{'s' if count > 1 else ''}{made}{built}"


def _mesh_figures(record: StageRecord) -> str:
    faces = record.facts.get("faces")
    texture = record.options.get("texture")
    size = texture.get("size") if isinstance(texture, dict) else None
    textured = any(output.file == "mesh/mesh.png" for output in record.outputs)
    size_on_disk = next((output.size for output in record.outputs if output.file == MESH), 0)
    parts = [f"{faces:,} faces"] if isinstance(faces, int) else []
    parts += [f"texture {size} x {size}"] if textured and isinstance(size, int) else ["no texture"]
    return ", ".join([*parts, f"{size_on_disk / 1e6:.1f} MB"])


def _notes(manifest: Manifest) -> list[str]:
    """What the stages had to say about their results."""
    notes: list[str] = []
    for record in filter(None, (_done(manifest, stage) for stage in NOTED_STAGES)):
        recorded = record.facts.get("notes")
        told = [str(note) for note in recorded] if isinstance(recorded, list) else []
        notes += [note for note in told if note != mesh_match(record)]  # which has a row of its own
    return notes


def _done(manifest: Manifest, stage: Stage) -> StageRecord | None:
    record = manifest.stages.get(stage)
    return record if record and record.status == "done" else None


def _has(manifest: Manifest, file: str) -> bool:
    return any(output.file == file for record in manifest.stages.values() for output in record.outputs)
