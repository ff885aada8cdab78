"""Meshes as binary glTF 2.0 (GLB), with the texture inside the file.

The material is rough and not metallic, so that viewers show the colours unchanged. With a texture there is no COLOR_0,
which viewers would multiply with it. Without one, vertex colours are in COLOR_0: linear, as the standard requires
(Khronos, glTF 2.0, 3.7.2.1), and 16 bits, since 8 linear bits show banding in dark colours.
"""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from meshcli.arrays import Array
from meshcli.export.frames import to_gltf
from meshcli.export.unique_rows import unique_rows
from meshcli.meshes.mesh import Mesh, corner_normals
from meshcli.pictures.image import encode_jpeg, encode_png
from meshcli.pictures.pixels import Pixels

# Constants of OpenGL
FLOAT, UNSIGNED_SHORT, UNSIGNED_INT = 5126, 5123, 5125
ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER = 34962, 34963
LINEAR, LINEAR_MIPMAP_LINEAR, CLAMP_TO_EDGE = 9729, 9987, 33071

NORMAL_DECIMALS = 4  # finer differences of normals do not split vertices


def write_glb(mesh: Mesh, scale: float = 1.0, jpeg_quality: int | None = None) -> bytes:
    """The file's bytes, deterministic. `scale` is in metres per unit of our world.

    The texture is a PNG, or a JPEG of this quality, 1 to 100.
    """
    rows, corners = _split_vertices(mesh)
    file = _GlbBuilder()
    attributes = {
        "POSITION": file.add(
            to_gltf(mesh.vertices, scale)[corners["vertex"]], FLOAT, "VEC3", ARRAY_BUFFER, limits=True
        ),
        "NORMAL": file.add(to_gltf(corners["normal"]), FLOAT, "VEC3", ARRAY_BUFFER),
    }
    material: dict[str, Any] = {"baseColorFactor": [1, 1, 1, 1], "metallicFactor": 0, "roughnessFactor": 1}
    pictures: dict[str, Any] = {}
    if mesh.texture is not None:
        flipped = mesh.texture.coordinates[corners["texel"]] * (1, -1) + (0, 1)  # glTF's v points down
        attributes["TEXCOORD_0"] = file.add(flipped.astype(np.float32), FLOAT, "VEC2", ARRAY_BUFFER)
        material["baseColorTexture"] = {"index": 0}
        pictures = {
            "textures": [{"sampler": 0, "source": 0}],
            "samplers": [
                {"magFilter": LINEAR, "minFilter": LINEAR_MIPMAP_LINEAR, "wrapS": CLAMP_TO_EDGE, "wrapT": CLAMP_TO_EDGE}
            ],
            "images": [_encoded(mesh.texture.image, jpeg_quality, file)],
        }
    elif mesh.colours is not None:
        attributes["COLOR_0"] = file.add(_linear(mesh.colours[corners["vertex"]]), UNSIGNED_SHORT, "VEC4", ARRAY_BUFFER)
    indices = file.add(rows.astype(np.uint32).reshape(-1), UNSIGNED_INT, "SCALAR", ELEMENT_ARRAY_BUFFER)
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


def _encoded(image: Pixels, jpeg_quality: int | None, file: "_GlbBuilder") -> dict[str, Any]:
    """The entry of a picture that is inside the file."""
    if jpeg_quality is None:
        return {"mimeType": "image/png", "bufferView": file.view(encode_png(image))}
    return {"mimeType": "image/jpeg", "bufferView": file.view(encode_jpeg(image, jpeg_quality))}


def read_glb(path: Path, scale: float = 1.0) -> Mesh:
    """The mesh of a GLB file in our world; InputError where it cannot be read."""
    from meshcli.export.reading import read_mesh  # trimesh takes 0.7 s to import, and writing does not need it

    return read_mesh(path, scale)


def _split_vertices(mesh: Mesh) -> tuple[Array, dict[str, Array]]:
    """One vertex per combination of position, UV and normal, since glTF has one index per corner.

    Returns faces (F, 3), and for each new vertex its old vertex, texture coordinate and normal.
    """
    normals = np.round(corner_normals(mesh.vertices, mesh.faces).reshape(-1, 3), NORMAL_DECIMALS)
    keys = np.empty((len(normals), 5), np.int64)
    keys[:, 0] = mesh.faces.reshape(-1)
    keys[:, 1] = mesh.texture.faces.reshape(-1) if mesh.texture is not None else 0
    keys[:, 2:] = np.round(normals * 10**NORMAL_DECIMALS)
    first, rows = unique_rows(keys)
    length = np.linalg.norm(normals[first], axis=1, keepdims=True)
    unit = np.where(length > 0.5, normals[first] / np.maximum(length, 0.5), (0.0, 0.0, 1.0))
    return rows.reshape(-1, 3), {"vertex": keys[first, 0], "texel": keys[first, 1], "normal": unit}


def _linear(colours: Array) -> Array:
    """SRGB bytes (N, 3) to linear 16-bit RGBA (N, 4), opaque: rows of 6 bytes would not be aligned to 4."""
    value = np.arange(256) / 255.0
    table = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    result = np.full((len(colours), 4), 65535, np.uint16)
    result[:, :3] = np.round(table * 65535.0).astype(np.uint16)[colours]
    return result


class _GlbBuilder:
    """Collects buffer views and accessors, and writes them as a GLB file."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._views: list[dict[str, int]] = []
        self._accessors: list[dict[str, Any]] = []

    def view(self, data: bytes, target: int | None = None) -> int:
        """Append bytes; the index of their buffer view."""
        view = {"buffer": 0, "byteOffset": len(self._data), "byteLength": len(data)}
        self._views.append(view if target is None else {**view, "target": target})
        self._data += data + b"\0" * (-len(data) % 4)
        return len(self._views) - 1

    def add(self, values: Array, component: int, kind: str, target: int, limits: bool = False) -> int:
        """Append an array; the index of its accessor."""
        view = self.view(np.ascontiguousarray(values).tobytes(), target)
        accessor: dict[str, Any] = {"bufferView": view, "componentType": component, "count": len(values), "type": kind}
        if component == UNSIGNED_SHORT:
            accessor["normalized"] = True
        if limits:
            accessor |= {"min": values.min(axis=0).tolist(), "max": values.max(axis=0).tolist()}
        self._accessors.append(accessor)
        return len(self._accessors) - 1

    def pack(self, document: dict[str, Any]) -> bytes:
        """The GLB file: header, JSON chunk, binary chunk."""
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
