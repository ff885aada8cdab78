"""Meshes for printers and scans: STL and 3MF in millimetres, PLY in metres. Vertices come as the file holds them."""

import io
import zipfile

import numpy as np

from meshcli.arrays import Array
from meshcli.meshes.mesh import Mesh, face_normals

MILLIMETRES = 1000.0  # in a metre
STL_HEADER = b"binary STL by meshcli, millimetres"  # must not begin with `solid`, which marks a text file
CORE = "http://schemas.microsoft.com/3dmanufacturing/core/2015/02"
MATERIALS = "http://schemas.microsoft.com/3dmanufacturing/material/2015/02"
MODEL = "3D/3dmodel.model"
CONTENT_TYPES = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="model" ContentType="application/vnd.ms-package.3dmanufacturing-3dmodel+xml"/></Types>\n'
)
RELATIONS = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    f'<Relationship Target="/{MODEL}" Id="model" Type="http://schemas.microsoft.com/3dmanufacturing/2013/01/3dmodel"/>'
    "</Relationships>\n"
)


def write_stl(mesh: Mesh) -> bytes:
    """Binary STL in millimetres of a mesh in metres; the format has no colours and no unit."""
    rows = np.zeros(len(mesh.faces), np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("more", "<u2")]))
    normals = face_normals(mesh.vertices, mesh.faces)
    rows["normal"] = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)
    rows["corners"] = (mesh.vertices.astype(np.float64) * MILLIMETRES)[mesh.faces]
    return STL_HEADER.ljust(80, b"\0") + len(rows).to_bytes(4, "little") + rows.tobytes()


def write_ply(mesh: Mesh) -> bytes:
    """Binary PLY in metres; vertex colours are sRGB bytes."""
    names = [("x", "<f4"), ("y", "<f4"), ("z", "<f4")]
    if mesh.colours is not None:
        names += [("red", "u1"), ("green", "u1"), ("blue", "u1")]
    vertices = np.empty(len(mesh.vertices), np.dtype(names))
    for axis, name in enumerate("xyz"):
        vertices[name] = mesh.vertices[:, axis]
    if mesh.colours is not None:
        for channel, name in enumerate(("red", "green", "blue")):
            vertices[name] = mesh.colours[:, channel]
    faces = np.empty(len(mesh.faces), np.dtype([("count", "u1"), ("corners", "<i4", 3)]))
    faces["count"], faces["corners"] = 3, mesh.faces
    kinds = {"<f4": "float", "u1": "uchar"}
    header = [
        "ply", "format binary_little_endian 1.0", "comment meshcli, metres", f"element vertex {len(vertices)}",
        *(f"property {kinds[kind]} {name}" for name, kind in names),
        f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header", "",
    ]  # fmt: skip
    return "\n".join(header).encode() + vertices.tobytes() + faces.tobytes()


def write_3mf(mesh: Mesh, name: str) -> bytes:
    """3MF in millimetres of a mesh in metres; vertex colours as the materials extension has them (3mf.io)."""
    points = mesh.vertices.astype(np.float64) * MILLIMETRES
    vertices = _rows('<vertex x="%.6g" y="%.6g" z="%.6g"/>', points)
    if mesh.colours is None:
        group, use = "", ""
        triangles = _rows('<triangle v1="%d" v2="%d" v3="%d"/>', mesh.faces)
    else:
        palette, place = np.unique(mesh.colours, axis=0, return_inverse=True)
        colours = _rows('<m:color color="#%02X%02X%02XFF"/>', palette)
        group, use = f'<m:colorgroup id="1">\n{colours}\n</m:colorgroup>\n', ' pid="1" pindex="0"'
        rows = np.hstack([mesh.faces, place.reshape(-1)[mesh.faces]])
        triangles = _rows('<triangle v1="%d" v2="%d" v3="%d" pid="1" p1="%d" p2="%d" p3="%d"/>', rows)
    text = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<model unit="millimeter" xml:lang="en-US" xmlns="{CORE}" '
        f'xmlns:m="{MATERIALS}">\n<metadata name="Application">meshcli</metadata>\n<resources>\n{group}'
        f'<object id="2" type="model" name="{name}"{use}>\n<mesh>\n<vertices>\n{vertices}\n</vertices>\n<triangles>\n'
        f'{triangles}\n</triangles>\n</mesh>\n</object>\n</resources>\n<build><item objectid="2"/></build>\n</model>\n'
    )
    return _package({"[Content_Types].xml": CONTENT_TYPES, "_rels/.rels": RELATIONS, MODEL: text})


def _rows(form: str, values: Array) -> str:
    return "\n".join([form] * len(values)) % tuple(values.ravel().tolist())


def _package(files: dict[str, str]) -> bytes:
    """A ZIP file, the same bytes every time."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as package:
        for name, text in files.items():
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            package.writestr(entry, text)
    return target.getvalue()
