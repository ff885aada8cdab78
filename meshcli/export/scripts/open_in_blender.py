"""Opens the object of this folder in Blender, with its cameras and the pictures that they took.

    blender --python open_in_blender.py
    blender --background --python open_in_blender.py -- --save scene.blend

or open this file in Blender's text editor and run it. It makes a new scene and leaves all others alone. Each camera has
a frame of the timeline: going through the frames looks through one camera after the other. Nothing is saved unless
--save names a file that does not exist yet.
"""

import json
import sys
from pathlib import Path
from typing import Any

import bpy
from bpy.app.handlers import persistent
from mathutils import Matrix, Vector


def main() -> None:
    """Make the scene."""
    folder = this_folder()
    table = json.loads((folder / "cameras.json").read_text(encoding="utf-8"))
    scene = new_scene(table["name"])
    mesh = import_mesh(folder / table["mesh"], table["name"])
    cameras = bpy.data.collections.new(f"{table['name']} cameras")
    scene.collection.children.link(cameras)
    middle = mesh.matrix_world @ (sum((Vector(corner) for corner in mesh.bound_box), Vector()) / 8.0)
    for frame, row in enumerate(table["cameras"], 1):
        camera = add_camera(row, folder, cameras, middle)
        marker = scene.timeline_markers.new(row["name"], frame=frame)
        marker.camera = camera
        scene.camera = scene.camera or camera
    scene.frame_start, scene.frame_end = 1, max(1, len(table["cameras"]))
    if match_render_size not in bpy.app.handlers.frame_change_pre:
        bpy.app.handlers.frame_change_pre.append(match_render_size)
    scene.frame_set(1)
    match_render_size(scene)
    save(sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else [])


def this_folder() -> Path:
    """The folder of this file, in Blender's text editor too, where __file__ is a name within the blend file."""
    texts = [Path(bpy.path.abspath(text.filepath)) for text in bpy.data.texts if text.filepath]
    for path in (Path(__file__), *texts):
        if path.name.startswith("open_in_blender") and (path.parent / "cameras.json").is_file():
            return path.resolve().parent
    raise FileNotFoundError("cameras.json is not found beside this script: run it from the folder that meshcli wrote")


def new_scene(name: str) -> Any:
    """An empty scene, shown; its colours are those of the pictures, not a film's."""
    scene = bpy.data.scenes.new(name)
    for window in bpy.context.window_manager.windows:
        window.scene = scene
    scene.display_settings.display_device = "sRGB"
    scene.view_settings.view_transform = "Standard"
    scene.view_settings.look = "None"
    scene.view_settings.exposure, scene.view_settings.gamma = 0.0, 1.0
    scene.unit_settings.system = "METRIC"
    scene.render.film_transparent = True
    scene.world = white_world(f"{name} light")
    return scene


def white_world(name: str) -> Any:
    """White light from all sides, as in a photographer's tent: without any, renders would be black."""
    world = bpy.data.worlds.new(name)
    world.color = (1.0, 1.0, 1.0)
    if bpy.app.version < (5, 0, 0):  # since then worlds always have nodes
        world.use_nodes = True
    nodes = world.node_tree.nodes
    background = nodes.get("Background") or nodes.new("ShaderNodeBackground")
    background.inputs["Color"].default_value = (1.0, 1.0, 1.0, 1.0)
    background.inputs["Strength"].default_value = 1.0
    output = next((node for node in nodes if node.type == "OUTPUT_WORLD"), None) or nodes.new("ShaderNodeOutputWorld")
    world.node_tree.links.new(background.outputs["Background"], output.inputs["Surface"])
    return world


def import_mesh(path: Path, name: str) -> Any:
    """The mesh as an object of this name, with its place and size in its vertices."""
    before = set(bpy.data.objects)
    bpy.ops.import_scene.gltf(filepath=str(path))
    added = [thing for thing in bpy.data.objects if thing not in before]
    mesh = next(thing for thing in added if thing.type == "MESH")
    world = mesh.matrix_world.copy()
    mesh.parent = None
    mesh.data.transform(world)
    mesh.matrix_world = Matrix.Identity(4)
    for thing in added:
        if thing.type == "EMPTY":
            bpy.data.objects.remove(thing)
    mesh.name = mesh.data.name = name
    return mesh


def add_camera(row: dict[str, Any], folder: Path, collection: Any, middle: Any) -> Any:
    """A camera, with its picture in front of what it sees, half transparent."""
    numbers = row["blender"]
    data = bpy.data.cameras.new(row["name"])
    data.sensor_fit, data.sensor_width, data.lens = "HORIZONTAL", numbers["sensor_width"], numbers["lens"]
    data.shift_x, data.shift_y = numbers["shift_x"], numbers["shift_y"]
    camera = bpy.data.objects.new(row["name"], data)
    camera.matrix_world = Matrix(numbers["matrix_world"])
    distance = max((camera.matrix_world.translation - middle).length, 1e-6)
    data.clip_start, data.clip_end = distance / 100.0, distance * 100.0
    data.display_size = distance / 6.0
    for key in ("kind", "picture", "width", "height"):
        camera[key] = row[key]
    camera["pixel_aspect"] = [numbers["pixel_aspect_x"], numbers["pixel_aspect_y"]]
    collection.objects.link(camera)
    if row["picture"]:
        background = data.background_images.new()
        background.image = bpy.data.images.load(str(folder / row["picture"]), check_existing=True)
        background.alpha, background.frame_method, background.display_depth = 0.5, "FIT", "FRONT"
        data.show_background_images = True
    return camera


@persistent  # type: ignore[untyped-decorator]  # stays when another file is opened, and then finds no such cameras
def match_render_size(scene: Any, *_: Any) -> None:
    """Give renders the size of the picture that the frame's camera took."""
    markers = [each for each in scene.timeline_markers if each.camera and each.frame <= scene.frame_current]
    camera = max(markers, key=lambda each: each.frame).camera if markers else None
    if camera is None or "pixel_aspect" not in camera:
        return
    render = scene.render
    render.resolution_x, render.resolution_y, render.resolution_percentage = camera["width"], camera["height"], 100
    render.pixel_aspect_x, render.pixel_aspect_y = camera["pixel_aspect"]


def save(arguments: list[str]) -> None:
    """Save the file where --save asks for it; never over one that exists."""
    if "--save" not in arguments:
        return
    path = Path(arguments[arguments.index("--save") + 1]).absolute()
    if path.exists():
        raise FileExistsError(f"{path} exists already; name another file")
    bpy.ops.wm.save_as_mainfile(filepath=str(path))


main()
