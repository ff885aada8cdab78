"""Meshes as Wavefront OBJ with material and texture files. Axes as in glTF: y up, the front on +z."""

from collections.abc import Iterable

import numpy as np

from meshcli.arrays import Array
from meshcli.export.frames import to_gltf
from meshcli.export.unique_rows import unique_rows
from meshcli.meshes.mesh import Mesh, corner_normals
from meshcli.pictures.image import encode_png

ROWS_PER_FORMAT = 4096


def write_obj(mesh: Mesh, name: str = "mesh", scale: float = 1.0, axes: str = "y up, front +z") -> dict[str, bytes]:
    """Contents by file name: NAME.obj, and with a texture NAME.mtl and NAME.png. `axes` is what the file says of them.

    Without a texture, vertex colours follow the positions, `v x y z r g b`, as MeshLab, Blender and trimesh read them.
    """
    points = to_gltf(mesh.vertices, scale)
    rounded = np.round(to_gltf(corner_normals(mesh.vertices, mesh.faces).reshape(-1, 3)) * 1e4).astype(np.int64)
    first, normal_rows = unique_rows(rounded)
    corners: list[Array] = [mesh.faces.reshape(-1) + 1, normal_rows + 1]
    header = [f"# {axes}"]
    if mesh.texture is not None:
        header += [f"mtllib {name}.mtl"]
        texels = _lines("vt %.6f %.6f", mesh.texture.coordinates)
        corners.insert(1, mesh.texture.faces.reshape(-1) + 1)
        positions = _lines("v %.6f %.6f %.6f", points)
    elif mesh.colours is not None:
        texels = []
        positions = _lines("v %.6f %.6f %.6f %.4f %.4f %.4f", np.hstack([points, mesh.colours / 255.0]))
    else:
        texels, positions = [], _lines("v %.6f %.6f %.6f", points)
    corner = "%d/%d/%d" if mesh.texture is not None else "%d//%d"
    use = ["usemtl surface"] if mesh.texture is not None else []
    faces = _lines(f"f {corner} {corner} {corner}", np.stack(corners, axis=-1).reshape(len(mesh.faces), -1))
    lines = [*header, "o object", *positions, *texels, *_lines("vn %.4f %.4f %.4f", rounded[first] / 1e4), *use, *faces]
    files = {f"{name}.obj": _text(lines)}
    if mesh.texture is not None:
        files[f"{name}.mtl"] = _text(
            ["newmtl surface", "Ka 0 0 0", "Kd 1 1 1", "Ks 0 0 0", "d 1", "illum 1", f"map_Kd {name}.png"]
        )
        files[f"{name}.png"] = encode_png(mesh.texture.image)
    return files


def _lines(form: str, rows: Array) -> list[str]:
    """One formatted line per row; formatting many rows at a time takes half the time."""
    blocks = (rows[start : start + ROWS_PER_FORMAT] for start in range(0, len(rows), ROWS_PER_FORMAT))
    return ["\n".join([form] * len(block)) % tuple(block.ravel().tolist()) for block in blocks]


def _text(lines: Iterable[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()
