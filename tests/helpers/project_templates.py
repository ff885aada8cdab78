"""Projects that many tests start from: made once by each worker of a test run, and copied for each test."""

import shutil
from collections.abc import Callable
from pathlib import Path

from helpers.fake_engines import COUNTS


class ProjectTemplates:
    """Keeps a copy of each project that was made, and how often the fake engines were called for it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._counts: dict[str, dict[str, int]] = {}

    def make(self, name: str, root: Path, first_time: Callable[[], object]) -> None:
        """Put the project of this name into `root`, which `first_time` does; after that it is copied."""
        template = self._folder / name
        if name in self._counts:
            shutil.copytree(template, root)
        else:
            first_time()
            shutil.copytree(root, template)
            self._counts[name] = dict(COUNTS)
        COUNTS.update(self._counts[name])
