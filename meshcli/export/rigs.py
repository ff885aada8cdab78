"""The cameras of a scene as rig files: our cameras.json, nerfstudio's transforms.json, COLMAP's text. Light: no numpy.

The conventions are those that views/rig_files.py reads: camera_to_world with OpenGL axes and pixels (nerfstudio),
world_to_camera with y down and z forward as quaternion and translation (COLMAP); pixels from the top-left corner.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from meshcli.export.scene import SceneCamera
from meshcli.views.camera import Camera
from meshcli.views.world_transform import WorldTransform

COLMAP_CAMERAS = "# CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[] (fx, fy, cx, cy)"
COLMAP_IMAGES = "# IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME; then a line of points, which is empty"
COLMAP_POINTS = "# POINT3D_ID, X, Y, Z, R, G, B, ERROR, TRACK[]: there are none"


@dataclass(frozen=True)
class RigFrame:
    """The coordinate system of rig files."""

    to_ours: WorldTransform  # a point of the files -> the project's world
    up: str = "z"  # the axis that points up
    size_known: bool = False  # whether a unit is a metre; a rig's own unit is taken for one

    def to_json(self) -> dict[str, Any]:
        """As cameras.json states it."""
        return {"up": self.up, "unit": "metre", "size_known": self.size_known, **self.to_ours.to_json()}


def rig_files(cameras: Sequence[SceneCamera], frame: RigFrame, sources: dict[str, str]) -> dict[str, bytes]:
    """Contents by file name; the cameras are in the files' frame. `sources`: picture -> its name before it came here.

    The other programs' files have a camera for each picture; the turntable has none.
    """
    pictured = [each for each in cameras if each.picture]
    return {
        "cameras.json": _text(json.dumps(_own_json(cameras, frame, sources), indent=1)),
        "transforms.json": _text(json.dumps(_nerfstudio_json(pictured), indent=1)),
        **{f"colmap/{name}": _text(text) for name, text in _colmap_texts(pictured).items()},
    }


def _own_json(cameras: Sequence[SceneCamera], frame: RigFrame, sources: dict[str, str]) -> dict[str, Any]:
    rows: dict[str, list[dict[str, Any]]] = {"photo": [], "view": [], "turntable": []}
    for each in cameras:
        file = {"file": sources.get(each.picture) or each.picture, "picture": each.picture} if each.picture else {}
        size = {"width": each.width, "height": each.height}
        rows[each.kind].append({"name": each.name, **file, **size, "camera": each.camera.to_json()})
    return {
        "meshcli": 1, "frame": frame.to_json(), "photos": rows["photo"], "views": rows["view"],
        "turntable": rows["turntable"],
    }  # fmt: skip


def _nerfstudio_json(cameras: Sequence[SceneCamera]) -> dict[str, Any]:
    """Paths are relative to the file, which lies in a folder of the project (docs.nerf.studio, "data conventions")."""
    frames = [
        {
            "file_path": f"../{each.picture}",
            "w": each.width,
            "h": each.height,
            "fl_x": each.camera.fx * each.width,
            "fl_y": each.camera.fy * each.height,
            "cx": each.camera.cx * each.width,
            "cy": each.camera.cy * each.height,
            "transform_matrix": [list(row) for row in each.camera.camera_to_world],
        }
        for each in cameras
    ]
    return {"camera_model": "PINHOLE", "frames": frames}


def _colmap_texts(cameras: Sequence[SceneCamera]) -> dict[str, str]:
    """COLMAP's three text files (colmap.github.io/format.html); the pictures' names are relative to the project."""
    lenses: dict[str, int] = {}
    images = []
    for number, each in enumerate(cameras, 1):
        lens = each.camera
        numbers = (lens.fx * each.width, lens.fy * each.height, lens.cx * each.width, lens.cy * each.height)
        line = f"PINHOLE {each.width} {each.height} {_numbers(numbers)}"
        camera = lenses.setdefault(line, len(lenses) + 1)
        images += [f"{number} {_numbers(_world_to_camera(lens))} {camera} {each.picture}", ""]
    rows = [f"{number} {line}" for line, number in lenses.items()]
    return {
        "cameras.txt": "\n".join([COLMAP_CAMERAS, *rows]),
        "images.txt": "\n".join([COLMAP_IMAGES, *images]),
        "points3D.txt": COLMAP_POINTS,
    }


def _world_to_camera(camera: Camera) -> tuple[float, ...]:
    """COLMAP's quaternion (w, x, y, z) and translation of a camera."""
    pose = camera.camera_to_world
    rows = [[sign * pose[k][column] for k in range(3)] for column, sign in enumerate((1.0, -1.0, -1.0))]
    shift = (-sum(a * b for a, b in zip(row, camera.position, strict=True)) for row in rows)
    return (*quaternion(rows), *shift)


def quaternion(rows: Sequence[Sequence[float]]) -> tuple[float, float, float, float]:
    """The unit quaternion w, x, y, z, w >= 0, of a rotation matrix; by its largest component (Shepperd 1978)."""
    (a, b, c), (d, e, f), (g, h, k) = rows
    squares = (1 + a + e + k, 1 + a - e - k, 1 - a + e - k, 1 - a - e + k)  # four times those of w, x, y, z
    products = ((squares[0], h - f, c - g, d - b), (h - f, squares[1], b + d, c + g),
                (c - g, b + d, squares[2], f + h), (d - b, c + g, f + h, squares[3]))  # fmt: skip
    best = max(range(4), key=lambda number: squares[number])
    length = math.copysign(2.0 * math.sqrt(squares[best]), products[best][0])
    w, x, y, z = (value / length for value in products[best])
    return w, x, y, z


def _numbers(values: Sequence[float]) -> str:
    """Decimals that read back to the bit."""
    return " ".join(repr(value + 0.0) for value in values)


def _text(text: str) -> bytes:
    return f"{text}\n".encode()
