"""Puts the object of this folder and its cameras into the level that is open in the Unreal Editor.

Tools > Execute Python Script..., and choose this file; the plugin Python Editor Script Plugin must be on. Assets go to
/Game/meshcli/NAME, and nothing happens where that folder exists already. Nothing is saved: File > Save All does that.
"""

import json
from pathlib import Path
from typing import Any

import unreal

FOLDER = Path(__file__).resolve().parent


def main() -> None:
    """Import the mesh, build its material, and place it and the cameras; all is one step to undo."""
    scene = json.loads((FOLDER / "cameras.json").read_text(encoding="utf-8"))
    destination = f"/Game/meshcli/{scene['name']}"
    assets = unreal.get_editor_subsystem(unreal.EditorAssetSubsystem)
    if assets.does_directory_exist(destination):
        unreal.log_error(f"{destination} exists already: rename or delete it, and run this script again")
        return
    with unreal.ScopedEditorTransaction(f"Import {scene['name']}"):
        imported = import_file(FOLDER / scene["mesh"], destination, assets)
        mesh = next((asset for asset in imported if isinstance(asset, unreal.StaticMesh)), None)
        if mesh is None:
            unreal.log_error(f"{scene['mesh']} brought no static mesh: are the plugins for glTF and Interchange on?")
            return
        mesh.set_material(0, build_material(scene["name"], destination, imported, assets))
        place_mesh(mesh, scene["name"])
        for camera in scene["cameras"]:
            place_camera(camera, scene["name"])
    unreal.log(f"{scene['name']}: the mesh and {len(scene['cameras'])} cameras are placed, and not saved")


def import_file(path: Path, destination: str, assets: Any) -> list[Any]:
    """Import a file without dialogs; the assets that came of it."""
    task = unreal.AssetImportTask()
    task.set_editor_property("filename", str(path))
    task.set_editor_property("destination_path", destination)
    task.set_editor_property("automated", True)
    task.set_editor_property("replace_existing", False)
    task.set_editor_property("save", False)
    unreal.AssetToolsHelpers.get_asset_tools().import_asset_tasks([task])
    return [assets.load_asset(path) for path in task.get_editor_property("imported_object_paths")]


def build_material(name: str, destination: str, imported: list[Any], assets: Any) -> Any:
    """A rough surface that shows the texture, or the colours of the vertices where there is none."""
    tools = unreal.AssetToolsHelpers.get_asset_tools()
    material = tools.create_asset(f"M_{name}", destination, unreal.Material, unreal.MaterialFactoryNew())
    texture = next((asset for asset in imported if isinstance(asset, unreal.Texture2D)), None)
    files = sorted((FOLDER / "textures").glob("*"))
    if texture is None and files:
        found = import_file(files[0], destination, assets)
        texture = next((asset for asset in found if isinstance(asset, unreal.Texture2D)), None)
    editing = unreal.MaterialEditingLibrary
    if texture is not None:
        colour = editing.create_material_expression(material, unreal.MaterialExpressionTextureSample, -400, 0)
        colour.set_editor_property("texture", texture)
        editing.connect_material_property(colour, "RGB", unreal.MaterialProperty.MP_BASE_COLOR)
    else:
        colour = editing.create_material_expression(material, unreal.MaterialExpressionVertexColor, -400, 0)
        editing.connect_material_property(colour, "", unreal.MaterialProperty.MP_BASE_COLOR)
    rough = editing.create_material_expression(material, unreal.MaterialExpressionConstant, -400, 300)
    rough.set_editor_property("r", 1.0)
    editing.connect_material_property(rough, "", unreal.MaterialProperty.MP_ROUGHNESS)
    editing.recompile_material(material)
    return material


def place_mesh(mesh: Any, name: str) -> None:
    """Place the mesh at the origin, unturned: the cameras are relative to that."""
    actors = unreal.get_editor_subsystem(unreal.EditorActorSubsystem)
    actor = actors.spawn_actor_from_object(mesh, unreal.Vector(x=0.0, y=0.0, z=0.0))
    actor.set_actor_label(name)
    actor.set_folder_path(f"meshcli/{name}")


def place_camera(camera: dict[str, Any], name: str) -> None:
    """Place a CineCameraActor."""
    numbers = camera["unreal"]
    x, y, z = numbers["location"]
    turn = numbers["rotation"]
    actors = unreal.get_editor_subsystem(unreal.EditorActorSubsystem)
    actor = actors.spawn_actor_from_class(
        unreal.CineCameraActor,
        unreal.Vector(x=x, y=y, z=z),
        unreal.Rotator(roll=turn["roll"], pitch=turn["pitch"], yaw=turn["yaw"]),
    )
    actor.set_actor_label(f"{name}_{camera['name']}")
    actor.set_folder_path(f"meshcli/{name}")
    actor.set_editor_property("tags", [camera["kind"], camera["picture"]] if camera["picture"] else [camera["kind"]])
    set_lens(actor.get_cine_camera_component(), numbers, camera["name"])


def set_lens(component: Any, numbers: dict[str, float], name: str) -> None:
    """Set the filmback and the focal length; everything is in focus, as in the photos' model."""
    filmback = component.get_editor_property("filmback")
    filmback.set_editor_property("sensor_width", numbers["sensor_width"])
    filmback.set_editor_property("sensor_height", numbers["sensor_height"])
    for key in ("sensor_horizontal_offset", "sensor_vertical_offset"):
        try:
            filmback.set_editor_property(key, numbers[key])
        except Exception:  # the editor raises plain exceptions; engines before 5.5 have no such property
            if abs(numbers[key]) > 0.01:
                unreal.log_warning(f"{name}: this engine cannot offset a sensor, by {numbers[key]:.2f} mm here ({key})")
    component.set_editor_property("filmback", filmback)
    lens = component.get_editor_property("lens_settings")
    focal_length = numbers["focal_length"]
    lens.set_editor_property("min_focal_length", min(focal_length, lens.get_editor_property("min_focal_length")))
    lens.set_editor_property("max_focal_length", max(focal_length, lens.get_editor_property("max_focal_length")))
    component.set_editor_property("lens_settings", lens)
    component.set_editor_property("current_focal_length", focal_length)
    focus = component.get_editor_property("focus_settings")
    focus.set_editor_property("focus_method", unreal.CameraFocusMethod.DISABLE)
    component.set_editor_property("focus_settings", focus)
    component.set_editor_property("constrain_aspect_ratio", True)


main()
