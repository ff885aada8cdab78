"""Who works on an object in storage: a lock for places that have none. Light.

A claim is a small file, `.batch/claims/NAME.N`, that is created only if it is not there and says who works, since when
it was last renewed. A claim that nobody renewed for EXPIRY seconds is dead: the next one to come creates N + 1, so only
one of several can take its place. The clocks of all machines have to agree within a minute or so.
"""

import json
import os
import platform
import re
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from meshcli.batch.storage import Storage

CLAIMS = ".batch/claims"
EXPIRY = 300.0  # seconds; by choice: no stage holds the interpreter, and with it the renewal, for nearly as long
RENEWAL = 30.0  # seconds between two renewals
NUMBER = re.compile(r"\d{1,9}")


@dataclass
class Claim:
    """An object that this process works on."""

    storage: Storage
    name: str  # of the object
    number: int
    driver: str  # who asked for the work
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    renewed: float = 0.0
    lost: bool = False  # to another process: nothing may be written any more

    def renew(self) -> None:
        """Say that the work goes on, or find out that it is another's now."""
        if not self.lost and self.is_ours():
            self.renewed = time.time()
            self.storage.write(self._file, self._text())

    def is_ours(self) -> bool:
        """Whether nobody else has taken the object; remembered when somebody has."""
        found = _read(self.storage, self._file)
        newest = max(_numbers(self.storage, self.name), default=self.number)
        self.lost = self.lost or found.get("token") != self.token or newest > self.number
        return not self.lost

    def release(self) -> None:
        """Let others have the object."""
        if self.is_ours():
            dead = [number for number in _numbers(self.storage, self.name) if number < self.number]
            self.storage.remove([_file(self.name, number) for number in (*dead, self.number)])

    def create(self) -> bool:
        """Take the object; False where another was faster."""
        self.renewed = time.time()
        if not self.storage.creates_exclusively:
            self.storage.write(self._file, self._text())
        elif not self.storage.create(self._file, self._text()):
            return False
        others = [number for number in _numbers(self.storage, self.name) if number != self.number]
        if all(_is_dead(_read(self.storage, _file(self.name, number))) for number in others) and self.is_ours():
            return True
        self.storage.remove([self._file])
        return False

    @property
    def _file(self) -> str:
        return _file(self.name, self.number)

    def _text(self) -> bytes:
        who = {"token": self.token, "driver": self.driver, "host": platform.node(), "process": os.getpid()}
        return json.dumps({**who, "renewed": self.renewed}).encode()


def take(storage: Storage, name: str, driver: str) -> Claim | None:
    """The claim of this process on an object; None while another works on it."""
    newest = max(_numbers(storage, name), default=-1)
    if newest >= 0 and not _is_dead(_read(storage, _file(name, newest))):
        return None
    claim = Claim(storage, name, newest + 1, driver)
    return claim if claim.create() else None


def is_taken(storage: Storage, name: str) -> bool:
    """Whether somebody works on an object."""
    newest = max(_numbers(storage, name), default=-1)
    return newest >= 0 and not _is_dead(_read(storage, _file(name, newest)))


def taken_names(storage: Storage) -> set[str]:
    """The objects that somebody works on."""
    names = {file.rpartition(".")[0] for file in storage.names(CLAIMS)}
    return {name for name in names if name and is_taken(storage, name)}


def drop_claim(storage: Storage, name: str, driver: str) -> None:
    """Take back the claim of a worker of this driver's that is lost."""
    newest = max(_numbers(storage, name), default=-1)
    if newest >= 0 and _read(storage, _file(name, newest)).get("driver") == driver:
        storage.remove([_file(name, newest)])


def _numbers(storage: Storage, name: str) -> list[int]:
    """The numbers of all claims on an object, dead ones too."""
    parts = [file.rpartition(".") for file in storage.names(CLAIMS)]
    return [int(number) for start, _, number in parts if start == name and NUMBER.fullmatch(number)]


def _file(name: str, number: int) -> str:
    return f"{CLAIMS}/{name}.{number}"


def _read(storage: Storage, file: str) -> dict[str, Any]:
    """What a claim says; nothing where it is gone or is none of ours."""
    data = storage.read(file)
    try:
        table = json.loads(data or b"")
    except ValueError:
        return {}
    return table if isinstance(table, dict) else {}


def _is_dead(claim: dict[str, Any]) -> bool:
    """Whether nobody renews it any more; a claim that is gone is dead too."""
    renewed = claim.get("renewed")
    return not isinstance(renewed, int | float) or time.time() > renewed + EXPIRY
