"""The layout of the picker: a scrolling table with thumbnails, the current view large, a plan view of the cameras."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.layout import Layout
from rich.table import Table
from rich.text import Text

from meshcli.commands.console import SCORES, format_score
from meshcli.commands.picker.compass import Marker, plan_view
from meshcli.project.manifest import ViewEntry
from meshcli.stages.picker_state import KEYS, PickerState
from meshcli.stages.view_choice import shown_coverage, shown_scores

Picture = Callable[[str, int, int], RenderableType]  # name of a view, columns, rows -> its picture

MINIMUM_COLUMNS = 40  # of the table without thumbnails and the single scores
KEY_HELP = "? keys · enter accept · q leave · space take/drop · s suggest · u undo"  # the rest is behind ?
NARROW = 66  # columns below which there is room for the table alone
ABOVE, BELOW = 2, 2  # rows of the screen that hold no views: two lines of titles, two of help and input
AT_ONCE = 6  # views that stay in sight however large thumbnails could be; six are suggested
MINIMUM_THUMBNAIL = 3  # rows; in fewer, nothing can be recognized
FACTS = 11  # columns of a score and its name
LABELS = 8  # columns beside the ring of the plan view, for places of two digits and more


@dataclass(frozen=True)
class Row:
    """A view as a row of the table."""

    number: int
    view: ViewEntry
    photo: str  # the file name of its photo


@dataclass(frozen=True)
class Size:
    """The size of the terminal in characters, and of the parts of the screen."""

    columns: int
    rows: int
    views: int

    @property
    def thumbnail(self) -> int:
        """Rows of a thumbnail, as many as the terminal has room for."""
        by_width = (self.table - MINIMUM_COLUMNS) // 2
        # More than half of the large picture would only take the room of that.
        useful = by_width if self.narrow else min(by_width, self.picture // 2)
        return max(MINIMUM_THUMBNAIL, min(self._rows_a_view, useful))

    @property
    def thumbnail_columns(self) -> int:
        """Columns of a thumbnail: square, or wider where the table has room, for objects that are."""
        return max(2 * self.thumbnail, min(3 * self.thumbnail, self.table - MINIMUM_COLUMNS))

    @property
    def picture(self) -> int:
        """Rows of the large picture; it has twice as many columns."""
        return max(4, min((self._side - 4) // 2, self.rows - self.compass - 4, 40))

    @property
    def compass(self) -> int:
        """Rows of the plan view, an odd number."""
        widest = self._side // 2
        return 7 if self.rows < 34 or widest < 11 else 11 if self.rows < 56 or widest < 15 else 15

    @property
    def compass_columns(self) -> int:
        """Columns of the plan view, an odd number."""
        room = self.columns - self.table - (FACTS + 1 if self.facts_beside else 0)
        return min(2 * self.compass - 1 + LABELS, room - 1 + room % 2)

    @property
    def facts_beside(self) -> bool:
        """Whether the angles and scores of the current view have room beside the plan view, or stand below it."""
        return self.columns - self.table >= 2 * self.compass + 2 + FACTS

    @property
    def table(self) -> int:
        """Columns of the table."""
        if self.narrow:
            return self.columns
        side = max(2 * self.picture, 2 * self.compass + FACTS + 1) + 2
        return self.columns - min(self._side, side)

    @property
    def _side(self) -> int:
        """Columns that the table can spare, so that the large picture is twice as wide as a thumbnail or wider."""
        spare = self.columns - MINIMUM_COLUMNS
        return spare - 2 * max(MINIMUM_THUMBNAIL, min(self._rows_a_view, (spare - 4) // 6))

    @property
    def _rows_a_view(self) -> int:
        """Rows for each of the views that are to be in sight together."""
        return (self.rows - ABOVE - BELOW) // min(self.views, AT_ONCE)

    @property
    def narrow(self) -> bool:
        """Whether there is room for the table alone."""
        return self.columns < NARROW

    @property
    def page(self) -> int:
        """Visible views."""
        return max(1, (self.rows - ABOVE - BELOW) // self.thumbnail)

    def view_at(self, column: int, row: int, first: int) -> int | None:
        """The view whose row of the table is at a place of the screen, both counted from 0; None beside the table."""
        place = (row - ABOVE) // self.thumbnail
        inside = column < self.table and 0 <= place < self.page and first + place < self.views
        return first + place if inside else None


def build_screen(
    title: str, rows: Sequence[Row], state: PickerState, small: Picture, large: Picture, size: Size
) -> Layout:
    """The whole terminal."""
    screen, body, side = Layout(), Layout(), Layout()
    state = state.with_page(size.page)
    here = rows[state.row]
    if state.help or size.narrow:
        whole = _keys() if state.help else _table(rows, state, small, size)
        screen.split_column(Layout(_header(title, rows, state), size=1), Layout(whole), Layout(_footer(state), size=2))
        return screen
    # One row more than the picture has: after a sixel picture the cursor is on the row below.
    side.split_column(
        Layout(large(here.view.name, 2 * size.picture, size.picture), size=size.picture + 1),
        Layout(_side_panel(rows, state, size)),
    )
    body.split_row(Layout(_table(rows, state, small, size), size=size.table), Layout(side))
    screen.split_column(Layout(_header(title, rows, state), size=1), body, Layout(_footer(state), size=2))
    return screen


def _keys() -> Table:
    """Every key and what it does."""
    table = Table(box=None, padding=(0, 1), show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(no_wrap=True)
    for key, does in KEYS:
        table.add_row(Text(key), Text(does))
    return table


def _table(rows: Sequence[Row], state: PickerState, small: Picture, size: Size) -> Table:
    scored = any(shown_scores(row.view) for row in rows)
    wide = scored and size.table >= MINIMUM_COLUMNS + size.thumbnail_columns + 24
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim", width=size.table)
    for title, width in (("", 2), ("", size.thumbnail_columns), ("no", 3), ("name", 4)):
        table.add_column(title, width=width, no_wrap=True)
    table.add_column("photo", ratio=1, no_wrap=True, overflow="ellipsis")
    for title in ("az", "el", *(SCORES if wide else ()), *(("score",) if scored else ())):
        table.add_column(title, justify="right", no_wrap=True, min_width=4)
    for index, row in list(enumerate(rows))[state.first : state.first + size.page]:
        scores = shown_scores(row.view)
        camera = row.view.camera
        table.add_row(
            _row_marker(row.view.name, state.chosen, index == state.row, size.thumbnail),
            small(row.view.name, size.thumbnail_columns, size.thumbnail),
            str(row.number),
            row.view.name,
            Text(row.photo),
            f"{round(camera.azimuth) % 360}",
            f"{camera.elevation:.0f}",
            *([format_score(scores.get(key)) for key in SCORES.values()] if wide else ()),
            *([format_score(scores.get("total"))] if scored else ()),
            style="bold" if index == state.row else "",
        )
    return table


def _row_marker(name: str, chosen: Sequence[str], current: bool, rows: int) -> Text:
    """A bar beside the current row, and the position in the selection."""
    bar = "▌" if current else " "
    place = str(chosen.index(name) + 1) if name in chosen else " "
    lines = [f"{bar}{place}"[:2] if len(place) == 1 else place, *[bar] * (rows - 1)]
    return Text("\n".join(lines), "bold green" if name in chosen else "bold cyan")


def _side_panel(rows: Sequence[Row], state: PickerState, size: Size) -> Table:
    """The plan view, and the angles and scores of the current view."""
    here = rows[state.row]
    places = {name: str(place) for place, name in enumerate(state.chosen, 1)}
    views = [row.view for row in rows]
    dots = [Marker(view.camera.azimuth, "o", "dim") for view in views if view.name not in places]
    chosen = sorted((view for view in views if view.name in places), key=lambda view: int(places[view.name]))
    labels = [
        Marker(view.camera.azimuth, places.get(view.name, "o"), "reverse bold" if view is here.view else "bold green")
        for view in (*chosen, *([] if here.view.name in places else [here.view]))
    ]
    plan = Text("\n").join(Text.assemble(*line) for line in plan_view(dots, labels, size.compass, size.compass_columns))
    camera = here.view.camera
    facts = [
        Text(f"{here.number}  {here.view.name}", "bold"),
        Text(f"{round(camera.azimuth) % 360}°, {camera.elevation:.0f}°", no_wrap=True),
        *(
            Text(f"{title} {format_score(shown_scores(here.view)[key])}", no_wrap=True)
            for title, key in SCORES.items()
            if shown_scores(here.view).get(key) is not None
        ),
    ]
    table = Table.grid(padding=(0, 1, 0, 0))
    if size.facts_beside:
        table.add_row(plan, Group(*facts))
    else:
        table.add_row(Group(plan, *facts))
    return table


def _header(title: str, rows: Sequence[Row], state: PickerState) -> Text:
    names = {row.view.name: row.view for row in rows}
    share = shown_coverage([names[name] for name in state.chosen])
    seen = "" if share is None else f", they see {share:.0%} of all sides"
    chosen = f"{len(state.chosen)} of {len(rows)} views chosen"
    return Text(
        f"{title}: {chosen}, at {state.row + 1} of {len(rows)}{seen}", "bold", no_wrap=True, overflow="ellipsis"
    )


def _footer(state: PickerState) -> Group:
    keys = Text(KEY_HELP, "dim", no_wrap=True, overflow="ellipsis")
    if state.message:
        keys = Text(state.message, "bold red", no_wrap=True, overflow="ellipsis")
    chosen = Text(f"chosen: {' '.join(state.chosen) or 'none'}", no_wrap=True, overflow="ellipsis")
    typed = Text.assemble("> ", (state.typed, "bold"), ("_", "blink"), no_wrap=True, overflow="ellipsis")
    return Group(keys, typed if state.typed else chosen)
