"""Meshes as binary glTF 2.0 (GLB), with the texture inside the file.

The material is rough and not metallic, so that viewers show the colours as they are. A texture comes without COLOR_0,
which viewers would multiply with it; a mesh without texture has its colours in COLOR_0, linear as the standard asks
(Khronos, glTF 2.0, 3.7.2.1), in 16 bits, for 8 linear bits show bands in the dark.
"""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from meshcli.arrays import Array
from meshcli.export.frames import to_gltf
from meshcli.export.rows import unique_rows
from meshcli.meshes.mesh import Mesh, corner_normals
from meshcli.pictures.image import encode_png

FLOAT, SHORT, INT = 5126, 5123, 5125
VERTICES, INDICES = 34962, 34963  # kinds of buffer views
LINEAR, LINEAR_MIPMAP, CLAMP = 9729, 9987, 33071


def write_glb(mesh: Mesh, scale: float = 1.0) -> bytes:
    """The file's content; the same mesh gives the same bytes. `scale` is metres per unit of our world."""
    rows, corners = _split(mesh)
    file = _File()
    attributes = {
        "POSITION": file.add(to_gltf(mesh.vertices, scale)[corners["vertex"]], FLOAT, "VEC3", VERTICES, limits=True),
        "NORMAL": file.add(to_gltf(corners["normal"]), FLOAT, "VEC3", VERTICES),
    }
    material: dict[str, Any] = {"baseColorFactor": [1, 1, 1, 1], "metallicFactor": 0, "roughnessFactor": 1}
    pictures: dict[str, Any] = {}
    if mesh.texture is not None:
        upside_down = mesh.texture.coordinates[corners["texel"]] * (1, -1) + (0, 1)  # glTF counts v from the top
        attributes["TEXCOORD_0"] = file.add(upside_down.astype(np.float32), FLOAT, "VEC2", VERTICES)
        material["baseColorTexture"] = {"index": 0}
        pictures = {
            "textures": [{"sampler": 0, "source": 0}],
            "samplers": [{"magFilter": LINEAR, "minFilter": LINEAR_MIPMAP, "wrapS": CLAMP, "wrapT": CLAMP}],
            "images": [{"mimeType": "image/png", "bufferView": file.view(encode_png(mesh.texture.image))}],
        }
    elif mesh.colours is not None:
        attributes["COLOR_0"] = file.add(_linear(mesh.colours[corners["vertex"]]), SHORT, "VEC4", VERTICES)
    indices = file.add(rows.astype(np.uint32).reshape(-1), INT, "SCALAR", INDICES)
    return file.pack(
        {
            "asset": {"version": "2.0", "generator": "meshcli"},
            "scene": 0,
            "scenes": [{"nodes": [0]}],
            "nodes": [{"mesh": 0, "name": "object"}],
            "meshes": [{"primitives": [{"attributes": attributes, "indices": indices, "material": 0}]}],
            "materials": [{"name": "surface", "pbrMetallicRoughness": material}],
            **pictures,
        }
    )


def read_glb(path: Path, scale: float = 1.0) -> Mesh:
    """A GLB file in our world; InputError when it cannot be read."""
    from meshcli.export.reading import read_mesh  # trimesh takes 0.7 s to import, and writing does not need it

    return read_mesh(path, scale)


def _split(mesh: Mesh) -> tuple[Array, dict[str, Array]]:
    """A vertex for every combination of position, texture coordinate and normal: glTF has one index per corner."""
    normals = np.round(corner_normals(mesh.vertices, mesh.faces).reshape(-1, 3), 4)
    keys = np.empty((len(normals), 5), np.int64)
    keys[:, 0] = mesh.faces.reshape(-1)
    keys[:, 1] = mesh.texture.faces.reshape(-1) if mesh.texture is not None else 0
    keys[:, 2:] = np.round(normals * 1e4)
    first, rows = unique_rows(keys)
    length = np.linalg.norm(normals[first], axis=1, keepdims=True)
    unit = np.where(length > 0.5, normals[first] / np.maximum(length, 0.5), (0.0, 0.0, 1.0))
    return rows.reshape(-1, 3), {"vertex": keys[first, 0], "texel": keys[first, 1], "normal": unit}


def _linear(colours: Array) -> Array:
    """Bytes of sRGB (N, 3) to linear 16 bits (N, 4) with an opaque fourth: 6 bytes a row are not aligned."""
    value = np.arange(256) / 255.0
    table = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    result = np.full((len(colours), 4), 65535, np.uint16)
    result[:, :3] = np.round(table * 65535.0).astype(np.uint16)[colours]
    return result


class _File:
    """Collects the pieces of a GLB file."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._views: list[dict[str, int]] = []
        self._accessors: list[dict[str, Any]] = []

    def view(self, data: bytes, target: int | None = None) -> int:
        """Append bytes; the number of their buffer view."""
        view = {"buffer": 0, "byteOffset": len(self._data), "byteLength": len(data)}
        self._views.append(view if target is None else {**view, "target": target})
        self._data += data + b"\0" * (-len(data) % 4)
        return len(self._views) - 1

    def add(self, values: Array, component: int, kind: str, target: int, limits: bool = False) -> int:
        """Append an array; the number of its accessor."""
        view = self.view(np.ascontiguousarray(values).tobytes(), target)
        accessor: dict[str, Any] = {"bufferView": view, "componentType": component, "count": len(values), "type": kind}
        if component == SHORT:
            accessor["normalized"] = True
        if limits:
            accessor |= {"min": values.min(axis=0).tolist(), "max": values.max(axis=0).tolist()}
        self._accessors.append(accessor)
        return len(self._accessors) - 1

    def pack(self, document: dict[str, Any]) -> bytes:
        """Header, JSON chunk, binary chunk."""
        document |= {
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
