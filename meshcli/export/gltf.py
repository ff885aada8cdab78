"""Meshes and their cameras as binary glTF 2.0 (GLB), with the texture inside the file.

The material is rough and not metallic, so that viewers show the colours unchanged. With a texture there is no COLOR_0,
which viewers would multiply with it. Without one, vertex colours are in COLOR_0: linear, as the standard requires
(Khronos, glTF 2.0, 3.7.2.1), and 16 bits, since 8 linear bits show banding in dark colours.

A file for the web has a WebP texture (EXT_texture_webp) and a mesh compressed with Draco
(KHR_draco_mesh_compression). Both are required extensions: a second, plain copy for other viewers would be larger than
all the rest. three.js reads both.
"""

import math
import unicodedata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from meshcli.arrays import Array
from meshcli.errors import InputError
from meshcli.export.draco import compress
from meshcli.export.frames import pose_to_gltf, quaternion, to_gltf
from meshcli.export.glb_file import (
    ARRAY_BUFFER,
    ELEMENT_ARRAY_BUFFER,
    FLOAT,
    UNSIGNED_INT,
    UNSIGNED_SHORT,
    GlbFile,
)
from meshcli.export.scene import Scene, SceneCamera
from meshcli.export.unique_rows import unique_rows
from meshcli.meshes.mesh import Mesh, corner_normals
from meshcli.pictures.image import encode_texture, encode_webp, reduce_picture
from meshcli.pictures.pixels import Pixels

# Constants of OpenGL
LINEAR, LINEAR_MIPMAP_LINEAR, CLAMP_TO_EDGE = 9729, 9987, 33071

NORMAL_DECIMALS = 4  # finer differences of normals do not split vertices
WEB_TEXTURE_SIDE = 2048  # pixels of a texture for the web at most
WEB_TEXTURE_QUALITY = 90  # of WebP
MEDIA_TYPES = {"png": "image/png", "jpg": "image/jpeg"}
PRINCIPAL_POINT_NOTE = "glTF has no principal point: the picture's centre is seen here; cx and cy say where it lies"


class _Attribute(NamedTuple):
    values: Array
    component: int
    kind: str


def write_glb(mesh: Mesh, scale: float = 1.0, jpeg_quality: int | None = None) -> bytes:
    """The file's bytes, deterministic. `scale` is in metres per unit of our world.

    The texture is a PNG, or a JPEG of this quality, 1 to 100.
    """
    file = GlbFile()
    rows, attributes = _attributes(mesh, scale)
    written = {name: _add(file, name, attribute) for name, attribute in attributes.items()}
    image = None if mesh.texture is None else _image(mesh.texture.image, jpeg_quality, file)
    indices = file.add(rows.astype(np.uint32).reshape(-1), UNSIGNED_INT, "SCALAR", ELEMENT_ARRAY_BUFFER)
    primitive = {"attributes": written, "indices": indices, "material": 0}
    return file.pack(
        {
            "asset": {"version": "2.0", "generator": "meshcli"},
            "scene": 0,
            "scenes": [{"nodes": [0]}],
            "nodes": [{"mesh": 0, "name": "object"}],
            "meshes": [{"primitives": [primitive]}],
            **_material(image),
        }
    )


