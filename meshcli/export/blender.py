"""A folder for Blender: the mesh, the cameras, and a script that sets them up with their pictures behind them.

Blender's picture (Blender manual, "Cameras"): with the sensor fitted horizontally its width lies behind the focal
length, and its height follows from the render's size and the shape of its pixels. A shift moves the window of the
picture to the right and up, in widths of the sensor.
"""

from collections.abc import Mapping
from typing import Any

from meshcli.export.film_back import film_back
from meshcli.export.frames import pose_to_blender
from meshcli.export.program_folder import program_folder
from meshcli.export.scene import Scene, SceneCamera

SCRIPT = "open_in_blender.py"


def blender_files(scene: Scene, pictures: Mapping[str, bytes], *, jpeg_quality: int | None = None) -> dict[str, bytes]:
    """Contents by path in the folder, deterministic; `pictures` by the cameras' `picture`.

    InputError for a mesh without faces or with a vertex that is no number.
    """
    return program_folder(scene, pictures, SCRIPT, _numbers, jpeg_quality=jpeg_quality)


def _numbers(camera: SceneCamera) -> dict[str, Any]:
    """A camera in Blender: metres, millimetres, and the shape of pixels, of which one side is 1 and none is less."""
    lens = film_back(camera)
    tall = lens.height / lens.width * camera.width / camera.height  # a pixel's height in widths of it
    return {
        "blender": {
            "matrix_world": pose_to_blender(camera.camera.camera_to_world).tolist(),
            "lens": lens.focal_length,
            "sensor_width": lens.width,
            "shift_x": lens.right / lens.width,
            "shift_y": lens.up / lens.width,
            "pixel_aspect_x": max(1.0, 1.0 / tall),
            "pixel_aspect_y": max(1.0, tall),
        }
    }
