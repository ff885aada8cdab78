"""A finished project to report about."""

from pathlib import Path

import pytest

from helpers.finished_project import finish
from helpers.project_templates import ProjectTemplates
from meshcli.project.project import Project


@pytest.fixture
def finished(
    project: Project, photos: list[Path], engine_calls: dict[str, int], templates: ProjectTemplates
) -> Project:
    templates.make("finished", project.root, lambda: finish(project, photos))
    return project
