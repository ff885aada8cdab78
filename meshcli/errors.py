"""Errors that a user can fix; each class has its exit code.

MeshcliError
├── UsageError          2   the command line or a setting is invalid
├── InputError          3   an input file cannot be used
├── MissingError        4   weights or an optional package are missing or unusable
├── ProjectError        5   the project directory is damaged or locked
├── UncertainError      6   what was estimated may be wrong, and a person should look
└── ResourceError      75   out of memory or disk space; the same command can be tried again

Any other exception is a bug: exit code 1. Ctrl-C exits with 130, SIGTERM with 143.
"""

from collections.abc import Mapping
from typing import Any, ClassVar


class MeshcliError(Exception):
    """Base class. The message is one line: what is wrong, where, and which command to type next."""

    exit_code: ClassVar[int] = 2
    printed: bool = False  # the process that raised it has printed it already
    details: Mapping[str, Any] = {}  # more for the JSON document of the error


class UsageError(MeshcliError):
    """The command line or a setting is invalid."""

    exit_code = 2


class InputError(MeshcliError):
    """An input file cannot be used."""

    exit_code = 3


class MissingError(MeshcliError):
    """Weights or an optional package are missing or unusable."""

    exit_code = 4


class ProjectError(MeshcliError):
    """The project directory is damaged or locked."""

    exit_code = 5


class UncertainError(MeshcliError):
    """What was estimated may be wrong, and a person should look; `run --guess` goes on with it."""

    exit_code = 6


class ResourceError(MeshcliError):
    """Memory or disk space ran out."""

    exit_code = 75
