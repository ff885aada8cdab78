"""Fixtures and settings for all tests: a clean environment, fake engines, three photos, a project."""

import gc
import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from helpers import fake_engines
from helpers.golden import BOTH, Numbers
from helpers.project_templates import ProjectTemplates
from meshcli.project.project import Project

if TYPE_CHECKING:
    from playwright.sync_api import Browser

COLOURS = [(200, 50, 50), (50, 200, 50), (50, 50, 200)]


# Environment variables of the user that change what meshcli, its libraries or the terminal do.
PERSONAL = re.compile(
    "MESHCLI|HF_|U2NET|REMBG|XDG_DATA_HOME|PYTHONUNBUFFERED|"
    "NO_COLOR|FORCE_COLOR|PY_COLORS|COLORTERM|GITHUB_ACTIONS|TTY_|COLUMNS|LINES"
)
LOCAL_HOSTS = "127.0.0.1,localhost"


def pytest_configure() -> None:
    """A clean environment for this process and its children; the local machine is reached without a proxy."""
    for name in filter(PERSONAL.match, list(os.environ)):
        del os.environ[name]
    os.environ["TERM"] = "xterm-256color"
    os.environ["MESHCLI_STATE"] = os.devnull  # no folder: nothing is kept, and the user's own stays as it is
    for name in ("NO_PROXY", "no_proxy"):
        os.environ[name] = f"{os.environ.get(name, LOCAL_HOSTS)},{LOCAL_HOSTS}"


def pytest_collection_finish() -> None:
    """Take imported modules out of garbage collection, which running the networks triggers often."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """Chromium; skips where there is none."""
    from helpers.browser import chromium

    with chromium() as opened:
        yield opened


@pytest.fixture(scope="session", params=BOTH)
def numbers(request: pytest.FixtureRequest) -> Numbers:
    """The published programs' numbers, from each place that has some."""
    return request.param


@pytest.fixture
def engine_calls(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Replace the real engines by fake ones; how often each was called."""
    for name, module in fake_engines.modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr("meshcli.stages.generate.lacking", lambda *_: "weights")  # whoever runs the tests may have them
    fake_engines.COUNTS.update(dict.fromkeys(fake_engines.COUNTS, 0))
    return fake_engines.COUNTS


@pytest.fixture
def default_signal_handlers() -> Iterator[None]:
    """Children handle SIGINT and SIGTERM: tests that run in the background may have inherited that they are ignored."""
    defaults = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in defaults.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Three small pictures with alpha, an off-centre rectangle of a different colour in each."""
    paths = []
    for number, colour in enumerate(COLOURS, 1):
        pixels = np.zeros((90, 120, 4), np.uint8)
        pixels[20:70, 30 : 90 + number] = (*colour, 255)
        paths.append(tmp_path / f"{number}.png")
        Image.fromarray(pixels).save(paths[-1])
    return paths


@pytest.fixture(scope="session")
def u2netp(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of rembg's smallest network, downloaded once; skips the test when that fails."""
    from tools.u2netp import fetch

    cache = getattr(request.config, "cache", None)  # none with -p no:cacheprovider
    try:
        return fetch(cache.mkdir("u2netp") if cache else tmp_path_factory.mktemp("u2netp")).parent
    except RuntimeError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> ProjectTemplates:
    """Projects that many tests start from."""
    return ProjectTemplates(tmp_path_factory.mktemp("templates"))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "desk")


@pytest.fixture
def finished(
    project: Project, photos: list[Path], engine_calls: dict[str, int], templates: ProjectTemplates
) -> Project:
    """A small project of three photos with every stage done, by the fake engines."""
    from helpers.finished_project import finish

    templates.make("finished", project.root, lambda: finish(project, photos))
    return project
