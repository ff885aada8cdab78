"""Directories, lists on standard input, and names of every kind."""

import io
import os
import unicodedata
from pathlib import Path

import pytest

from meshcli.errors import InputError, UsageError
from meshcli.pictures.photo_arguments import MAX_LIST_BYTES, existing_path, list_photos, natural_sort_key
from meshcli.pictures.source_photo import SourcePhoto
from meshcli.views.photo_cameras import PhotoArgument, parse_photo_argument

NAMES = [
    "with space.png",
    "ümlaut.png",
    unicodedata.normalize("NFD", "éte.png"),
    'it\'s "q".png',
    "-dash.png",
    "--azimuth",
    "a\nb.png",
    "tab\t.png",
    "logo@2x.png",
    "p@45.png",
    "[red]x.png",
    "\x1b[31mesc.png",
    "back\\slash.png",
    "a,b.png",
    "$HOME.png",
    os.fsdecode(b"lat\xfcn.png"),
]


@pytest.fixture(autouse=True)
def _at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def listed(*arguments: str, stdin: bytes | None = None) -> list[str]:
    return list_photos(arguments, io.BytesIO(stdin) if stdin is not None else None, lambda _: None)


def directory(*names: str) -> Path:
    Path("photos").mkdir()
    for name in names:
        Path("photos", name).write_bytes(b"x")
    return Path("photos")


def test_a_directory_is_the_pictures_in_it() -> None:
    folder = directory("10.png", "2.png", "1.PNG", ".hidden.png", "b.jpg", "B2.heic", "notes.txt", "cameras.json")
    (folder / "sub.png").mkdir()
    said: list[str] = []
    found = list_photos(["photos"], None, said.append)
    assert found == [f"photos/{name}" for name in ("1.PNG", "2.png", "10.png", "B2.heic", "b.jpg")]
    assert said == ["photos: 5 pictures; 3 others passed over"]
    assert listed("x.png", "photos/", "y.png@5") == ["x.png", *found, "y.png@5"]


def test_a_directory_without_pictures() -> None:
    directory("notes.txt")
    with pytest.raises(InputError, match="photos is a directory without pictures; 1 other passed over"):
        listed("photos")
    with pytest.raises(InputError, match="photos is a directory, not a picture"):
        parse_photo_argument("photos@45")


def test_natural_order() -> None:
    names = ["a10b2", "A9", "a10b", "", "10", "9", "²", "a"]
    assert sorted(names, key=natural_sort_key) == ["", "9", "10", "a", "A9", "a10b", "a10b2", "²"]


@pytest.mark.parametrize("name", NAMES)
def test_names_of_every_kind(name: str) -> None:
    Path(name).write_bytes(b"x")
    assert listed(name) == [name]
    assert parse_photo_argument(name) == PhotoArgument(SourcePhoto(Path(name)))
    assert parse_photo_argument(f"{name}@45") == PhotoArgument(SourcePhoto(Path(name)), 45.0)
    assert listed("-", stdin=os.fsencode(name) + b"\0") == [name]
    if "\n" not in name:
        assert listed("-", stdin=os.fsencode(name) + b"\n") == [name]
    if name.endswith("png"):
        assert listed(".") == [name]


def test_a_list_of_lines_or_of_nuls() -> None:
    assert listed("-", stdin=b"a.png\nb.png@40\n\nc d.png") == ["a.png", "b.png@40", "c d.png"]
    assert listed("-", stdin=b"a.png\r\nb.png\r\n") == ["a.png", "b.png"]
    assert listed("-", stdin=b"a\n1.png\0-\0") == ["a\n1.png", "./-"]
    directory("2.png", "1.png")
    assert listed("x", "-", stdin=b"photos\ny") == ["x", "photos/1.png", "photos/2.png", "y"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_list_with_a_mark(encoding: str, end: str) -> None:
    assert listed("-", stdin=f"ümlaut.png{end}b 2.png{end}".encode(encoding)) == ["ümlaut.png", "b 2.png"]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\xff\xfea", "no list of file names: it is no text"),
        (b"\xef\xbb\xbf", "nothing came"),
        (None, "nothing came"),
        (b"", "nothing came"),
        (b"\n\n", "nothing came"),
        (b"\x89PNG\r\n", "what comes there is a picture"),
        (b"\xff\xd8\xff\xe0\0", "what comes there is a picture"),
        (b"y\n" * (MAX_LIST_BYTES // 2 + 1), "longer than 16 MB"),
    ],
)
def test_files_that_are_no_lists(data: bytes | None, says: str) -> None:
    with pytest.raises(InputError, match=says):
        listed("-", stdin=data)


def test_two_lists() -> None:
    with pytest.raises(UsageError, match="twice"):
        listed("-", "-", stdin=b"a")


def test_an_accent_typed_in_another_way_finds_the_file() -> None:
    one, two = (unicodedata.normalize(form, "Bär.png") for form in ("NFC", "NFD"))
    assert one != two
    Path(two).write_bytes(b"x")
    assert existing_path(one) == Path(two)
    assert parse_photo_argument(f"{one}@45") == PhotoArgument(SourcePhoto(Path(two)), 45.0)
    Path(one).write_bytes(b"y")
    assert existing_path(one) == Path(one)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "without a name"),
        ("n" * 300, "there is no photo n"),
        ("a\0b", "there is no photo"),
        ("no@4", "no photo no$"),
    ],
)
def test_paths_that_cannot_exist(name: str, says: str) -> None:
    assert existing_path(name) is None
    with pytest.raises(InputError, match=says):
        parse_photo_argument(name)
