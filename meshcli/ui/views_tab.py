"""Views: pictures to choose from, by mouse or keys, with the cameras from above."""

from dataclasses import replace
from html import escape
from typing import Any

from nicegui import events, run, ui

from meshcli.errors import UsageError
from meshcli.project.manifest import Manifest, Selection, ViewEntry
from meshcli.report.camera_map import camera_map
from meshcli.stages.run_summary import CHOSEN_BY
from meshcli.stages.select import select_views
from meshcli.stages.view_choice import shown_coverage, shown_scores
from meshcli.ui.board import Board
from meshcli.ui.elements import ViewGrid
from meshcli.ui.parts import CommandLine, button, picture_address, reporting

SIDE = 320  # pixels of a picture
KEYS = (
    "Arrow keys move, space takes or drops, s suggests, a takes all, n none, u undoes, enter uses the choice. "
    "The numbers are the order."
)


class ViewsTab:
    """The tab."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self._map_of: object = None
        self._none = ui.label("There are no views yet: hand in photos and press “Make views”.").classes("hint")
        with ui.element("div").classes("choosing") as self._choosing:
            self._grid = ViewGrid()
            self._grid.on("take", self._take)
            self._grid.on("move", self._move)
            self._grid.on("press", self._press_event)
            with ui.element("div").classes("side"):
                self._map = ui.html("", sanitize=False)
                self._summary = ui.label().classes("summary")
                self._message = ui.label().classes("warning")
                with ui.row():
                    button("Suggest", lambda: self._press("s"), "auto_awesome")
                    button("All", lambda: self._press("a"))
                    button("None", lambda: self._press("n"))
                    button("Undo", lambda: self._press("u"), "undo")
                self._use = button("Use these views", self._accept, "check", main=True)
                self._command = CommandLine()
                ui.label(KEYS).classes("hint")

    def update(self) -> None:
        """Show what has changed."""
        board, state = self.board, self.board.choice
        self._none.set_visibility(state is None)
        self._choosing.set_visibility(state is not None)
        if state is None:
            return
        views = board.manifest.active_views
        rows = [_row(number, view, board.time_of(view.file)) for number, view in views.items()]
        self._grid.show(rows, state.chosen, state.row)
        entries = {view.name: view for view in views.values()}
        chosen = [entries[name] for name in state.chosen if name in entries]
        if (key := (state.chosen, state.row, len(rows))) != self._map_of:
            self._map_of = key
            self._map.set_content(compass(board.manifest, state.chosen, state.names[state.row]))
        seen = shown_coverage(chosen)
        share = "" if seen is None else f", they see {seen:.0%} of all sides"
        self._summary.set_text(f"{len(chosen)} of {len(rows)} views chosen{share}. {self._recorded()}")
        self._message.set_text(state.message)
        self._message.set_visibility(bool(state.message))
        self._use.set_enabled(bool(chosen) and not board.jobs.at_work and not board.elsewhere)
        self._command.show(board.shown(board.words("select", f"--views={','.join(state.chosen)}")) if chosen else "")

    def _recorded(self) -> str:
        recorded = self.board.manifest.selection
        if recorded is None:
            return "Nothing is used yet: without a choice of yours, building chooses by itself."
        if self.board.choice and recorded.names == self.board.choice.chosen:
            state = self.board.stage("select")
            made = self.board.stage("generate").state == "done"
            stale = "" if state.state == "done" else f", but {state.reason if made else 'the views are out of date'}"
            return f"In use, {CHOSEN_BY[recorded.by]}{stale}."
        return f"Not in use yet: another choice, of {len(recorded.names)}, is."

    def _take(self, event: events.GenericEventArguments) -> None:
        state = self.board.choice
        if state and isinstance(event.args, int) and 0 <= event.args < len(state.names):
            self.board.set_choice(state.click(event.args))
            self.update()

    def _move(self, event: events.GenericEventArguments) -> None:
        state = self.board.choice
        if state and isinstance(event.args, int):  # relative: keys may come faster than answers go back
            row = min(max(state.row + event.args, 0), len(state.names) - 1)
            self.board.set_choice(replace(state, row=row, message=""))
            self.update()

    async def _press_event(self, event: events.GenericEventArguments) -> None:
        if event.args == "enter":
            await reporting(self._accept)()
        elif event.args in (" ", "s", "a", "n", "u"):
            self._press(event.args)

    def _press(self, key: str) -> None:
        if self.board.choice:
            self.board.set_choice(self.board.choice.press(key, lambda _: []))
            self.update()

    async def _accept(self) -> None:
        """Record the choice, as `select` does."""
        await accept(self.board)
        ui.notify("these views will build the mesh", timeout=1500)


async def accept(board: Board) -> None:
    """Record the choice of views on the board, as made by a person. MeshcliError where that cannot be."""
    state = board.choice
    if state is None:
        return
    if board.jobs.at_work:
        raise UsageError("wait for the work under way, or cancel it")
    if board.elsewhere:
        raise UsageError(f"wait: {board.elsewhere} is running in another process, such as a terminal")
    after = state.press("enter", lambda _: [])
    if not after.end:
        board.set_choice(after)
        raise UsageError(after.message)
    await run.io_bound(select_views, board.project, list(state.chosen), by="person")
    await run.io_bound(board.look)


def compass(manifest: Manifest, chosen: tuple[str, ...], current: str) -> str:
    """The cameras from above as SVG, with the places of the chosen views."""
    selection = Selection(chosen, "person") if chosen else None
    marks = []
    for mark in camera_map(replace(manifest, selection=selection)):
        name, kind = str(mark["name"]), str(mark["kind"])
        taken = kind == "view" and name in chosen
        label = str(chosen.index(name) + 1) if taken else name
        classes = " ".join([kind, *(["chosen"] if taken else []), *(["current"] if name == current else [])])
        marks.append(
            f'<g class="{classes}" transform="translate({mark["x"]} {mark["y"]})"><title>{escape(kind)} '
            f'{escape(name)}, azimuth {mark["azimuth"]}</title><circle r="{7.5 if kind == "photo" else 5.6}"/>'
            f'<text dy="0.35em">{escape(label)}</text></g>'
        )
    return (
        '<svg class="map" viewBox="-100 -104 200 208" role="img" aria-label="photos and views around the object, seen '
        'from above"><circle class="ring" r="82"/><circle class="body" r="9"/>'
        f'{"".join(marks)}<text class="name" y="101">front, azimuth 0</text><text class="name" y="-95">back, 180</text>'
        "</svg>"
    )


def _row(number: int, view: ViewEntry, stamp: int) -> dict[str, Any]:
    """A view as the grid shows it."""
    scores, angles = shown_scores(view), f"{round(view.camera.azimuth) % 360}°, {view.camera.elevation:.0f}°"
    total = scores.get("total")
    known = isinstance(total, int | float) and not isinstance(total, bool)
    single = ", ".join(f"{key} {value:.2f}" for key, value in scores.items() if isinstance(value, int | float))
    return {
        "name": view.name,
        "number": number,
        "picture": picture_address(view.file, SIDE, stamp),
        "angles": angles,
        "score": f"{total:.2f}" if known else "",
        "scores": single,
        "label": f"view {number}, {view.name}, {angles}",
    }
