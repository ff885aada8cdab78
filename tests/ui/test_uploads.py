"""Names of uploaded files, and the shared state of pages: dials, choices, command lines."""

import stat
from dataclasses import replace
from pathlib import Path

import pytest

from meshcli.errors import UsageError
from meshcli.project.project import Project
from meshcli.stages.generate import generate_views
from meshcli.stages.photo_set import CameraArguments
from meshcli.stages.select import select_views
from meshcli.ui.board import UNCHANGED_CHOICE, Board
from meshcli.ui.uploads import MAX_FILES, MAX_NAME, Inbox, safe_name


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("1.png", "1.png"),
        ("../../etc/passwd", "passwd"),
        ("C:\\photos\\desk (2).JPG", "desk (2).JPG"),
        ("photo.jpg@45", "photo.jpg-45"),
        ("--engine=sculpt.png", "engine=sculpt.png"),
        (".hidden", "hidden"),
        ("..", "photo"),
        ("", "photo"),
        ("a\nb\x00.png", "a-b-.png"),
        ("$(reboot).png", "(reboot).png"),
        ("a %22desk%22, 50%.png", "a -desk-, 50-.png"),
        ("Schreibtisch ä 椅子.webp", "Schreibtisch ä 椅子.webp"),
        ("x" * 500 + ".jpeg", "x" * MAX_NAME + ".jpeg"),
    ],
)
def test_names_are_made_harmless(name: str, safe: str) -> None:
    assert safe_name(name) == safe


def test_files_lie_in_a_private_folder_under_different_names() -> None:
    inbox = Inbox()
    try:
        assert stat.S_IMODE(inbox.folder.stat().st_mode) == 0o700
        places = [inbox.place("same.png") for _ in range(3)]
        assert [path.name for path in places] == ["same.png", "same-2.png", "same-3.png"]
        assert {path.parent for path in places} == {inbox.folder}
        for number in range(MAX_FILES - 3):
            inbox.place(f"{number}.png")
        with pytest.raises(UsageError, match=f"at most {MAX_FILES}"):
            inbox.place("more.png")
    finally:
        inbox.remove()
    assert not inbox.folder.exists()


@pytest.fixture
def board(project: Project, photos: list[Path], engine_calls: dict[str, int]) -> Board:
    generate_views(project, photos)
    board = Board(project)
    board.look()
    return board


def test_dials_become_a_flag_when_all_are_turned(board: Board) -> None:
    assert [board.shown_azimuth(photo) for photo in board.photos] == [None, None, None]
    assert board.azimuth_words() == []
    board.set_azimuth("a", 0.0)
    board.set_azimuth("c", -50.4)
    board.set_azimuth("z", 10.0)
    board.set_azimuth("b", 1e9)
    with pytest.raises(UsageError, match="dial of b too"):
        board.azimuth_words()
    board.set_azimuth("b", 400.0 - 360.0)
    assert board.azimuth_words() == ["--azimuth=0,40,310"]
    words = board.words("run", "--to=generate", *board.azimuth_words())
    assert board.shown(words) == f"meshcli run {board.project.root} --to=generate --azimuth=0,40,310"


def test_angles_that_were_recorded_are_no_longer_pending(board: Board) -> None:
    for name, angle in (("a", 0.0), ("b", 40.0), ("c", 310.0)):
        board.set_azimuth(name, angle)

    generate_views(board.project, typed=CameraArguments([0, 40, 310]))
    board.look()
    assert board.azimuths == {}
    assert [board.shown_azimuth(photo) for photo in board.photos] == [0.0, 40.0, 310.0]
    board.set_azimuth("b", 45.0)
    assert board.azimuth_words() == ["--azimuth=0,45,310"]
    board.set_azimuth("b", 40.0)
    assert board.azimuth_words() == []
    board.set_azimuth("b", 45.0)
    board.forget_azimuths()
    assert board.azimuth_words() == []


def test_a_choice_follows_the_terminal_unless_it_was_begun_here(board: Board) -> None:
    assert board.choice
    generate_views(board.project, typed=_ways())
    board.look()
    select_views(board.project, "a0,b1,c2")
    board.look()
    assert board.choice.chosen == ("a0", "b1", "c2")
    board.set_choice(board.choice.click(5))
    assert board.choice_is_edited
    select_views(board.project, "a1,b1,c1")
    board.look()
    assert board.choice.chosen == ("a0", "b1", "c2", "a5")
    assert board.choice.message == UNCHANGED_CHOICE
    board.set_choice(replace(board.choice, chosen=("a1", "b1", "c1")))
    assert not board.choice_is_edited
    select_views(board.project, "a2")
    board.look()
    assert board.choice.chosen == ("a2",)


def test_an_unchanged_project_changes_no_page(board: Board) -> None:
    board.look()  # at the files that the first look found in the manifest
    version = board.version
    board.look()
    assert board.version == version
    (board.project.root / "photos" / "a.png").touch()
    board.look()
    assert board.version == version + 1
    (board.project.root / "manifest.json").write_text("{")
    board.look()
    assert "manifest.json" in board.problem


def _ways() -> CameraArguments:

    return CameraArguments([0, 40, -50])
