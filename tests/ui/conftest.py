"""Projects that several tests of the page start from."""

from pathlib import Path

import pytest

from helpers.cli_processes import meshcli
from meshcli.project.project import Project


@pytest.fixture
def with_views(project: Project, photos: list[Path]) -> Project:
    done = meshcli("generate", str(project.root), *map(str, photos), "--azimuth=0,40,-50")
    assert done.returncode == 0, done.stderr
    return project
