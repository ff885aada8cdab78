"""The photos of a list's rows in storage: files, folders and patterns by their URLs. Light: no numpy."""

import posixpath
from collections import Counter
from collections.abc import Iterable
from fnmatch import fnmatchcase

from meshcli.batch.storage import Found, Storage, is_url, parent_url
from meshcli.errors import InputError, ProjectError
from meshcli.pictures.photo_arguments import SUFFIXES, natural_sort_key
from meshcli.views.photo_cameras import split_angle

MAGIC = "*?["
SINGLE_LISTINGS = 8  # folders of one folder that are listed one by one before all in it is listed at once; by choice

Listing = dict[str, Found | None]  # name -> file, None for a folder


class PhotoUrls:
    """Finds photos, and remembers what it listed."""

    def __init__(self, folder: str = "") -> None:
        """`folder` is the URL of the list's, empty for a list that lies here."""
        self._folder = folder.rstrip("/")
        self._listed: dict[str, Listing] = {}
        self._whole: set[str] = set()  # folders of which all is listed
        self._singles: Counter[str] = Counter()  # folder -> folders in it that were listed

    def takes(self, word: str) -> bool:
        """Whether a word of a row names something in storage."""
        return is_url(word) or bool(self._folder and not word.startswith("/"))

    def url(self, word: str) -> str:
        """The URL that a word stands for."""
        scheme, _, path = (word if is_url(word) else f"{self._folder}/{word}").partition("://")
        start = "/" if path.startswith("/") else ""
        return f"{scheme}://{start}{posixpath.normpath(path).lstrip('/')}"

    def find(self, word: str) -> list[str]:
        """The PHOTO arguments that a URL, URL@azimuth, folder or pattern stands for; InputError for none."""
        head, angle = split_angle(word)
        for text, suffix in ((word, ""), *([(head, f"@{angle}")] if angle else [])):
            url = self.url(text)
            if found := self._file(url):
                if not found.size:
                    raise InputError(f"{url} is an empty file")
                return [f"{url}{suffix}"]
            if not suffix and self._is_folder(url):
                return self._pictures(url, "*") or self._none(f"{url} is a folder without pictures")
        if not set(MAGIC).intersection(word):
            self._none(f"there is no photo {self.url(head)}")
        return self._matches(self.url(word)) or self._none(f"no picture fits {word}")

    def holds(self, word: str) -> bool:
        """Whether a file or a folder is there."""
        url = self.url(word)
        return self._file(url) is not None or self._is_folder(url)

    def stamps(self, words: Iterable[str]) -> tuple[str, ...]:
        """Size and version of every file that is named, by itself, as FILE@45 or by its folder."""
        stamps = []
        for word in words:
            url, _ = split_angle(word)
            own = self._file(url)
            files = {url: own} if own else self._list(url)
            stamps += [f"{name} {each.size} {each.version}" for name, each in files.items() if each]
        return tuple(stamps)

    def _none(self, problem: str) -> list[str]:
        raise InputError(problem)

    def _file(self, url: str) -> Found | None:
        return self._list(parent_url(url)).get(url.rpartition("/")[2])

    def _is_folder(self, url: str) -> bool:
        return bool(self._list(url))

    def _matches(self, pattern: str) -> list[str]:
        """The pictures that fit a pattern; one among its folders makes everything below that be listed."""
        place, name = parent_url(pattern), pattern.rpartition("/")[2]
        if not set(MAGIC).intersection(place):
            return self._pictures(place, name)
        parts = pattern.split("/")
        first = next(index for index, part in enumerate(parts) if set(MAGIC).intersection(part))
        self._list_all("/".join(parts[:first]))
        folders = [folder for folder in self._listed if _fits(folder.split("/"), parts[:-1])]
        return sorted((each for folder in folders for each in self._pictures(folder, name)), key=_in_order)

    def _pictures(self, folder: str, pattern: str) -> list[str]:
        """The pictures directly in a folder whose names fit a pattern."""
        hidden = pattern.startswith(".")
        names = [
            name
            for name, found in self._list(folder).items()
            if found and name.lower().endswith(SUFFIXES) and (hidden or name[0] != ".") and fnmatchcase(name, pattern)
        ]
        return sorted((f"{folder}/{name}" for name in names), key=_in_order)

    def _list(self, folder: str) -> Listing:
        """What lies directly in a folder; nothing if there is none."""
        folder = folder.rstrip("/")
        if folder in self._listed:
            return self._listed[folder]
        if any(folder.startswith(f"{whole}/") for whole in self._whole):
            return {}
        parent = parent_url(folder)
        self._singles[parent] += 1
        if self._singles[parent] > SINGLE_LISTINGS and "://" in parent_url(parent):
            self._list_all(parent)
            return self._listed.get(folder, {})
        try:
            self._listed[folder] = Storage(folder).names()
        except ProjectError as error:
            raise InputError(str(error)) from error
        return self._listed[folder]

    def _list_all(self, folder: str) -> None:
        """List a folder and all in it."""
        if folder in self._whole:
            return
        try:
            files = Storage(folder).files()
        except ProjectError as error:
            raise InputError(str(error)) from error
        self._whole.add(folder)
        self._listed[folder] = {}
        for path, found in files.items():
            *folders, name = path.split("/")
            place = folder
            for each in folders:
                self._listed.setdefault(place, {})[each] = None
                place = f"{place}/{each}"
            self._listed.setdefault(place, {})[name] = found


def _fits(parts: list[str], pattern: list[str]) -> bool:
    """Whether the parts of a URL fit those of a pattern, one by one."""
    return len(parts) == len(pattern) and all(map(fnmatchcase, parts, pattern))


def _in_order(url: str) -> tuple[list[tuple[int, int, str]], str]:
    return natural_sort_key(url), url
