"""Picture files as they come: written byte by byte where Pillow does not write them."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

GAMMA = 2.2
# Of sRGB, adapted to D50, as every matrix profile has them (IEC 61966-2-1 annex, ICC.1): columns X Y Z.
RED, GREEN, BLUE = (0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141)


def scene(width: int = 40, height: int = 24) -> Image.Image:
    """Grey with a red top-left and a green bottom-left corner: no turn or mirror leaves it as it is."""
    pixels = np.full((height, width, 3), 128, np.uint8)
    pixels[: height // 3, : width // 4] = (255, 0, 0)
    pixels[-height // 3 :, : width // 4] = (0, 255, 0)
    return Image.fromarray(pixels)


def png16(path: Path, values: "np.ndarray", clear: int | None = None) -> Path:
    """A PNG of 16 bits a channel, (H, W, 1 to 4); `clear` is the shade of grey that is transparent."""
    height, width, channels = values.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in values)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0))]
    chunks += [(b"tRNS", struct.pack(">H", clear))] if clear is not None else []
    chunks += [(b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


def with_chunk(path: Path, name: bytes, data: bytes) -> Path:
    """A PNG with one chunk more, behind its header."""
    chunk = struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    whole = path.read_bytes()
    path.write_bytes(whole[:33] + chunk + whole[33:])
    return path


def with_gamma(path: Path, gamma: float) -> Path:
    """A PNG that says that its values are light to this power."""
    return with_chunk(path, b"gAMA", struct.pack(">I", round(gamma * 100_000)))


def tiff12(path: Path, values: "np.ndarray") -> Path:
    """A TIFF of 12 bits, grey, uncompressed, (H, W) with W even."""
    height, width = values.shape
    pairs = values.reshape(-1, 2).astype(int)
    data = bytes(byte for a, b in pairs for byte in (a >> 4, (a & 15) << 4 | b >> 8, b & 255))
    tags = [(256, width), (257, height), (258, 12), (259, 1), (262, 1), (273, 8), (277, 1), (278, height),
            (279, len(data))]  # fmt: skip
    table = b"".join(struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in tags)
    path.write_bytes(
        b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(tags)) + table + b"\0" * 4
    )
    return path


def rgb_profile(red=RED, green=GREEN, blue=BLUE, gamma: float = GAMMA) -> bytes:  # type: ignore[no-untyped-def]
    """A colour profile of three primaries and one exponent."""
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    tags = {name: _xyz(*colour) for name, colour in ((b"rXYZ", red), (b"gXYZ", green), (b"bXYZ", blue))}
    return _profile(b"RGB ", {**tags, b"rTRC": curve, b"gTRC": curve, b"bTRC": curve})


def grey_profile(gamma: float) -> bytes:
    """A colour profile of one exponent, for grey."""
    return _profile(b"GRAY", {b"kTRC": b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)})


def cut_short(picture: Image.Image, suffix: str, share: float = 0.5) -> bytes:
    """The first part of a picture file."""
    buffer = io.BytesIO()
    picture.save(buffer, format=Image.registered_extensions()[suffix])
    data = buffer.getvalue()
    return data[: int(len(data) * share)]


def _xyz(*values: float) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def _profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """ICC.1:2001, a display's profile: header, table of tags, tags."""
    name = b"made here\0"
    described = b"desc" + bytes(4) + struct.pack(">I", len(name)) + name + bytes(78)
    tags = {b"desc": described, b"cprt": b"text" + bytes(4) + b"none\0", b"wtpt": _xyz(0.9642, 1.0, 0.8249), **tags}
    place, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for key, data in tags.items():
        table += key + struct.pack(">II", place + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    whole = struct.pack(">I", len(tags)) + table + body
    head = struct.pack(">I4sI4s4s4s", 128 + len(whole), b"test", 0x02400000, b"mntr", space, b"XYZ ")
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(24)
    head += bytes(4) + struct.pack(">iii", *(round(value * 65536) for value in (0.9642, 1.0, 0.8249)))
    return head + bytes(128 - len(head)) + whole