def write_scene_glb(scene: Scene, *, jpeg_quality: int | None = None, web: bool = False) -> bytes:
    """A scene's bytes, deterministic: one root with the mesh and a node per camera, all named.

    The texture is a PNG, or a JPEG of this quality, 1 to 100; with `web` a WebP of at most WEB_TEXTURE_SIDE pixels, and
    the mesh is compressed. InputError for a mesh without faces or with a vertex that is no number, and for what does
    not fit into the format; MissingError where `web` needs a package that is not installed.
    """
    mesh = scene.mesh
    if not len(mesh.faces):
        raise InputError("the mesh has no faces: there is nothing to export")
    if not np.isfinite(mesh.vertices).all():
        raise InputError("the mesh is damaged: a vertex lies nowhere")
    file = GlbFile()
    rows, attributes = _attributes(mesh)
    primitive = {**(_compressed if web else _plain)(file, rows, attributes), "material": 0}
    image = None if mesh.texture is None else _image(mesh.texture.image, jpeg_quality, file, web)
    name = node_name(scene.name, {camera.name for camera in scene.cameras})
    cameras = [_camera_node(camera, index) for index, camera in enumerate(scene.cameras)]
    nodes = [
        {"name": name, "children": list(range(1, len(cameras) + 2)), "extras": {"size_known": scene.size_known}},
        {"name": f"{name}_mesh", "mesh": 0},
        *cameras,
    ]
    extensions = [*(["KHR_draco_mesh_compression"] if web else []), *(["EXT_texture_webp"] if web and image else [])]
    return file.pack(
        {
            "asset": {"version": "2.0", "generator": "meshcli"},
            **({"extensionsUsed": extensions, "extensionsRequired": extensions} if extensions else {}),
            "scene": 0,
            "scenes": [{"nodes": [0]}],
            "nodes": nodes,
            **({"cameras": [_lens(camera, mesh) for camera in scene.cameras]} if cameras else {}),
            "meshes": [{"name": name, "primitives": [primitive]}],
            **_material(image),
        }
    )


def read_glb(path: Path, scale: float = 1.0) -> Mesh:
    """The mesh of a GLB file in our world; InputError where it cannot be read."""
    from meshcli.export.reading import read_mesh  # trimesh takes 0.7 s to import, and writing does not need it

    return read_mesh(path, scale)


def node_name(name: str, taken: set[str]) -> str:
    """A name that every program can show: without control characters, not empty, neither `taken` nor its mesh's."""
    shown = "".join(" " if unicodedata.category(each).startswith("C") else each for each in name)
    shown = " ".join(shown.split())[:200] or "object"
    while taken & {shown, f"{shown}_mesh"}:
        shown += "_"
    return shown


def _attributes(mesh: Mesh, scale: float = 1.0) -> tuple[Array, dict[str, _Attribute]]:
    """Faces (F, 3) and glTF's attributes of the split vertices."""
    rows, corners = _split_vertices(mesh)
    result = {
        "POSITION": _Attribute(to_gltf(mesh.vertices, scale)[corners["vertex"]], FLOAT, "VEC3"),
        "NORMAL": _Attribute(to_gltf(corners["normal"]), FLOAT, "VEC3"),
    }
    if mesh.texture is not None:
        flipped = mesh.texture.coordinates[corners["texel"]] * (1, -1) + (0, 1)  # glTF's v points down
        result["TEXCOORD_0"] = _Attribute(flipped.astype(np.float32), FLOAT, "VEC2")
    elif mesh.colours is not None:
        result["COLOR_0"] = _Attribute(_linear(mesh.colours[corners["vertex"]]), UNSIGNED_SHORT, "VEC4")
    return rows, result


def _add(file: GlbFile, name: str, attribute: _Attribute) -> int:
    """Append an attribute to the file; the index of its accessor."""
    return file.add(attribute.values, attribute.component, attribute.kind, ARRAY_BUFFER, limits=name == "POSITION")


def _plain(file: GlbFile, rows: Array, attributes: dict[str, _Attribute]) -> dict[str, Any]:
    """A primitive whose arrays are in the file as they are."""
    written = {name: _add(file, name, attribute) for name, attribute in attributes.items()}
    indices = file.add(rows.astype(np.uint32).reshape(-1), UNSIGNED_INT, "SCALAR", ELEMENT_ARRAY_BUFFER)
    return {"attributes": written, "indices": indices}


