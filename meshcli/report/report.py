"""Write a page about one project or several."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from meshcli.errors import MeshcliError
from meshcli.project.project import Project
from meshcli.report.pages import refuse_foreign_page, write_page
from meshcli.report.project_page import PAGE, project_page
from meshcli.report.projects_page import projects_page


@dataclass(frozen=True)
class WrittenPage:
    """A page on the disk."""

    path: Path
    size: int  # bytes
    errors: tuple[MeshcliError, ...] = ()  # of projects that cannot be read, and stand in the page as such


def write_report(projects: Sequence[Project], file: Path | None) -> WrittenPage:
    """Write the page about a project, or about several, to `file`; else into the project, or here.

    Reads only, and takes no lock. UsageError where another file would be overwritten; MeshcliError where no project
    can be read.
    """
    path = file or (projects[0].root / PAGE if len(projects) == 1 else Path(PAGE))
    if len(projects) == 1:
        projects[0].load()  # whose error is more to the point than one about the page
    refuse_foreign_page(path)
    text, errors = (project_page(projects[0]), []) if len(projects) == 1 else projects_page(projects, path)
    if errors and len(errors) == len(projects):
        raise errors[0]
    write_page(path, text)
    return WrittenPage(path, len(text.encode()), tuple(errors))
