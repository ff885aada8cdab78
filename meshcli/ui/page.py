"""The page: a header with the project and the work under way, and a tab for each step."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from nicegui import Client, ui

from meshcli.project.manifest import Stage
from meshcli.stages.run_summary import format_rough, format_seconds
from meshcli.ui.board import Board
from meshcli.ui.export_tab import ExportTab
from meshcli.ui.job import Job
from meshcli.ui.log_tab import LogTab
from meshcli.ui.mesh_tab import MeshTab
from meshcli.ui.parts import button
from meshcli.ui.photos_tab import PhotosTab
from meshcli.ui.views_tab import ViewsTab

STYLE = Path(__file__).parent / "style.css"
POLL_SECONDS = 0.25
TABS: tuple[tuple[str, str, Stage | None], ...] = (
    ("photos", "Photos", "generate"),
    ("views", "Views", "select"),
    ("mesh", "Mesh", "reconstruct"),
    ("export", "Export", "export"),
    ("log", "Log", None),
)


class Tab(Protocol):
    """A step on the page."""

    def update(self) -> None:
        """Show what has changed."""


def add_page(board: Board) -> None:
    """Add the page to the application."""
    style = STYLE.read_text(encoding="utf-8")

    @ui.page("/")
    def index(client: Client) -> None:
        ui.colors(primary="#b4480f")
        ui.add_css(style)
        page = Page(board)
        page.update()
        ui.timer(POLL_SECONDS, page.poll)


class Page:
    """One page in one browser; all of them show the same board."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self._version = -1
        self._pictured: tuple[str, bytes] | None = None
        with ui.header().classes("top"):
            ui.label(board.project.root.resolve().name).classes("project")
            with ui.tabs().props("no-caps dense inline-label mobile-arrows") as tabs:
                self._labels = {name: ui.tab(name, label=title) for name, title, _ in TABS}
        self._draw_work()
        builders: dict[str, Callable[[Board], Tab]] = {
            "photos": PhotosTab,
            "views": ViewsTab,
            "mesh": MeshTab,
            "export": ExportTab,
            "log": LogTab,
        }
        self._tabs: dict[str, Tab] = {}
        with ui.tab_panels(tabs, value="photos", animated=False).props("keep-alive").classes("panels"):
            for name, _, _ in TABS:
                with ui.tab_panel(name):
                    self._tabs[name] = builders[name](board)
        self._log = self._tabs["log"]

    def _draw_work(self) -> None:
        """What is at work, and how the last work ended."""
        with ui.element("section").classes("work").props('aria-label="work"') as self._work:
            with ui.row().classes("line"):
                self._what = ui.label().classes("what").props('role="status"')
                self._time = ui.label().classes("hint")
                self._cancel = button("Cancel", self.board.jobs.cancel, "stop").props("dense")
            self._bar = ui.linear_progress(show_value=False).props('instant-feedback aria-label="progress"')
            self._preview = ui.element("figure").classes("preview")
            with self._preview:
                self._picture = ui.element("img")
        self._problem = ui.label().classes("warning")

    def poll(self) -> None:
        """Show what has changed since the last look; the time goes on anyway."""
        if self._version != self.board.version:
            self.update()
        elif self.board.jobs.at_work:
            self._update_work()
            self._log.update()

    def update(self) -> None:
        """Show the board."""
        board = self.board
        self._version = board.version
        self._problem.set_text(board.problem)
        self._problem.set_visibility(bool(board.problem))
        self._update_work()
        for name, title, stage in TABS:
            if stage:
                self._labels[name].props(f'label="{title}{_mark(board, stage)}"')
        for tab in self._tabs.values():
            tab.update()

    def _update_work(self) -> None:
        board, job = self.board, self.board.jobs.current
        elsewhere = board.elsewhere
        self._work.set_visibility(bool(job or elsewhere))
        busy = board.jobs.at_work
        self._cancel.set_visibility(busy)
        self._cancel.set_enabled(job is not None and job.state == "running")
        self._bar.set_visibility(busy or bool(elsewhere))
        if job and not elsewhere:
            self._what.set_text(job.describe())
            self._work.classes(replace=f"work {job.state}")
        elif elsewhere:
            self._what.set_text(f"{elsewhere} is running in another process, such as a terminal")
            self._work.classes(replace="work running")
        self._update_preview(job if busy else None)
        self._update_time()

    def _update_preview(self, job: Job | None) -> None:
        """The views of a photo while a network paints them."""
        picture = job.picture if job and job.stage in ("", "generate") else None
        self._preview.set_visibility(picture is not None)
        if picture and picture != self._pictured:
            source = f"data:image/webp;base64,{base64.b64encode(picture[1]).decode()}"
            self._picture._props["src"], self._picture._props["alt"] = source, f"unfinished views of photo {picture[0]}"
            self._picture.update()
        self._pictured = picture

    def _update_time(self) -> None:
        job = self.board.jobs.current
        if self.board.elsewhere or job is None or not job.at_work:
            self._time.set_text("")
            self._bar.props("indeterminate")
            return
        left = job.left
        known = f"about {format_rough(left)} left" if left is not None else f"{format_seconds(job.seconds)} so far"
        self._time.set_text(known)
        fraction = round(job.fraction, 3)
        if fraction > 0.0:
            self._bar.props(remove="indeterminate")
            self._bar.set_value(fraction)
        else:
            self._bar.props("indeterminate")


def _mark(board: Board, stage: Stage) -> str:
    """How far a step is, beside its name."""
    state = board.stage(stage).state
    marks = {"done": " ✓", "running": " …", "failed": " !", "stale": " ↻", "interrupted": " ↻"}
    count = f" {len(board.photos)}" if stage == "generate" and board.photos else ""
    return count + marks.get(state, "")