def _compressed(file: GlbFile, rows: Array, attributes: dict[str, _Attribute]) -> dict[str, Any]:
    """A primitive that Draco has compressed; its accessors say what a decoder finds."""
    packed = compress(rows, {name: attribute.values for name, attribute in attributes.items()})
    written = {
        name: file.describe(packed.attributes[name], attribute.component, attribute.kind, limits=name == "POSITION")
        for name, attribute in attributes.items()
    }
    extension = {"bufferView": file.view(packed.data), "attributes": packed.ids}
    return {
        "attributes": written,
        "indices": file.describe(packed.faces.reshape(-1), UNSIGNED_INT, "SCALAR"),
        "extensions": {"KHR_draco_mesh_compression": extension},
    }


def _image(image: Pixels, jpeg_quality: int | None, file: GlbFile, web: bool = False) -> dict[str, Any]:
    """The entry of a picture that is inside the file; InputError where its format has no room for it."""
    if web:
        small = reduce_picture(image, WEB_TEXTURE_SIDE)
        return {"mimeType": "image/webp", "bufferView": file.view(encode_webp(small, WEB_TEXTURE_QUALITY))}
    ending, data = encode_texture(image, jpeg_quality)
    return {"mimeType": MEDIA_TYPES[ending], "bufferView": file.view(data)}


def _material(image: dict[str, Any] | None) -> dict[str, Any]:
    """The document's material, and its texture where there is one."""
    surface: dict[str, Any] = {"baseColorFactor": [1, 1, 1, 1], "metallicFactor": 0, "roughnessFactor": 1}
    pictures: dict[str, Any] = {}
    if image is not None:
        surface["baseColorTexture"] = {"index": 0}
        webp = image["mimeType"] == "image/webp"
        source = {"extensions": {"EXT_texture_webp": {"source": 0}}} if webp else {"source": 0}
        pictures = {
            "textures": [{"sampler": 0, **source}],
            "samplers": [
                {"magFilter": LINEAR, "minFilter": LINEAR_MIPMAP_LINEAR, "wrapS": CLAMP_TO_EDGE, "wrapT": CLAMP_TO_EDGE}
            ],
            "images": [image],
        }
    return {"materials": [{"name": "surface", "pbrMetallicRoughness": surface}], **pictures}


def _camera_node(camera: SceneCamera, index: int) -> dict[str, Any]:
    """The node that holds camera number `index`, with all that glTF's own fields cannot say in its extras."""
    lens = camera.camera
    pose = pose_to_gltf(lens.camera_to_world)
    fractions = {"fx": lens.fx, "fy": lens.fy, "cx": lens.cx, "cy": lens.cy}  # of the picture's width and height
    size = {"width": camera.width, "height": camera.height}  # in pixels
    extras: dict[str, Any] = {"picture": camera.picture, "kind": camera.kind, **fractions, **size}
    if (lens.cx, lens.cy) != (0.5, 0.5):
        extras["note"] = PRINCIPAL_POINT_NOTE
    return {
        "name": camera.name,
        "camera": index,
        "translation": pose[:3, 3].tolist(),
        "rotation": quaternion(pose[:3, :3]),
        "extras": extras,
    }


def _lens(camera: SceneCamera, mesh: Mesh) -> dict[str, Any]:
    """The entry of a camera; its clipping planes hold the whole mesh with room, also when the camera is moved a bit."""
    low, high = mesh.vertices.min(axis=0).astype(np.float64), mesh.vertices.max(axis=0).astype(np.float64)
    radius = float(np.linalg.norm(high - low)) / 2.0
    distance = float(np.linalg.norm(np.array(camera.camera.position) - (low + high) / 2.0))
    far = max(4.0 * (distance + radius), 1e-6)
    perspective = {
        "aspectRatio": camera.camera.fy / camera.camera.fx,  # focal lengths are fractions of the height and the width
        "yfov": 2.0 * math.atan(0.5 / camera.camera.fy),
        "zfar": far,
        "znear": max(0.1 * (distance - radius), 1e-4 * far),
    }
    return {"name": camera.name, "type": "perspective", "perspective": perspective}


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
