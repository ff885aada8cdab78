"""Mesh files of any other program, with trimesh: GLB, glTF, OBJ, PLY and STL, whatever their axes and units.

The file may be hostile: what it refers to must lie beside it, and its sizes are checked before memory is taken for
them. Its textures become vertex colours, which are good enough to tell one side of the object from another.
"""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from trimesh.resolvers import Resolver

from meshcli.arrays import Array, Float64Array
from meshcli.errors import InputError, MissingError
from meshcli.export.draco import announced_faces, open_draco
from meshcli.export.reading import MeshPart, merge_equal, part_colours, texture_image
from meshcli.meshes.mesh import PLAIN_GREY, Mesh

MAX_FACES = 20_000_000  # of all objects together: about 1 GB while they are read
MAX_COORDINATE = 1e12  # in the file's units: squares of it still fit into float64 with room
MERGED = 1e-6  # of the object's size: vertices closer than about that are one, as at the seams of a texture
MAX_SIDE_FILE = 256 << 20  # bytes of a file that the mesh refers to
MAX_TEXTURE = 8192 * 8192  # pixels: colours of a larger texture are left out
DRACO, MESHOPT = "KHR_draco_mesh_compression", "EXT_meshopt_compression"


@dataclass(frozen=True)
class ForeignMesh:
    """A mesh from a file, moved and scaled to a box centred at the origin with its farthest point at 1."""

    mesh: Mesh  # axes as in the file; vertex colours, or none
    centre: Float64Array  # (3,) in the file's frame: a vertex v here is centre + size * v there
    size: float  # in the file's units
    faces_in_file: int  # before those without an area were dropped


def read_foreign_mesh(path: Path, data: bytes) -> ForeignMesh:
    """All objects of a file with these contents as one mesh; InputError, in one line, where that cannot be.

    MissingError for a file that is compressed with Draco where DracoPy is not installed.
    """
    try:
        parts = _load(path, data)
        if not parts:
            raise InputError(f"{path} contains no triangles")
        return _joined(path, parts)
    except (InputError, MissingError, MemoryError):
        raise
    except Exception as error:  # a damaged file makes trimesh raise almost anything
        words = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{path} cannot be read as a mesh: {words}") from error


class _BesideResolver(Resolver):
    """Gives trimesh the files that a mesh refers to, if they lie in its own folder or below it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()

    def get(self, name: str) -> bytes:
        """The bytes of a file; InputError for one elsewhere."""
        wanted = (self.folder / name.strip()).resolve()
        if "://" in name or not wanted.is_relative_to(self.folder):
            raise InputError(f"it refers to {name[:80]!r}, which is not beside it")
        if not wanted.is_file():
            raise InputError(f"it refers to {name[:80]!r}, which does not exist")
        if wanted.stat().st_size > MAX_SIDE_FILE:
            raise InputError(f"it refers to {name[:80]!r}, which is larger than {MAX_SIDE_FILE >> 20} MB")
        return wanted.read_bytes()

    def keys(self) -> list[str]:
        """The names that are known beforehand: none."""
        return []

    def write(self, name: str, data: bytes) -> None:
        """Never: files are only read."""
        raise InputError(f"it would write {name[:80]!r}")

    def namespaced(self, namespace: str) -> "_BesideResolver":
        """The same for a folder below."""
        return _BesideResolver(self.folder / namespace)


def _load(path: Path, data: bytes) -> list[MeshPart]:
    """The meshes of a file in its world frame."""
    kind = path.suffix.lower().removeprefix(".")
    if kind in ("glb", "gltf"):
        _check_gltf(path, data)
    scene = trimesh.load_scene(io.BytesIO(data), file_type=kind, resolver=_BesideResolver(path.parent), process=False)
    nodes = [scene.graph[node] for node in scene.graph.nodes_geometry]
    meshes = [(place, scene.geometry[key]) for place, key in nodes if isinstance(scene.geometry[key], trimesh.Trimesh)]
    if (total := sum(len(part.faces) for _, part in meshes)) > MAX_FACES:
        raise InputError(f"{path} has {total:,} faces, more than {MAX_FACES:,}; simplify it first")
    parts = []
    for place, part in meshes:
        points, faces = np.asarray(part.vertices, np.float64), np.asarray(part.faces)
        if not len(faces):
            continue
        if faces.min() < 0 or faces.max() >= len(points):
            raise InputError(f"{path} is damaged: a face names a vertex that does not exist")
        points = points @ place[:3, :3].T + place[:3, 3]
        if not np.abs(points[faces]).max() < MAX_COORDINATE:  # also where it is not a number
            raise InputError(f"{path} is damaged: a vertex lies nowhere, or beyond {MAX_COORDINATE:g}")
        mirrored = np.linalg.det(place[:3, :3]) < 0.0
        parts.append(MeshPart(points, faces[:, ::-1] if mirrored else faces, part.visual))
    return parts


def _check_gltf(path: Path, data: bytes) -> None:
    """Errors for a glTF that is compressed, or whose tables are too large, before memory is taken for them.

    InputError; MissingError for one that is compressed with Draco where DracoPy is not installed.
    """
    text, binary = data, b""
    if data[:4] == b"glTF":
        length = int.from_bytes(data[12:16], "little")
        text, binary = data[20 : 20 + length], data[28 + length :]
    table = json.loads(text)
    if MESHOPT in table.get("extensionsRequired", ()):
        raise InputError(f"{path} is compressed ({MESHOPT}); export it again without compression")
    _check_draco(path, table, binary)
    counts = [accessor["count"] for accessor in table.get("accessors", ())]
    if counts and not 0 <= max(counts) <= 3 * MAX_FACES:
        raise InputError(f"{path} announces a table of {max(counts):,} entries, more than {3 * MAX_FACES:,}")
    meshes = [sum(1 for _ in mesh["primitives"]) for mesh in table.get("meshes", ())]
    if sum(meshes) + len(table.get("nodes", ())) > MAX_FACES // 100:
        raise InputError(f"{path} has more than {MAX_FACES // 100:,} objects")


def _check_draco(path: Path, table: Any, binary: bytes) -> None:
    """The same for meshes that are compressed with Draco, which lie in the GLB's own binary chunk."""
    primitives = [each for mesh in table.get("meshes", ()) for each in mesh["primitives"]]
    packed = [each["extensions"][DRACO]["bufferView"] for each in primitives if DRACO in each.get("extensions", ())]
    if not packed:
        return
    open_draco()
    total = 0
    for index in packed:
        view = table["bufferViews"][index]
        if not binary or view["buffer"] != 0 or "uri" in table["buffers"][0]:
            raise InputError(f"{path} keeps its compressed mesh in another file; save it as one .glb")
        start = view.get("byteOffset", 0)
        total += announced_faces(binary[start : start + view["byteLength"]])
    if total > MAX_FACES:
        raise InputError(f"{path} announces {total:,} faces, more than {MAX_FACES:,}; simplify it first")


