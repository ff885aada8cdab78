"""Run the script of a folder for Blender in Blender's Python module, and write what came of it as JSON.

    BLENDER_PYTHON tests/tools/blender/inspect_scene.py FOLDER RESULT.json [CAMERA=PICTURE.png ...]

Pictures are rendered through these cameras by Cycles, with the texture as light of its own: unlit, as meshcli renders.
"""

import json
import runpy
import sys
from pathlib import Path

import bpy

SAMPLES = 32  # rays a pixel


def inspect(scene: "bpy.types.Scene") -> dict:
    mesh = next(thing for thing in scene.objects if thing.type == "MESH")
    corners = [list(mesh.matrix_world @ vertex.co) for vertex in mesh.data.vertices]
    return {
        "scenes": sorted(each.name for each in bpy.data.scenes),
        "others": sorted(thing.name for each in bpy.data.scenes if each is not scene for thing in each.objects),
        "kinds": sorted(thing.type for thing in scene.objects),
        "low": [min(axis) for axis in zip(*corners, strict=True)],
        "high": [max(axis) for axis in zip(*corners, strict=True)],
        "corners": corners,
        "pivot": list(mesh.matrix_world.translation),
        "scale": list(mesh.scale),
        "view_transform": scene.view_settings.view_transform,
        "look": scene.view_settings.look,
        "saved": bpy.data.filepath,
        "cameras": {marker.name: inspect_camera(scene, marker) for marker in scene.timeline_markers},
    }


def inspect_camera(scene: "bpy.types.Scene", marker: "bpy.types.TimelineMarker") -> dict:
    scene.frame_set(marker.frame)
    camera, render = scene.camera, scene.render
    projection = camera.calc_matrix_camera(
        bpy.context.evaluated_depsgraph_get(),
        x=render.resolution_x, y=render.resolution_y,
        scale_x=render.pixel_aspect_x, scale_y=render.pixel_aspect_y,
    )  # fmt: skip
    backgrounds = camera.data.background_images
    return {
        "object": camera.name,
        "matrix_world": [list(row) for row in camera.matrix_world],
        "projection": [list(row) for row in projection],
        "lens": camera.data.lens,
        "sensor_width": camera.data.sensor_width,
        "sensor_fit": camera.data.sensor_fit,
        "shift": [camera.data.shift_x, camera.data.shift_y],
        "size": [render.resolution_x, render.resolution_y, render.resolution_percentage],
        "pixel_aspect": [render.pixel_aspect_x, render.pixel_aspect_y],
        "shown": camera.data.show_background_images,
        "backgrounds": [
            {"size": list(each.image.size), "alpha": each.alpha, "fit": each.frame_method} for each in backgrounds
        ],
    }


def unlit(material: "bpy.types.Material") -> None:
    """Give a material light of its base colour alone."""
    tree = material.node_tree
    surface = next(node for node in tree.nodes if node.type == "BSDF_PRINCIPLED")
    emission = tree.nodes.new("ShaderNodeEmission")
    base = surface.inputs["Base Color"]
    if base.is_linked:
        tree.links.new(base.links[0].from_socket, emission.inputs["Color"])
    else:
        emission.inputs["Color"].default_value = base.default_value
    output = next(node for node in tree.nodes if node.type == "OUTPUT_MATERIAL")
    tree.links.new(emission.outputs["Emission"], output.inputs["Surface"])


def render(scene: "bpy.types.Scene", camera: str, path: Path) -> None:
    scene.frame_set(next(marker.frame for marker in scene.timeline_markers if marker.name == camera))
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.use_denoising, scene.cycles.use_adaptive_sampling = SAMPLES, False, False
    scene.render.image_settings.file_format, scene.render.image_settings.color_mode = "PNG", "RGBA"
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True, scene=scene.name)


def main(folder: Path, result: Path, pictures: list[str]) -> None:
    sys.argv = ["blender"]
    runpy.run_path(str(folder / "open_in_blender.py"))
    scene = bpy.context.window_manager.windows[0].scene
    result.write_text(json.dumps(inspect(scene)))
    for material in bpy.data.materials if pictures else ():
        if material.node_tree and any(node.type == "BSDF_PRINCIPLED" for node in material.node_tree.nodes):
            unlit(material)
    for each in pictures:
        camera, path = each.split("=", 1)
        render(scene, camera, Path(path).absolute())


main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
