"""Prose for a terminal: wrapped at words, with commands and paths whole so that they can be copied."""

import re
import textwrap

COMMAND = re.compile("`[^`]*`")
HELD = "\0"  # in place of the spaces of a command while lines are broken


def wrap_prose(text: str, width: int) -> list[str]:
    """The lines of a text; a word or command that is wider than a line has one of its own."""
    held = COMMAND.sub(lambda match: match[0].replace(" ", HELD), text)
    lines = textwrap.wrap(held, max(width, 1), break_long_words=False, break_on_hyphens=False)
    return [line.replace(HELD, " ") for line in lines] or [""]
