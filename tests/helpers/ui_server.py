"""`meshcli ui` as a process, for tests that open its page."""

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from helpers.browser import DESK, Watched, open_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SECONDS_TO_END = 60


@contextmanager
def serving(project: Path, command: Sequence[str], *flags: str, trouble: str = "") -> Iterator[str]:
    """The address of the page of a project; the server ends with the block."""
    server, address = start(project, command, *flags, trouble=trouble)
    try:
        yield address
    finally:
        stop(server)


def start(project: Path, command: Sequence[str], *flags: str, trouble: str = "") -> tuple["subprocess.Popen[str]", str]:
    """The process of a server, and the address that it printed."""
    server = subprocess.Popen(
        [*command, "ui", str(project), "--no-open", *flags], env={**os.environ, "MESHCLI_TEST": trouble}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=project.parent,
    )  # fmt: skip
    assert server.stdout
    address = server.stdout.readline().strip()
    if not address:
        raise AssertionError(server.communicate()[1])
    return server, address


def stop(server: "subprocess.Popen[str]", number: int = signal.SIGTERM) -> tuple[int, str]:
    """End a server; its exit code and what it said on standard error."""
    if server.poll() is None:
        server.send_signal(number)
    try:
        said = server.communicate(timeout=SECONDS_TO_END)[1]
    except subprocess.TimeoutExpired:
        server.kill()
        said = server.communicate()[1]
    return server.returncode, said


def opened(browser: "Browser", address: str, size: tuple[int, int] = DESK, tab: str = "") -> Watched:
    """The page, loaded, with one of its tabs open."""
    watched = open_page(browser, address, size)
    watched.page.locator(".upload").wait_for(state="attached")
    if tab:
        watched.page.get_by_role("tab", name=tab).click()
    return watched
