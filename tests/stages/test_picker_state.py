from dataclasses import replace
from pathlib import Path

from meshcli.errors import UsageError
from meshcli.stages.picker_state import KEYS, PickerState

NAMES = ("a0", "a1", "a2", "b0", "b1")


def read(text: str) -> list[str]:
    if text == "9":
        raise UsageError("there is no view 9")
    return text.replace(",", " ").split()


def after(*keys: str, chosen: tuple[str, ...] = (), page: int = 2) -> PickerState:
    state = PickerState(NAMES, ("a1", "b1"), chosen, page=page)
    for key in keys:
        state = state.press(key, read)
    return state


def test_the_bar_moves_and_stops_at_the_ends() -> None:
    assert after("j", "down", "k", "down").row == 2
    assert after("up", "up").row == 0
    assert after(*["down"] * 9).row == 4
    assert after("pagedown").row == 2
    assert after("end", "pageup").row == 2
    assert after("end", "home").row == 0


def test_space_takes_and_drops_in_order() -> None:
    assert after("end", " ", "home", " ").chosen == ("b1", "a0")
    assert after(" ", chosen=("b0", "a0")).chosen == ("b0",)


def test_letters_are_commands() -> None:
    assert after("s").chosen == ("a1", "b1")
    assert after("s", "enter").end == "accepted"
    assert after("a").chosen == NAMES
    assert after("n", chosen=("b0",)).chosen == ()
    assert after("n", "enter", chosen=("b0",)).end == ""
    for key in "bcdefgimoprtvwxyz":
        assert after(key) == after()


def test_every_change_can_be_undone() -> None:
    assert after("s", "u", chosen=("b0",)).chosen == ("b0",)
    assert after(" ", "a", "n", "u", "u").chosen == ("a0",)
    assert after(" ", "a", "n", "u", "u", "u", "u").chosen == ()
    assert after("u").message == "there is nothing to undo"
    assert after("s", "s", "u").chosen == ()  # the second change changed nothing


def test_h_and_l_move_by_a_screen() -> None:
    assert after("l").row == 2
    assert after("l", "l", "h").row == 2


def test_a_click_takes_and_drops_and_the_list_stays() -> None:
    state = after("end")
    assert state.first == 3
    clicked = state.click(3)
    assert (clicked.chosen, clicked.row, clicked.first) == (("b0",), 3, 3)
    again = clicked.click(3)
    assert (again.chosen, again.past) == ((), ((), ("b0",)))
    assert state.click(None) == state
    assert after("4").click(0) == after("4")  # typing goes on
    assert after("?").click(0) == after()


def test_the_wheel_moves_the_list_and_the_bar_to_the_ends() -> None:
    places = [(0, 0)]
    state = after()
    for _ in range(5):
        state = state.scroll(1)
        places.append((state.row, state.first))
    assert places == [(0, 0), (1, 1), (2, 2), (3, 3), (4, 3), (4, 3)]
    assert state.scroll(-1).scroll(-1) == replace(state, row=2, first=1)
    assert after("4").scroll(1) == after("4")
    assert after("?").scroll(1) == after()


def test_the_list_moves_no_more_than_it_must() -> None:
    assert [after(*["j"] * times).first for times in range(5)] == [0, 0, 1, 2, 3]
    assert [after("end", *["k"] * times).first for times in range(5)] == [3, 3, 2, 1, 0]
    assert after("end").with_page(4).first == 1
    assert after("end").with_page(9).first == 0


def test_help_hides_at_any_key_and_changes_nothing() -> None:
    assert after("?").help
    assert after("?", "q") == after()
    assert after("?", "?") == after()


def test_the_docs_list_the_same_keys() -> None:
    page = (Path(__file__).parents[2] / "docs" / "choosing-views.md").read_text(encoding="utf-8")
    table = page.partition("| key | does |\n|---|---|\n")[2].partition("\n\n")[0]
    assert table.splitlines() == [f"| {key} | {does} |" for key, does in KEYS]


def test_typed_input_replaces_the_selection() -> None:
    end = after(*"0 a2,b1", "enter", chosen=("b0",))
    assert (end.chosen, end.end) == (("0", "a2", "b1"), "accepted")
    assert after(":", *"a0", "enter").chosen == ("a0",)
    assert after(":", *"b0", "backspace", "1", "enter").chosen == ("b1",)


def test_invalid_input_can_be_corrected() -> None:
    wrong = after("9", "enter", chosen=("b0",))
    assert (wrong.message, wrong.typed, wrong.end) == ("there is no view 9", "9", "")
    mended = wrong.press("backspace", read)
    assert (mended.message, mended.typed, mended.chosen) == ("", "", ("b0",))


def test_leaving_changes_nothing() -> None:
    assert after(" ", "q").end == "cancelled"
    assert after("escape").end == "cancelled"
    assert after("4", "escape").end == ""


def test_nothing_cannot_be_accepted() -> None:
    refused = after("enter")
    assert refused.end == ""
    assert "nothing is chosen" in refused.message


def test_unknown_keys_do_nothing() -> None:
    assert after("f7", "\t", "é"[:0]) == after()
