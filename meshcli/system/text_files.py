"""Text files from any system: UTF-8, or the encoding of a byte order mark. Light: standard library only."""

import codecs
from pathlib import Path

UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # written by editors and shells of Windows


def read_text(path: Path) -> str:
    """A file's text without its byte order mark; ValueError for another encoding, OSError when it cannot be read."""
    return decode_text(path.read_bytes())


def decode_text(data: bytes) -> str:
    """Decode bytes, without the byte order mark; ValueError names the first byte that is not valid."""
    try:
        return data.decode("utf-16" if data.startswith(UTF_16) else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"it is no text in UTF-8, from byte {error.start} on") from error


def without_byte_order_mark(data: bytes) -> bytes:
    """Bytes in UTF-8 without a byte order mark; without one they are returned as they are: file names may be any bytes.

    Raises ValueError for a mark with invalid text behind it.
    """
    marked = data.startswith((codecs.BOM_UTF8, *UTF_16))
    return decode_text(data).encode("utf-8", "surrogateescape") if marked else data