def _joined(path: Path, parts: Sequence[MeshPart]) -> ForeignMesh:
    """All parts as one mesh: equal vertices merged, faces without an area and vertices without a face dropped."""
    starts = np.cumsum([0] + [len(part.points) for part in parts])
    faces = np.concatenate([part.faces + start for part, start in zip(parts, starts[:-1], strict=True)])
    points, colours = np.concatenate([part.points for part in parts]), _all_colours(path, parts)
    used = points[np.unique(faces)]
    centre = (used.min(axis=0) + used.max(axis=0)) / 2.0
    size = float(np.linalg.norm(used - centre, axis=1).max())
    if size <= 1e-12 * max(1.0, float(np.abs(centre).max())):
        raise InputError(f"{path} has no size: all its vertices are in one place")
    unit = (points - centre) / size
    kept, rows = merge_equal(np.round(unit / MERGED).clip(-2.0 / MERGED, 2.0 / MERGED))
    corners = rows[faces]
    corners = corners[_with_area(unit[kept], corners)]
    if not len(corners):
        raise InputError(f"{path} contains no triangles with an area")
    used_rows, corners = np.unique(corners, return_inverse=True)
    kept = kept[used_rows]
    mesh = Mesh(
        unit[kept].astype(np.float32),
        corners.reshape(-1, 3).astype(np.int32),
        None if colours is None else colours[kept],
    )
    return ForeignMesh(mesh, centre, size, len(faces))


def _with_area(points: Array, faces: Array) -> Array:
    """Which faces have three corners and are the first on them, (F,)."""
    differ = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    edges = points[faces]
    doubled = np.linalg.norm(np.cross(edges[:, 1] - edges[:, 0], edges[:, 2] - edges[:, 0]), axis=1)
    first = np.zeros(len(faces), np.bool_)
    first[np.unique(np.sort(faces, axis=1), axis=0, return_index=True)[1]] = True
    kept: Array = differ & first & (doubled > 1e-14)
    return kept


def _all_colours(path: Path, parts: Sequence[MeshPart]) -> Array | None:
    """Vertex colours (V, 3) of all parts, grey where a part has none; None where no part has any."""
    found = [_colours(part, path.suffix.lower() in (".glb", ".gltf")) for part in parts]
    if all(each is None for each in found):
        return None
    plain = [np.full((len(part.points), 3), PLAIN_GREY, np.uint8) for part in parts]
    return np.concatenate([grey if each is None else each for each, grey in zip(found, plain, strict=True)])


def _colours(part: MeshPart, linear: bool) -> Array | None:
    """A part's colours at its vertices (V, 3): of its texture, of the vertices themselves, or None."""
    material: Any = getattr(part.visual, "material", None)
    picture = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
    if picture is not None and picture.width * picture.height <= MAX_TEXTURE:
        image, uv = texture_image(part), np.asarray(getattr(part.visual, "uv", ()), np.float64)
        if image is not None and uv.shape == (len(part.points), 2) and np.isfinite(uv).all():
            height, width = image.shape[:2]
            column = np.floor(np.mod(uv[:, 0], 1.0) * width).astype(np.int64).clip(0, width - 1)
            row = np.floor(np.mod(1.0 - uv[:, 1], 1.0) * height).astype(np.int64).clip(0, height - 1)
            return np.asarray(image[row, column])
    colours = part_colours(part, linear)
    return colours if colours is not None and len(colours) == len(part.points) else None
