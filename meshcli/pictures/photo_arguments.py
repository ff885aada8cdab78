"""The PHOTO arguments as files: `photo.jpg`, `photo.jpg@45`, a directory, or `-` for a list on standard input. Light.

A directory stands for the pictures in it, in natural order (2 before 10); hidden files and other kinds are skipped. A
list has one argument per line or, if it contains a NUL byte, one before each NUL, as `find -print0` writes: then a name
may contain a newline.
"""

import os
import re
import unicodedata
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import BinaryIO

from meshcli.errors import InputError, UsageError
from meshcli.progress import Tell
from meshcli.system.text_files import without_byte_order_mark

SUFFIXES = (
    ".apng", ".avif", ".bmp", ".dib", ".gif", ".heic", ".heif", ".hif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg",
    ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".qoi", ".tga", ".tif", ".tiff", ".webp",
)  # fmt: skip
STDIN = "-"
MAX_LIST_BYTES = 1 << 24  # 16 MiB, by choice: far more than any list of names; /dev/zero would never end
PICTURE_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"II*\0", b"MM\0*", b"GIF8")  # JPEG, PNG, WebP, TIFF, GIF


def list_photos(arguments: Sequence[str], stdin: BinaryIO | None, tell: Tell, used: Collection[str] = ()) -> list[str]:
    """Every photo of a command line, as `parse_photo_argument` takes it; tells how many a directory or a list holds.

    Files of a directory whose names are `used`, those of a rig, do not count as passed over.
    Raises InputError for a directory without pictures and for a list that is empty or no list of names, UsageError for
    two lists.
    """
    if list(arguments).count(STDIN) > 1:
        raise UsageError(f"{STDIN} is there twice, and there is one standard input")
    photos: list[str] = []
    for argument in arguments:
        if argument == STDIN:
            listed = _read_list(stdin)
            tell(f"{counted(len(listed), 'photo')} on standard input")
            photos += [photo for each in listed for photo in _in_directory(each, tell, used)]
        else:
            photos += _in_directory(argument, tell, used)
    return photos


def existing_path(name: str | Path) -> Path | None:
    """The path if it exists; an accented letter in its name may be one character or two (Unicode NFC, NFD)."""
    if not str(name):
        return None  # an unset variable of a shell script; `Path` would take it for the working directory
    for form in (str(name), unicodedata.normalize("NFC", str(name)), unicodedata.normalize("NFD", str(name))):
        try:
            Path(form).lstat()
        except (OSError, ValueError):
            continue
        return Path(form)
    return None


def other_ending(missing: str) -> str:
    """A hint to the file beside a missing one that has its name but for the ending or capitals; empty without one."""
    path = Path(missing)
    try:
        names = sorted(each.name for each in path.parent.iterdir() if each.is_file())
    except (OSError, ValueError):
        return ""
    same = [name for name in names if Path(name).stem.casefold() == path.stem.casefold()]
    return f"; did you mean {path.parent / same[0]}?" if same else ""


def natural_sort_key(name: str) -> list[tuple[int, int, str]]:
    """A sort key: digits count as numbers, capitals as lower case."""
    words = re.split(r"([0-9]+)", name)  # every second item is a number
    return [(1, int(word), "") if place % 2 else (0, 0, word.casefold()) for place, word in enumerate(words)]


def counted(number: int, noun: str) -> str:
    """`1 photo`, `2 photos`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def is_picture(entry: Path) -> bool:
    """Whether an entry of a directory is taken as a photo, by its name."""
    return entry.suffix.lower() in SUFFIXES and not entry.name.startswith(".") and not entry.is_dir()


def _in_directory(argument: str, tell: Tell, used: Collection[str]) -> list[str]:
    """The pictures in a directory; any other argument as it is."""
    path = existing_path(argument)
    if path is None or not path.is_dir():
        return [f"./{argument}" if argument == STDIN else argument]
    try:
        entries = [entry for entry in path.iterdir() if not entry.name.startswith(".")]
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    found = list(filter(is_picture, entries))
    rest = len([entry for entry in entries if entry.name not in used]) - len(found)
    others = f"; {counted(rest, 'other')} passed over" if rest else ""
    if not found:
        raise InputError(f"{path} is a directory without pictures{others}")
    tell(f"{path}: {counted(len(found), 'picture')}{others}")
    return [str(entry) for entry in sorted(found, key=lambda entry: (natural_sort_key(entry.name), entry.name))]


def _read_list(stdin: BinaryIO | None) -> list[str]:
    data = stdin.read(MAX_LIST_BYTES + 1) if stdin else b""
    if data.startswith(PICTURE_SIGNATURES):
        raise InputError(f"{STDIN} means a list of file names on standard input, and what comes there is a picture")
    if len(data) > MAX_LIST_BYTES:
        raise InputError(
            f"what comes on standard input is longer than {MAX_LIST_BYTES >> 20} MB, so it is no list of photos"
        )
    try:
        data = without_byte_order_mark(data)
    except ValueError as error:
        raise InputError(f"what comes on standard input is no list of file names: {error}") from error
    lines = data.split(b"\0") if b"\0" in data else data.splitlines()
    names = [os.fsdecode(line) for line in lines if line]
    if not names:
        raise InputError(f"{STDIN} means a list of file names on standard input, and nothing came there")
    return names
