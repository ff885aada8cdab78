import io
from dataclasses import replace

import pytest
from rich.console import Console, RenderableType
from rich.text import Text

from meshcli.commands.picker.screen import Row, Size, build_screen
from meshcli.project.manifest import ViewEntry
from meshcli.stages.picker_state import KEYS, PickerState
from meshcli.views.camera import zero123plus_rig

SCORES = {"shape": 0.91, "colour": 0.82, "sharpness": 0.73, "whole": 1.0, "total": 0.87}
ROWS = [
    Row(number, ViewEntry(f"{photo}{tile}", "", photo, camera, "zero123plus", SCORES), f"photo {photo}.jpg")
    for number, (photo, tile, camera) in enumerate(
        (photo, tile, camera) for photo in "abc" for tile, camera in enumerate(zero123plus_rig(ord(photo) * 40.0))
    )
]


def picture(name: str, columns: int, rows: int) -> RenderableType:
    return Text("\n".join(["#" * columns] * rows))


def shown(state: PickerState, columns: int = 80, rows: int = 24, **options: bool) -> list[str]:
    console = Console(file=io.StringIO(), width=columns, height=rows, force_terminal=True, **options)  # type: ignore[arg-type]
    screen = build_screen("desk", ROWS, state, picture, picture, Size(columns, rows, len(ROWS)))
    lines = console.render_lines(screen, console.options.update(height=rows))
    return ["".join(segment.text for segment in line) for line in lines]


STATE = PickerState(tuple(row.view.name for row in ROWS), (), ("a1", "c5"))


@pytest.mark.parametrize("size", [(80, 24), (40, 16), (59, 20), (60, 18), (120, 40), (200, 60)])
def test_it_fills_the_terminal_and_no_more(size: tuple[int, int]) -> None:
    lines = shown(STATE, *size)
    assert [len(line) for line in lines] == [size[0]] * size[1]


def test_the_bar_is_always_in_sight_and_the_list_scrolls() -> None:
    for row in range(18):
        text = "\n".join(line[:44] for line in shown(replace(STATE, row=row)))
        assert f" {ROWS[row].view.name} " in text, row
        assert text.count("▌") == 3  # as high as a thumbnail
    assert " a0 " not in "\n".join(shown(replace(STATE, row=17)))


def test_small_terminals_show_the_total_and_the_rest_beside_the_picture() -> None:
    text = "\n".join(shown(STATE))
    assert "0.87" in text
    assert "shape 0.91" in text
    assert "2 of 18 views chosen" in text
    wide = shown(STATE, 160, 40)
    assert all(title in wide[1] for title in ("photo", "shape", "colour", "sharp", "whole", "score"))


def test_the_large_picture_takes_half_of_the_height() -> None:
    lines = shown(STATE)
    assert sum("#" * 26 in line for line in lines) == 13


def test_input_and_its_errors_are_shown() -> None:
    lines = shown(replace(STATE, typed="0,99", message="there is no view 99; views are 0-17"))
    assert "there is no view 99" in lines[-2]
    assert lines[-1].startswith("> 0,99")


def test_a_file_name_is_never_markup() -> None:
    odd = [replace(ROWS[0], photo="[red]x[/].png")]
    console = Console(file=io.StringIO(), width=80, height=24, force_terminal=True)
    state = PickerState(("a0",), ())
    lines = console.render_lines(build_screen("[b]d", odd, state, picture, picture, Size(80, 24, 1)))
    text = "\n".join("".join(segment.text for segment in line) for line in lines)
    assert "[red]x[/]" in text
    assert text.startswith("[b]d")


def test_views_of_one_sculpted_body_have_no_scores_to_show(monkeypatch: pytest.MonkeyPatch) -> None:
    sculpted = [Row(row.number, replace(row.view, engine="sculpt"), row.photo) for row in ROWS]
    monkeypatch.setitem(shown.__globals__, "ROWS", sculpted)
    text = "\n".join(shown(STATE, 160, 40))
    assert "2 of 18 views chosen" in text
    for word in ("score", "shape", "0.87", "0.91", "of all sides"):
        assert word not in text


