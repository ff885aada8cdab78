"""Several projects as a page: a table that can be sorted, with a picture of each."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from meshcli import __version__
from meshcli.errors import MeshcliError
from meshcli.project.artefacts import still_file
from meshcli.project.manifest import Manifest
from meshcli.project.project import Project
from meshcli.report.pages import own_script, render_page
from meshcli.report.pictures import ProjectPictures
from meshcli.report.project_page import MAX_PIXELS, PAGE
from meshcli.stages.mesh_check import recorded_match
from meshcli.stages.run_summary import format_seconds, guesses
from meshcli.stages.status import ProjectStatus, read_status, seconds

THUMBNAIL = 192  # pixels along the longer side


@dataclass(frozen=True)
class ProjectRow:
    """What the table says about a project; numbers are None where they are not on record."""

    name: str
    link: str  # relative to the page; its own report where there is one, else its directory; empty where neither is
    state: str
    reason: str = ""
    picture: str = ""  # a URI
    photos: int = 0
    views: int = 0
    engine: str = ""
    faces: int | None = None
    match: float | None = None  # with the photos, 0 to 1
    psnr: float | None = None  # dB
    time: float | None = None  # seconds
    time_text: str = ""
    finished: str = ""
    guesses: list[str] = field(default_factory=list)


def projects_page(
    projects: Sequence[Project], page: Path, told: Mapping[Path, tuple[str, str]] | None = None
) -> tuple[str, list[MeshcliError]]:
    """The HTML text of the page about all of them, and the errors of those that cannot be read; they are in it too.

    `told` has state and reason of projects, by directory, where a batch knows more than they do: one whose photo cannot
    be read is no project yet.
    """
    rows, errors = [], []
    for project in projects:
        state, reason = (told or {}).get(project.root, ("", ""))
        try:
            row = _row(project, page)
            rows.append(replace(row, state=state, reason=reason) if state else row)
        except MeshcliError as error:
            if state:
                rows.append(ProjectRow(_name(project), "", state, reason))
                continue
            errors.append(error)
            rows.append(ProjectRow(_name(project), _link(project, page), "unreadable", str(error)))
    done = sum(row.state == "done" for row in rows)
    title, script = f"{len(rows)} projects", own_script("sorting.js")
    text = render_page("projects.html", [script], None, title=title, version=__version__, rows=rows, done=done)
    return text, errors


def _row(project: Project, page: Path) -> ProjectRow:
    status = read_status(project)
    manifest = status.manifest
    state, reason = _state(status)
    record = manifest.stages.get("reconstruct")
    match = recorded_match(record)
    shown = match if isinstance(match, Mapping) else {}
    times = [value for value in map(seconds, manifest.stages.values()) if value is not None]
    return ProjectRow(
        name=_name(project),
        link=_link(project, page),
        state=state,
        reason=reason,
        picture=_picture(project, manifest),
        photos=len(manifest.active_photos),
        views=len(manifest.active_views),
        engine=record.engine if record else "",
        faces=_whole(record.facts.get("faces")) if record else None,
        match=_number(shown.get("mean")),
        psnr=_number(shown.get("psnr")),
        time=sum(times) if times else None,
        time_text=format_seconds(sum(times)) if times else "",
        finished=max((each.finished for each in manifest.stages.values()), default=""),
        guesses=guesses(manifest),
    )


def _state(status: ProjectStatus) -> tuple[str, str]:
    """The state of the whole: that of the first step that is not done."""
    open_steps = [each for each in status.stages if each.state != "done"]
    if not open_steps:
        return "done", ""
    first = open_steps[0]
    return ("unfinished" if first.state == "missing" else first.state), f"{first.stage}: {first.reason}"


def picture_files(manifest: Manifest) -> list[str]:
    """The pictures that may stand for a project: the mesh from the front, a chosen view, any view, a photo."""
    views = {view.name: view.file for view in manifest.active_views.values()}
    chosen = [views[name] for name in manifest.selection.names if name in views] if manifest.selection else []
    files = [still_file("front"), *chosen[:1], *list(views.values())[:1], *(p.file for p in manifest.active_photos[:1])]
    return [file for file in files if file in manifest.listed_files]


def _picture(project: Project, manifest: Manifest) -> str:
    """A thumbnail."""
    found = ProjectPictures(project, manifest, MAX_PIXELS).listed(picture_files(manifest), THUMBNAIL)
    return found[0]["picture"] if found else ""


def _name(project: Project) -> str:
    return project.root.resolve().name or str(project.root)


def _link(project: Project, page: Path) -> str:
    """The way from the page to the project's own report, or to its directory."""
    target = project.root / PAGE if (project.root / PAGE).is_file() else project.root
    try:
        way = os.path.relpath(target.resolve(), page.parent.resolve())
    except ValueError:  # on another drive
        way = str(target.resolve())
    return quote(way.replace(os.sep, "/"))


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
