"""What the folders for Unreal and Blender have in common: the mesh, the pictures, the cameras, and a script.

The scripts only call their program. Every number that they need is in cameras.json, in that program's coordinates,
beside the camera in those of the scene.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from meshcli.export.gltf import write_scene_glb
from meshcli.export.scene import Scene, SceneCamera

SCRIPTS = Path(__file__).parent / "scripts"
CAMERAS = "cameras.json"


def program_folder(
    scene: Scene,
    pictures: Mapping[str, bytes],
    script: str,
    numbers: Callable[[SceneCamera], dict[str, Any]],
    *,
    jpeg_quality: int | None = None,
) -> dict[str, bytes]:
    """Contents by path in the folder, deterministic.

    `pictures`: contents by the cameras' `picture`; a camera whose picture is missing there has none. `script`: its name
    among SCRIPTS. `numbers`: a camera in the program's own terms. The GLB has no cameras: the script makes better ones.
    """
    copies = {each.name: _copy_name(each) for each in scene.cameras if each.picture in pictures}
    rows = [
        {
            "name": each.name,
            "kind": each.kind,
            "picture": copies.get(each.name, ""),
            "width": each.width,
            "height": each.height,
            "camera": each.camera.to_json(),
            **numbers(each),
        }
        for each in scene.cameras
    ]
    document = {"name": scene.name, "mesh": f"{scene.name}.glb", "size_known": scene.size_known, "cameras": rows}
    return {
        f"{scene.name}.glb": write_scene_glb(replace(scene, cameras=()), jpeg_quality=jpeg_quality),
        CAMERAS: f"{json.dumps(document, indent=1)}\n".encode(),
        script: (SCRIPTS / script).read_bytes(),
        **{copies[each.name]: pictures[each.picture] for each in scene.cameras if each.name in copies},
    }


def _copy_name(camera: SceneCamera) -> str:
    """Where a camera's picture lies in the folder: under the camera's name."""
    return f"pictures/{camera.name}{PurePosixPath(camera.picture).suffix.lower()}"