def test_where_one_is_and_what_the_keys_do() -> None:
    assert "4 of 18" in "\n".join(shown(replace(STATE, row=3)))
    for columns, rows in ((40, 16), (80, 24)):
        lines = shown(replace(STATE, help=True), columns, rows)
        for key, does in KEYS:  # each whole and on one line, however small the terminal
            assert any(key in line and does in line for line in lines), (columns, key)
        text = " ".join("\n".join(lines).split())
        words = set(text.replace(",", " ").split())
        assert {"undo", "suggested", "accept", "k", "escape"} <= words


def test_a_narrow_terminal_has_the_table() -> None:
    lines = shown(replace(STATE, row=7), 40, 20)
    text = "\n".join(lines)
    assert "b1" in text
    assert "2 of 18 views" in text
    assert "at 8 of 18" in text
    assert "enter accept" in text
    assert "q leave" in text


@pytest.mark.parametrize("columns", [40, 65, 66, 72, 80, 120, 200])
@pytest.mark.parametrize("rows", [16, 24, 33, 40, 60])
@pytest.mark.parametrize("views", [1, 2, 6, 18, 24])
def test_the_parts_fit_every_terminal(columns: int, rows: int, views: int) -> None:
    size = Size(columns, rows, views)
    assert size.page * size.thumbnail <= rows - 4
    assert size.page >= min(views, 6) or size.thumbnail == 3
    assert size.table >= 40 + 2 * size.thumbnail or size.thumbnail == 3
    if not size.narrow:
        side = columns - size.table
        assert 4 * size.thumbnail <= 2 * 2 * max(size.picture, 6)
        assert max(2 * size.picture, 2 * size.compass - 1) <= side
        assert 2 * size.compass - 1 <= size.compass_columns <= side


@pytest.mark.parametrize(
    ("size", "rows", "columns", "page"),
    [
        (Size(40, 16, 18), 3, 6, 4),
        (Size(80, 24, 18), 3, 9, 6),
        (Size(80, 24, 2), 6, 12, 3),
        (Size(120, 40, 18), 6, 18, 6),
        (Size(200, 60, 24), 9, 27, 6),
        (Size(200, 60, 3), 18, 54, 3),
    ],
)
def test_thumbnails_are_as_large_as_there_is_room(size: Size, rows: int, columns: int, page: int) -> None:
    assert (size.thumbnail, size.thumbnail_columns, size.page) == (rows, columns, page)


@pytest.mark.parametrize("terminal", [(40, 16), (80, 24), (120, 40), (200, 60)])
def test_a_click_finds_the_view_that_is_drawn_there(terminal: tuple[int, int]) -> None:
    size = Size(*terminal, len(ROWS))
    state = replace(STATE, row=10).with_page(size.page)
    lines = shown(state, *terminal)
    found = [size.view_at(5, row, state.first) for row in range(terminal[1])]
    for row, line in enumerate(lines):
        names = [view.view.name for view in ROWS if f" {view.view.name} " in line[: size.table]]
        if 2 <= row < terminal[1] - 2 and names:
            assert found[row] is not None
            assert [ROWS[found[row] or 0].view.name] == names, row
    assert len({view for view in found if view is not None}) == size.page
    assert found[:2] == found[-2:] == [None, None]
    assert size.view_at(size.table, 3, 0) is None
    assert Size(80, 24, 2).view_at(5, 20, 0) is None  # below the last view


def test_the_map_has_the_numbers_of_all_chosen_views() -> None:
    for columns, rows in ((66, 24), (80, 24), (120, 40), (200, 60)):
        size = Size(columns, rows, len(ROWS))
        lines = shown(replace(STATE, chosen=STATE.names, row=17), columns, rows)
        plan = [line[size.table :][: size.compass_columns] for line in lines[-2 - size.compass - 8 : -2]]
        words = " ".join(plan).replace(",", " ").split()
        assert {str(place) for place in range(1, 19)} <= set(words), (columns, rows)
        assert "front" in words
