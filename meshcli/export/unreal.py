"""A folder for Unreal Engine: mesh, texture, pictures, cameras, and a script that puts them into a level.

frames.py says how the engine's importer of glTF turns the axes; a USD file beside it has y up, so that the engine's
importer of USD, which exchanges y and z then, puts it into the same place (USDCore, UsdToUnreal::ConvertTransform).

The engine's picture (CinematicCamera, CineCameraComponent.cpp; Engine, CameraStackTypes.cpp): the horizontal field of
view is that of a sensor of this width behind this focal length, the picture has the sensor's aspect ratio, and a sensor
that is offset to the right or upwards moves what it sees to the left or downwards. Engines before 5.5 know no offset.
"""

from collections.abc import Mapping
from typing import Any

from meshcli.errors import MissingError
from meshcli.export.film_back import film_back
from meshcli.export.frames import pose_to_unreal
from meshcli.export.opentrackio import opentrackio_files
from meshcli.export.program_folder import program_folder
from meshcli.export.scene import Scene, SceneCamera
from meshcli.export.usd import write_usd
from meshcli.pictures.image import encode_texture

SCRIPT = "import_into_unreal.py"


def unreal_files(scene: Scene, pictures: Mapping[str, bytes], *, jpeg_quality: int | None = None) -> dict[str, bytes]:
    """Contents by path in the folder, deterministic; `pictures` by the cameras' `picture`.

    There is no USD file where usd-core is not installed. InputError for a mesh without faces or with a vertex that is
    no number.
    """
    files = program_folder(scene, pictures, SCRIPT, _numbers, jpeg_quality=jpeg_quality)
    if scene.mesh.texture is not None:
        ending, data = encode_texture(scene.mesh.texture.image, jpeg_quality)
        files[f"textures/{scene.name}_base_colour.{ending}"] = data
    files |= {f"opentrackio/{name}": data for name, data in opentrackio_files(scene).items()}
    try:
        usd = write_usd(scene, up="y", jpeg_quality=jpeg_quality)
    except MissingError:
        return files
    return {**files, **{f"usd/{name}": data for name, data in usd.items()}}


def _numbers(camera: SceneCamera) -> dict[str, Any]:
    """A CineCameraActor: centimetres, degrees, millimetres."""
    location, rotation = pose_to_unreal(camera.camera.camera_to_world)
    lens = film_back(camera)
    return {
        "unreal": {
            "location": location,
            "rotation": rotation,
            "focal_length": lens.focal_length,
            "sensor_width": lens.width,
            "sensor_height": lens.height,
            "sensor_horizontal_offset": lens.right,
            "sensor_vertical_offset": lens.up,
        }
    }
