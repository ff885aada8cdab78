"""Which of the photos can be used: any other ends the command before anything is changed, or is left out.

A photo fails at one of two moments: when its file is read, which happens for all photos first, or when the object is
cut out of it. Light: no numpy.
"""

from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from meshcli.errors import InputError, MeshcliError, MissingError, UsageError
from meshcli.pictures.photo_arguments import counted
from meshcli.pictures.source_photo import SourcePhoto
from meshcli.progress import Tell, unheard
from meshcli.views.photo_cameras import PhotoArgument, parse_photo_argument


@dataclass(frozen=True)
class LeftOutPhoto:
    """A photo that cannot be used."""

    photo: str  # what the user calls it
    reason: str

    def to_json(self) -> dict[str, str]:
        """For scripts and records."""
        return {"photo": self.photo, "reason": self.reason}


@dataclass
class PhotoValidator:
    """Collects the photos that cannot be used.

    `complain` gets a line about each if there are several of them, or if the command goes on without them.
    """

    keep_going: bool = False  # leave them out instead of failing
    max_pixels: int = 100_000_000
    warn: Tell = unheard
    left_out: list[LeftOutPhoto] = field(default_factory=list)
    failed: bool = False  # the last batch has ended the command
    _validated: dict[Path, SourcePhoto] = field(default_factory=dict)  # each file is read once
    _rejected: list[tuple[str, MeshcliError]] = field(default_factory=list)  # of the batch being checked

    def read(self, photos: Sequence[str | Path], known: Container[str]) -> dict[int, PhotoArgument]:
        """Parse and validate PHOTO arguments: index -> argument, for those that can be used.

        Photos whose sha256 is `known` were decoded before and are only hashed.
        """
        usable = {}
        for index, photo in enumerate(photos):
            with self.attempt(str(photo)):
                argument = parse_photo_argument(photo)
                path = argument.path
                if path not in self._validated:
                    self._validated[path] = SourcePhoto.validated(path, self.max_pixels, known)
                usable[index] = replace(argument, photo=self._validated[path])
        self.conclude(len(photos))
        return usable

    @contextmanager
    def attempt(self, photo: str) -> Iterator[None]:
        """Do something with a photo; an error that is due to the photo rejects it."""
        try:
            yield
        except (InputError, MissingError) as error:
            if isinstance(error, MissingError) and not self.keep_going:
                raise _naming(photo, error) from error  # what is missing for one is missing for all
            self.reject(photo, error)

    def reject(self, photo: str, error: MeshcliError) -> None:
        """Note that a photo cannot be used; `conclude` decides what follows."""
        self._rejected.append((photo, _naming(photo, error)))

    def conclude(self, count: int) -> None:
        """After a batch of `count` photos: raise an error about the rejected ones, or leave them out."""
        rejected, self._rejected = self._rejected, []
        self.failed = bool(rejected) and (len(rejected) == count or not self.keep_going)
        if rejected and (len(rejected) > 1 or self.keep_going):
            for _, error in rejected:
                self.warn(str(error))
        if len(rejected) == 1 and not self.keep_going:
            raise rejected[0][1]
        if rejected and len(rejected) == count:
            raise InputError(f"none of {counted(count, 'photo')} can be used")
        if rejected and not self.keep_going:
            raise InputError(
                f"{len(rejected)} of {counted(count, 'photo')} cannot be used; --keep-going leaves them out"
            )
        self.left_out += [LeftOutPhoto(photo, str(error)) for photo, error in rejected]

    def reject_duplicate(self, photo: str, other: str) -> None:
        """Leave out a photo that has the same bytes as another one; UsageError without `keep_going`."""
        reason = f"{photo} and {other} are the same picture; hand it in once"
        if not self.keep_going:
            raise UsageError(reason)
        self.warn(reason)
        self.left_out.append(LeftOutPhoto(photo, reason))


def _naming(photo: str, error: MeshcliError) -> MeshcliError:
    """The error with the photo's name in it."""
    named = photo.rpartition("/")[2] in str(error)
    return error if named else type(error)(f"{photo}: {error}")


def values_at(values: Sequence[float], indices: Sequence[int], count: int) -> Sequence[float]:
    """The values of some of `count` photos if there is one value per photo; one value for all, or none, stays."""
    return [values[index] for index in indices] if len(values) == count else values
