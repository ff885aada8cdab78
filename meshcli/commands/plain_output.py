"""Standard output, JSON and text that is safe to print; without Rich, so that commands start fast."""

import codecs
import io
import json
import os
import sys
import unicodedata
from collections.abc import Callable
from typing import Any

from meshcli.system import standard_streams

ENCODING_ERRORS = "meshcli"  # our handler of characters that standard output cannot encode, as `codecs` knows it
CONTROL_CATEGORIES = ("Cc", "Cs", "Zl", "Zp")  # Unicode: controls, lone surrogates, line and paragraph separators
# Unicode's bidirectional controls: they reorder the text behind them, so that a name shows as another one.
BIDIRECTIONAL_CONTROLS = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")


def prepare_output() -> None:
    """Make the standard streams usable, and let every file name be printed whatever their encoding."""
    standard_streams.prepare()
    if isinstance(sys.stdout, io.TextIOWrapper):
        codecs.register_error(ENCODING_ERRORS, _escape_unencodable)
        sys.stdout.reconfigure(errors=ENCODING_ERRORS)


def print_output(data: str) -> None:
    """Print what a child process printed, as it is."""
    print(data, end="", flush=True)


def print_json(document: dict[str, Any]) -> None:
    """Print exactly one document; control characters and bytes that are not UTF-8 become JSON escapes."""
    lines = json.dumps(document, indent=1, ensure_ascii=False).split("\n")
    print("\n".join(_replace_controls(line, lambda each: json.dumps(each)[1:-1]) for line in lines))


def escape_controls(text: str) -> str:
    """The text on one line: what would break the line or control a terminal, as a file name may, is escaped."""
    return _replace_controls(text, lambda each: each.encode("unicode_escape").decode())


def _replace_controls(text: str, escape: Callable[[str], str]) -> str:
    if text.isprintable():  # as nearly all is, which saves a look at each character
        return text
    return "".join(escape(each) if _is_control(each) else each for each in text)


def _is_control(character: str) -> bool:
    if unicodedata.category(character) in CONTROL_CATEGORIES:
        return True
    return unicodedata.bidirectional(character) in BIDIRECTIONAL_CONTROLS


def _escape_unencodable(error: UnicodeError) -> tuple[str | bytes, int]:
    """Write the bytes of a file name that are not UTF-8 as they are, other unencodable characters as JSON escapes."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    character, following = error.object[error.start], error.start + 1
    if "\udc80" <= character <= "\udcff":  # a byte, as os.fsdecode reads it
        return os.fsencode(character), following
    return json.dumps(character)[1:-1], following
