"""The catalogue of errors is that of the code, and every place that lists the exit codes lists all of them."""

import re
from pathlib import Path

import pytest
from tools import error_catalogue

from meshcli import errors
from meshcli.commands import cli

ROOT = Path(error_catalogue.PACKAGE).parent
CODES = {0, 1, 2, 3, 4, 5, 75, 130, 143}


def test_the_error_page_agrees_with_the_code() -> None:
    written = error_catalogue.PAGE.read_text(encoding="utf-8")
    assert written == error_catalogue.page(), "run python tests/tools/error_catalogue.py"


def test_every_raise_is_understood() -> None:
    assert error_catalogue.unknown_raises() == []


def test_a_message_of_each_kind_is_found() -> None:
    found = {(entry.code, entry.message): entry.advice for entry in error_catalogue.catalogue()}
    assert found[2, "DIR has no selected views"] == "run `meshcli select DIR`"
    assert found[5, "WHERE: KEY holds a WHAT twice"] == ""
    assert (5, "PATH is not a file") in found
    assert (3, "PATH is not a file") in found
    assert found[75, "memory ran out in STAGE"] == "the same command will now take SMALLER"


def test_every_class_of_errors_has_its_section() -> None:
    kinds = {kind.exit_code for kind in vars(errors).values() if isinstance(kind, type) and hasattr(kind, "exit_code")}
    assert kinds == set(error_catalogue.ABOUT)


@pytest.mark.parametrize("where", ["help", "README.md", "docs/errors.md"])
def test_every_exit_code_is_explained(where: str) -> None:
    text = cli.EXIT_CODES if where == "help" else (ROOT / where).read_text(encoding="utf-8")
    assert {code for code in CODES if not re.search(rf"(?<!\d){code}(?!\d)", text)} == set()
