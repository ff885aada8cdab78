"""What a user can fix, one exit code each.

MeshcliError
├── UsageError          2   the command line or a setting is wrong
├── InputError          3   a file that was handed in cannot be used
├── MissingError        4   weights or an optional package are missing or unusable
├── ProjectError        5   the project directory is damaged or locked
└── ResourceError      75   out of memory or disk; the same command may be tried again

Anything else that is raised is a bug, exit code 1. Ctrl-C leaves with 130, SIGTERM with 143.
"""

from typing import ClassVar


class MeshcliError(Exception):
    """One line that says what is wrong, where, and what to type next."""

    exit_code: ClassVar[int] = 2
    printed: ClassVar[bool] = False  # the process that raised it has printed it already


class UsageError(MeshcliError):
    """The command line or a setting is wrong."""

    exit_code = 2


class InputError(MeshcliError):
    """A file that was handed in cannot be used."""

    exit_code = 3


class MissingError(MeshcliError):
    """Weights or an optional package are missing or unusable."""

    exit_code = 4


class ProjectError(MeshcliError):
    """The project directory is damaged or locked."""

    exit_code = 5


class ResourceError(MeshcliError):
    """Memory or disk ran out."""

    exit_code = 75
