"""What the tabs of the page share: buttons that report errors, command lines to copy, addresses of files."""

import inspect
from collections.abc import Awaitable, Callable
from urllib.parse import quote

from nicegui import ui

from meshcli.errors import MeshcliError

Action = Callable[[], object] | Callable[[], Awaitable[object]]


def button(text: str, action: Action, icon: str = "", main: bool = False) -> ui.button:
    """A button whose errors are shown, in the words of the command line."""
    made = ui.button(text, icon=icon or None, color=None, on_click=reporting(action)).props("no-caps unelevated")
    return made.classes("main") if main else made.props("outline")


def reporting(action: Action) -> Callable[[], Awaitable[None]]:
    """An action that shows its error, if a user can mend it."""

    async def run() -> None:
        try:
            result = action()
            if inspect.isawaitable(result):
                await result
        except MeshcliError as error:
            report(str(error))
        except OSError as error:
            report(f"{error.filename or 'the disk'}: {error.strerror}")

    return run


def report(message: str) -> None:
    """Show what went wrong until it is dismissed."""
    ui.notify(message, type="negative", close_button="OK", timeout=0, multi_line=True, position="bottom")


def picture_address(file: str, side: int, stamp: int) -> str:
    """Where the server has a picture of the project, reduced to `side` pixels; `stamp` is the file's time.

    Names in a manifest of somebody else's may hold anything: the address holds nothing that HTML or a URL would read.
    """
    return f"/project/picture/{quote(file)}?side={side}&v={stamp}"


def file_link(text: str, file: str) -> ui.link:
    """A link that downloads a file of the project."""
    return download_link(text, f"/project/file/{quote(file)}", file.rpartition("/")[2])


def download_link(text: str, address: str, name: str) -> ui.link:
    """A link that saves what an address has under a name."""
    link = ui.link(text, address).classes("download")
    link.props["download"] = name
    return link


class CommandLine:
    """The command line that a button amounts to, to copy."""

    def __init__(self) -> None:
        with ui.row().classes("command"):
            self._code = ui.label().classes("code")
            copy = ui.button(icon="content_copy", color=None, on_click=self._copy).props("flat dense round size=sm")
            copy.props('aria-label="copy the command line"')

    def show(self, line: str) -> None:
        """Show a line."""
        if self._code.text != line:
            self._code.set_text(line)

    def _copy(self) -> None:
        ui.clipboard.write(self._code.text)
        ui.notify("copied", timeout=1000)
