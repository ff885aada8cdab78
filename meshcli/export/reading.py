"""Reads meshes from GLB and OBJ files, ours or edited elsewhere, with trimesh."""

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
from meshcli.meshes.mesh import PLAIN_GREY, Mesh, Texture

MAX_COORDINATE = 1e6  # in the file's units: what is beyond is damaged


@dataclass(frozen=True)
class MeshPart:
    """One object of a file, as trimesh read it."""

    points: Array  # (V, 3) in the file's frame
    faces: Array  # (F, 3)
    visual: Any


def read_mesh(path: Path, scale: float = 1.0) -> Mesh:
    """All objects of a file as one mesh in our world, with equal vertices merged; InputError where it is damaged.

    Several textures are stacked into one image.
    """
    try:
        parts = _load(path)
        if not parts:
            raise InputError(f"{path} contains no triangles")
        return _one_mesh(parts, path.suffix.lower() in (".glb", ".gltf"), scale)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # a damaged file makes trimesh raise almost anything
        raise InputError(f"{path} cannot be read as a mesh: {error}") from error


def _one_mesh(parts: list[MeshPart], linear: bool, scale: float) -> Mesh:
    """All parts merged; `linear`: whether vertex colours are linear instead of sRGB."""
    starts = np.cumsum([0] + [len(part.points) for part in parts])
    corners = np.concatenate([part.faces + start for part, start in zip(parts, starts[:-1], strict=True)])
    points = from_gltf(np.concatenate([part.points for part in parts]), scale)
    images = [texture_image(part) for part in parts]
    if any(image is not None for image in images):
        kept, rows = merge_equal(points)
        return Mesh(points[kept], rows[corners], texture=_stack_textures(parts, images, corners))
    colours = [part_colours(part, linear) for part in parts]
    if all(colour is None for colour in colours):
        kept, rows = merge_equal(points)
        return Mesh(points[kept], rows[corners])
    painted = np.concatenate(
        [
            np.full((len(part.points), 3), PLAIN_GREY, np.uint8) if colour is None else colour
            for part, colour in zip(parts, colours, strict=True)
        ]
    )
    kept, rows = merge_equal(np.hstack([points, painted]))
    return Mesh(points[kept], rows[corners], colours=painted[kept])


def _load(path: Path) -> list[MeshPart]:
    """The meshes of a file, transformed into its world frame; ValueError where vertices or indices are invalid."""
    # Not Scene.dump(): its copies have lost the colours beside a material.
    if path.suffix.lower() == ".glb":  # from memory: a foreign file must not refer to other files
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
            if not np.abs(points).max() < MAX_COORDINATE or faces.min() < 0 or faces.max() >= len(points):
                raise ValueError("a vertex or an index is out of range")
            mirrored = np.linalg.det(transform[:3, :3]) < 0.0
            parts.append(MeshPart(points, faces[:, ::-1] if mirrored else faces, part.visual))
    return parts


def merge_equal(corners: Array) -> tuple[Array, Array]:
    """The first of each group of equal rows, in order, and for every row its group."""
    _, first, rows = np.unique(corners, axis=0, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int32)
    rank[np.argsort(first, kind="stable")] = np.arange(len(first))
    return np.sort(first), rank[rows.reshape(-1)]


def texture_image(part: MeshPart) -> Array | None:
    """A part's texture (H, W, 3); None without texture or UV coordinates."""
    material = getattr(part.visual, "material", None)
    picture = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
    if not isinstance(picture, Image.Image) or getattr(part.visual, "uv", None) is None:
        return None
    return np.asarray(picture.convert("RGB"))


def _stack_textures(parts: list[MeshPart], images: list[Array | None], corners: Array) -> Texture:
    """The parts' textures stacked into one image; parts without a texture get a grey texel."""
    rasters = [np.full((1, 1, 3), PLAIN_GREY, np.uint8) if image is None else image for image in images]
    width, height = max(raster.shape[1] for raster in rasters), sum(raster.shape[0] for raster in rasters)
    sheet = np.zeros((height, width, 3), np.uint8)
    coordinates, top = [], 0
    for part, image, raster in zip(parts, images, rasters, strict=True):
        rows, columns = raster.shape[:2]
        sheet[top : top + rows, :columns] = raster
        uv = np.full((len(part.points), 2), 0.5) if image is None else _uv(part)
        top += rows
        coordinates.append(uv * (columns / width, rows / height) + (0.0, 1.0 - top / height))
    return Texture(sheet, np.concatenate(coordinates).astype(np.float32), corners.astype(np.int32))


def _uv(part: MeshPart) -> Array:
    """A part's texture coordinates (V, 2)."""
    uv = np.asarray(part.visual.uv, np.float64)
    if uv.shape != (len(part.points), 2) or not np.isfinite(uv).all():
        raise ValueError("its texture coordinates do not match its vertices")
    return uv


def part_colours(part: MeshPart, linear: bool) -> Array | None:
    """A part's vertex colours in sRGB (V, 3), or None; glTF's are linear, of any bit depth."""
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
