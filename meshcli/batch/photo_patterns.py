"""The photos of a list's rows: paths, folders and patterns, relative to the folder of the list. Light: no numpy."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from meshcli.batch.photo_urls import MAGIC, PhotoUrls
from meshcli.errors import InputError
from meshcli.pictures.photo_arguments import SUFFIXES, existing_path, is_picture, natural_sort_key, other_ending
from meshcli.views.photo_cameras import split_angle

MAX_KEPT_FOLDERS = 64  # whose names are remembered; a list usually goes through one folder after the other


class PhotoPatterns:
    """Finds photos, and remembers the names in the folders that it looked through."""

    def __init__(self, folder: Path | str) -> None:
        """`folder` is the list's, or its URL."""
        self.urls = PhotoUrls(folder if isinstance(folder, str) else "")
        self.folder = Path().absolute() if isinstance(folder, str) else folder.absolute()
        self._names: dict[Path, list[str]] = {}  # folder -> the names in it, sorted

    def find(self, word: str) -> list[str]:
        """The PHOTO arguments that a path, `path@azimuth`, folder or pattern stands for; InputError for none."""
        if self.urls.takes(word):
            return self.urls.find(word)
        head, angle = split_angle(word)
        for text, suffix in ((word, ""), *([(head, f"@{angle}")] if angle else [])):
            path = existing_path(self.folder / text) if text else None
            if path is not None:
                return [f"{_usable(path)}{suffix}"]
        if not set(MAGIC).intersection(word):
            raise InputError(f"there is no photo {head}{other_ending(str(self.folder / head))}")
        try:
            found = [str(each) for each in self._matches(word) if each.suffix.lower() in SUFFIXES and each.is_file()]
        except (OSError, ValueError, NotImplementedError) as error:
            raise InputError(f"{word} cannot be looked for: {getattr(error, 'strerror', None) or error}") from error
        if not found:
            raise InputError(f"no picture fits {word}")
        return sorted(found, key=lambda each: (natural_sort_key(each), each))

    def holds(self, text: str) -> bool:
        """Whether a file or folder has exactly this name."""
        return not self.urls.takes(text) and existing_path(self.folder / text) is not None

    def existing(self, text: str) -> str | None:
        """The path or URL of a file or folder; None if there is none."""
        if self.urls.takes(text):
            return self.urls.url(text) if self.urls.holds(text) else None
        path = existing_path(self.folder / text)
        return str(path) if path else None

    def _matches(self, pattern: str) -> Iterable[Path]:
        """What fits a pattern; a pattern of names alone is compared with the names that begin as it does."""
        whole = self.folder / pattern
        place, name = whole.parent, whole.name
        if set(MAGIC).intersection(str(place.relative_to(self.folder) if place.is_relative_to(self.folder) else place)):
            anchor = Path(whole.anchor)
            return anchor.glob(str(whole.relative_to(anchor)))
        start = name[: next(index for index, each in enumerate(name) if each in MAGIC)]
        names = self._list(place)
        first = bisect_left(names, start)
        last = bisect_left(names, f"{start}\U0010ffff", first)
        shown = [each for each in names[first:last] if start or not each.startswith(".")]
        rest = name[len(start) + 1 :]
        if name[len(start)] == "*" and not set(MAGIC).intersection(rest):  # by far the most frequent kind
            return [place / each for each in shown if each.endswith(rest) and len(each) >= len(start) + len(rest)]
        return [place / each for each in shown if fnmatchcase(each, name)]

    def _list(self, place: Path) -> Sequence[str]:
        if place not in self._names:
            while len(self._names) >= MAX_KEPT_FOLDERS:
                self._names.pop(next(iter(self._names)))
            self._names[place] = sorted(each.name for each in place.iterdir())
        return self._names[place]


def pictures_in(folder: Path) -> list[Path]:
    """The pictures that `meshcli run` would take from a folder."""
    return list(filter(is_picture, folder.iterdir()))


def _usable(path: Path) -> Path:
    """The path of a file that holds something, or of a folder with pictures; InputError for any other."""
    try:
        if path.is_dir():
            if not pictures_in(path):
                raise InputError(f"{path} is a folder without pictures")
        elif not path.is_file():
            raise InputError(f"{path} is no file" if path.exists() else f"{path} is a link to nothing")
        elif not path.stat().st_size:
            raise InputError(f"{path} is an empty file")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    return path
