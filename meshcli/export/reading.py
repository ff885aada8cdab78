"""Meshes from GLB and OBJ files, ours or edited elsewhere, through trimesh."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from PIL import Image

from meshcli.arrays import Array
from meshcli.errors import InputError
from meshcli.export.frames import from_gltf
from meshcli.meshes.mesh import Mesh, Texture

OBJECT_RADIUS = 1e6  # from the origin, in the file's units
PLAIN = 200  # grey of what has no colour


@dataclass(frozen=True)
class _Part:
    points: Array  # (V, 3) in the file's frame
    faces: Array  # (F, 3)
    visual: Any


def read_mesh(path: Path, scale: float = 1.0) -> Mesh:
    """All objects of a file as one mesh in our world, corners at the same place joined; InputError says what is wrong.

    Several textures become one picture, one above the other.
    """
    try:
        parts = _load(path)
        if not parts:
            raise InputError(f"{path} holds no triangles")
        return _one_mesh(parts, path.suffix.lower() in (".glb", ".gltf"), scale)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # a damaged file makes trimesh raise almost anything
        raise InputError(f"{path} cannot be read as a mesh: {error}") from error


def _one_mesh(parts: list[_Part], linear: bool, scale: float) -> Mesh:
    """All parts together; `linear` is how colours are written."""
    starts = np.cumsum([0] + [len(part.points) for part in parts])
    corners = np.concatenate([part.faces + start for part, start in zip(parts, starts[:-1], strict=True)])
    points = from_gltf(np.concatenate([part.points for part in parts]), scale)
    pictures = [_picture(part) for part in parts]
    if any(picture is not None for picture in pictures):
        kept, rows = _joined(points)
        return Mesh(points[kept], rows[corners], texture=_texture(parts, pictures, corners))
    colours = [_colours(part, linear) for part in parts]
    if all(colour is None for colour in colours):
        kept, rows = _joined(points)
        return Mesh(points[kept], rows[corners])
    painted = np.concatenate(
        [
            np.full((len(part.points), 3), PLAIN, np.uint8) if colour is None else colour
            for part, colour in zip(parts, colours, strict=True)
        ]
    )
    kept, rows = _joined(np.hstack([points, painted]))
    return Mesh(points[kept], rows[corners], colours=painted[kept])


def _load(path: Path) -> list[_Part]:
    # Not Scene.dump(): its copies have lost the colours beside a material.
    if path.suffix.lower() == ".glb":  # without a way to other files: one that comes from elsewhere could name any
        scene = trimesh.load_scene(io.BytesIO(path.read_bytes()), file_type="glb", process=False)
    else:
        scene = trimesh.load_scene(path, process=False)
    parts = []
    for node in scene.graph.nodes_geometry:
        transform, key = scene.graph[node]
        part = scene.geometry[key]
        if isinstance(part, trimesh.Trimesh) and len(part.faces):
            points = np.asarray(part.vertices) @ transform[:3, :3].T + transform[:3, 3]
            faces = np.asarray(part.faces)
            if not np.abs(points).max() < OBJECT_RADIUS or faces.min() < 0 or faces.max() >= len(points):
                raise ValueError("a corner lies nowhere")
            mirrored = np.linalg.det(transform[:3, :3]) < 0.0
            parts.append(_Part(points, faces[:, ::-1] if mirrored else faces, part.visual))
    return parts


def _joined(corners: Array) -> tuple[Array, Array]:
    """Rows to keep, in their order, and for every row which of the kept ones is equal to it."""
    _, first, rows = np.unique(corners, axis=0, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int32)
    rank[np.argsort(first, kind="stable")] = np.arange(len(first))
    return np.sort(first), rank[rows.reshape(-1)]


def _picture(part: _Part) -> Array | None:
    """A part's texture (H, W, 3), or None."""
    material = getattr(part.visual, "material", None)
    picture = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
    if not isinstance(picture, Image.Image) or getattr(part.visual, "uv", None) is None:
        return None
    return np.asarray(picture.convert("RGB"))


def _texture(parts: list[_Part], pictures: list[Array | None], corners: Array) -> Texture:
    """Pictures on top of each other; parts without one become grey."""
    images = [np.full((1, 1, 3), PLAIN, np.uint8) if picture is None else picture for picture in pictures]
    width, height = max(image.shape[1] for image in images), sum(image.shape[0] for image in images)
    sheet = np.zeros((height, width, 3), np.uint8)
    coordinates, top = [], 0
    for part, image, picture in zip(parts, images, pictures, strict=True):
        rows, columns = image.shape[:2]
        sheet[top : top + rows, :columns] = image
        uv = np.full((len(part.points), 2), 0.5) if picture is None else _uv(part)
        top += rows
        coordinates.append(uv * (columns / width, rows / height) + (0.0, 1.0 - top / height))
    return Texture(sheet, np.concatenate(coordinates).astype(np.float32), corners.astype(np.int32))


def _uv(part: _Part) -> Array:
    """A part's texture coordinates (V, 2)."""
    uv = np.asarray(part.visual.uv, np.float64)
    if uv.shape != (len(part.points), 2) or not np.isfinite(uv).all():
        raise ValueError("its texture coordinates do not fit its corners")
    return uv


def _colours(part: _Part, linear: bool) -> Array | None:
    """A part's vertex colours in sRGB (V, 3), or None; glTF's are linear, in any depth."""
    colours = getattr(part.visual, "vertex_attributes", {}).get("color")
    if colours is None and part.visual.kind == "vertex":
        colours = part.visual.vertex_colors
    if colours is None:
        return None
    values = np.asarray(colours)[:, :3].astype(np.float64)
    if np.issubdtype(np.asarray(colours).dtype, np.integer):
        values /= np.iinfo(np.asarray(colours).dtype).max
    if linear:
        values = np.where(values <= 0.0031308, values * 12.92, 1.055 * np.maximum(values, 1e-9) ** (1 / 2.4) - 0.055)
    return np.round(values.clip(0.0, 1.0) * 255.0).astype(np.uint8)
