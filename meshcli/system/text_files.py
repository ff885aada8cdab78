"""Text files of every system: UTF-8, or what a byte order mark in front says. Light: standard library only."""

import codecs
from pathlib import Path

UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # Windows editors and shells write these marks


def read_text(path: Path) -> str:
    """A file's text without its mark; ValueError when it is in another encoding, OSError when it cannot be read."""
    return decoded(path.read_bytes())


def decoded(data: bytes) -> str:
    """Bytes as text, without the mark; ValueError says at which byte they are none."""
    try:
        return data.decode("utf-16" if data.startswith(UTF_16) else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"it is no text in UTF-8, from byte {error.start} on") from error


def unmarked(data: bytes) -> bytes:
    """Bytes that may hold names in any encoding: only what a mark says is changed, into UTF-8."""
    marked = data.startswith((codecs.BOM_UTF8, *UTF_16))
    return decoded(data).encode("utf-8", "surrogateescape") if marked else data
