"""The container of a GLB file: buffer views, accessors, header and chunks (Khronos, glTF 2.0, sections 3.6 and 4.4)."""

import json
import struct
from typing import Any

import numpy as np

from meshcli.arrays import Array
from meshcli.errors import InputError

# Constants of OpenGL
FLOAT, UNSIGNED_SHORT, UNSIGNED_INT = 5126, 5123, 5125
ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER = 34962, 34963

MAX_BYTES = 2**32 - 1  # of a GLB file: its lengths have 32 bits


class GlbFile:
    """Collects buffer views and accessors, and writes them as a GLB file."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._views: list[dict[str, int]] = []
        self._accessors: list[dict[str, Any]] = []

    def view(self, data: bytes, target: int | None = None) -> int:
        """Append bytes; the index of their buffer view. InputError where the file becomes too large."""
        if len(self._data) + len(data) > MAX_BYTES - (1 << 20):
            raise InputError("the mesh and its texture are too large for a GLB file, which ends at 4 GB")
        view = {"buffer": 0, "byteOffset": len(self._data), "byteLength": len(data)}
        self._views.append(view if target is None else {**view, "target": target})
        self._data += data + b"\0" * (-len(data) % 4)
        return len(self._views) - 1

    def add(self, values: Array, component: int, kind: str, target: int, limits: bool = False) -> int:
        """Append an array; the index of its accessor. With `limits` its least and largest values are stated."""
        view = self.view(np.ascontiguousarray(values).tobytes(), target)
        return self._accessor({"bufferView": view}, values, component, kind, limits)

    def describe(self, values: Array, component: int, kind: str, limits: bool = False) -> int:
        """An accessor without data of its own, for what an extension stores elsewhere."""
        return self._accessor({}, values, component, kind, limits)

    def pack(self, document: dict[str, Any]) -> bytes:
        """The GLB file: header, JSON chunk, binary chunk."""
        document = {
            **document,
            "accessors": self._accessors,
            "bufferViews": self._views,
            "buffers": [{"byteLength": len(self._data)}],
        }
        text = json.dumps(document, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 4)
        body = (
            struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(self._data), b"BIN\0") + self._data
        )
        return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body

    def _accessor(self, place: dict[str, Any], values: Array, component: int, kind: str, limits: bool) -> int:
        accessor: dict[str, Any] = {**place, "componentType": component, "count": len(values), "type": kind}
        if component == UNSIGNED_SHORT:
            accessor["normalized"] = True
        if limits:
            accessor |= {"min": values.min(axis=0).tolist(), "max": values.max(axis=0).tolist()}
        self._accessors.append(accessor)
        return len(self._accessors) - 1
