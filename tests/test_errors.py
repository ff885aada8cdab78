"""Every class of errors has an exit code of its own, and every place that lists the exit codes lists all of them."""

import re
from pathlib import Path

import pytest

from meshcli import errors
from meshcli.commands import cli

ROOT = Path(errors.__file__).parent.parent
OF_ERRORS = {2, 3, 4, 5, 6, 75}
CODES = OF_ERRORS | {0, 1, 130, 143}


def test_every_class_of_errors_has_its_exit_code() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert sorted(kind.exit_code for kind in kinds if kind is not errors.MeshcliError) == sorted(OF_ERRORS)


@pytest.mark.parametrize("where", ["help", "README.md"])
def test_every_exit_code_is_explained(where: str) -> None:
    text = cli.EXIT_CODES if where == "help" else (ROOT / where).read_text(encoding="utf-8")
    assert {code for code in CODES if not re.search(rf"(?<!\d){code}(?!\d)", text)} == set()
