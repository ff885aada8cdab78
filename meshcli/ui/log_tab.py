"""The log: what the work under way says, and the end of the project's log file."""

from nicegui import ui

from meshcli.project.artefacts import LOG
from meshcli.ui.board import Board

TAIL = 20_000  # bytes of the log file that are shown


class LogTab:
    """The tab."""

    def __init__(self, board: Board) -> None:
        self.board = board
        ui.label("Messages").classes("heading")
        self._lines = ui.label().classes("log")
        ui.label("Log of the project").classes("heading")
        self._file = ui.label().classes("log")

    def update(self) -> None:
        """Show what has changed."""
        job = self.board.jobs.current
        head = (
            [f"$ {job.without_folder(self.board.shown(job.words))}", *job.lines]
            if job
            else ["nothing was done on this page yet"]
        )
        self._lines.set_text("\n".join(head))
        self._file.set_text(self._tail())

    def _tail(self) -> str:
        """The end of log.txt, whole lines; empty where there is none."""
        path = self.board.project.root / LOG
        try:
            if path.is_symlink():
                return ""
            with path.open("rb") as file:
                file.seek(max(0, path.stat().st_size - TAIL))
                text = file.read(TAIL).decode("utf-8", "replace")
        except OSError:
            return ""
        return text if len(text) < TAIL else text.partition("\n")[2]
