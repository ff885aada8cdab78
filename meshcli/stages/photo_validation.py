"""Which of the photos can be used: the others end the command before anything is changed, or are left out.

What a file is worth shows at two moments: when it is read, which is done for all of them first, and when the object is
cut out of it. Light: no numpy.
"""

from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from meshcli.errors import InputError, MeshcliError, MissingError, UsageError
from meshcli.pictures.photo_arguments import counted
from meshcli.pictures.picture_file import check_picture, opened
from meshcli.progress import Tell, unheard
from meshcli.system.digests import file_digest
from meshcli.views.photo_cameras import PhotoSpec, read_spec


@dataclass(frozen=True)
class LeftOut:
    """A photo that cannot be used."""

    photo: str  # what the user calls it
    reason: str

    def to_json(self) -> dict[str, str]:
        """For scripts and records."""
        return {"photo": self.photo, "reason": self.reason}


@dataclass
class Sieve:
    """Collects what cannot be used. `complain` hears a line about each when there are several, or work goes on."""

    keep_going: bool = False
    max_pixels: int = 100_000_000
    complain: Tell = unheard
    left_out: list[LeftOut] = field(default_factory=list)
    stopped: bool = False  # by photos that cannot be used
    _good: set[Path] = field(default_factory=set)
    _bad: list[tuple[str, MeshcliError]] = field(default_factory=list)

    def specs(self, photos: Sequence[str | Path], known: Container[str]) -> dict[int, PhotoSpec]:
        """The photos that can be read, by their place; those whose sha256 is `known` were read before."""
        found = {}
        for place, photo in enumerate(photos):
            with self.trying(str(photo)):
                spec = read_spec(photo)
                self._read(spec.path, known)
                found[place] = spec
        self.settle(len(photos))
        return found

    @contextmanager
    def trying(self, photo: str) -> Iterator[None]:
        """Something with a photo, which may turn out to be unusable."""
        try:
            yield
        except (InputError, MissingError) as error:
            if isinstance(error, MissingError) and not self.keep_going:
                raise  # what is missing for one is missing for all
            named = photo.rpartition("/")[2] in str(error)
            self._bad.append((photo, error if named else type(error)(f"{photo}: {error}")))

    def settle(self, count: int) -> None:
        """After trying `count` photos: raise what was wrong, or leave those photos out."""
        bad, self._bad = self._bad, []
        self.stopped = bool(bad) and (len(bad) == count or not self.keep_going)
        if bad and (len(bad) > 1 or self.keep_going):
            for _, error in bad:
                self.complain(str(error))
        if len(bad) == 1 and not self.keep_going:
            raise bad[0][1]
        if bad and len(bad) == count:
            raise InputError(f"none of {counted(count, 'photo')} can be used")
        if bad and not self.keep_going:
            raise InputError(f"{len(bad)} of {counted(count, 'photo')} cannot be used; --keep-going leaves them out")
        self.left_out += [LeftOut(photo, str(error)) for photo, error in bad]

    def twin(self, photo: str, other: str) -> None:
        """The same picture once more."""
        reason = f"{photo} and {other} are the same picture; hand it in once"
        if not self.keep_going:
            raise UsageError(reason)
        self.complain(reason)
        self.left_out.append(LeftOut(photo, reason))

    def _read(self, path: Path, known: Container[str]) -> None:
        if path in self._good:
            return
        with opened(path):
            pass  # a look at its first bytes, before all of what may be no picture is hashed
        try:
            seen = file_digest(path) in known
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}") from error
        if not seen:
            check_picture(path, self.max_pixels)
        self._good.add(path)


def of_places(values: Sequence[float], places: Sequence[int], count: int) -> Sequence[float]:
    """Of values that were typed one per photo, those of some photos; one for all stays as it is."""
    return [values[place] for place in places] if len(values) == count else values
