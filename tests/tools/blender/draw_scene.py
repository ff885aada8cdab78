"""Draw a folder for Blender as one picture: the object on a floor, each photo's camera as a pyramid with the photo.

BLENDER_PYTHON tests/tools/blender/draw_scene.py FOLDER PICTURE.png
"""

import runpy
import sys
from pathlib import Path

import bpy
from mathutils import Matrix, Vector

WIDTH, HEIGHT = 1200, 560
SAMPLES = 64
PYRAMID = 0.4  # of the distance to the object's middle
LINE = 0.008  # metres: radius
ORANGE = (0.9, 0.32, 0.05)
EYE, AT = (7.7, -6.9, 4.4), (0.0, 0.0, 0.95)  # metres: where the picture is taken from, and what is in its middle


def light(colour: tuple, strength: float = 1.0) -> "bpy.types.Material":
    """A material that shines by itself."""
    material = bpy.data.materials.new("light")
    with_nodes(material)
    nodes = material.node_tree.nodes
    nodes.clear()
    emission, output = nodes.new("ShaderNodeEmission"), nodes.new("ShaderNodeOutputMaterial")
    emission.inputs["Color"].default_value = (*colour, 1.0)
    emission.inputs["Strength"].default_value = strength
    material.node_tree.links.new(emission.outputs[0], output.inputs[0])
    return material


def with_nodes(material: "bpy.types.Material") -> None:
    if bpy.app.version < (5, 0, 0):  # since then materials always have nodes
        material.use_nodes = True


def card(image: "bpy.types.Image") -> "bpy.types.Material":
    """A photo on white paper that shines by itself, so that its colours are those of the photo."""
    material = light((1.0, 1.0, 1.0))
    nodes, links = material.node_tree.nodes, material.node_tree.links
    texture, mix = nodes.new("ShaderNodeTexImage"), nodes.new("ShaderNodeMix")
    texture.image, mix.data_type = image, "RGBA"
    colours = [socket for socket in mix.inputs if socket.type == "RGBA"]
    colours[0].default_value = (0.93, 0.93, 0.93, 1.0)
    links.new(texture.outputs["Color"], colours[1])
    links.new(texture.outputs["Alpha"], next(socket for socket in mix.inputs if socket.type == "VALUE"))
    result = next(socket for socket in mix.outputs if socket.type == "RGBA")
    links.new(result, next(node for node in nodes if node.type == "EMISSION").inputs["Color"])
    return material


def line(scene: "bpy.types.Scene", points: list, radius: float, material: "bpy.types.Material") -> None:
    """A closed line of this thickness."""
    curve = bpy.data.curves.new("line", "CURVE")
    curve.dimensions, curve.bevel_depth, curve.bevel_resolution = "3D", radius, 3
    spline = curve.splines.new("POLY")
    spline.points.add(len(points) - 1)
    for point, place in zip(spline.points, points, strict=True):
        point.co = (*place, 1.0)
    spline.use_cyclic_u = True
    curve.materials.append(material)
    scene.collection.objects.link(bpy.data.objects.new("line", curve))


def pyramid(scene: "bpy.types.Scene", camera: "bpy.types.Object") -> None:
    """What a camera sees, from its centre to a part of the distance, and its picture there."""
    data = camera.data
    middle = Vector((0.0, 0.0, 0.5))
    depth = PYRAMID * (camera.matrix_world.translation - middle).length
    width = depth * data.sensor_width / data.lens
    height = width * camera["height"] * camera["pixel_aspect"][1] / (camera["width"] * camera["pixel_aspect"][0])
    x, y = data.shift_x * width, data.shift_y * width
    corners = [(x + sx * width / 2, y + sy * height / 2) for sx, sy in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    places = [camera.matrix_world @ Vector((*corner, -depth)) for corner in corners]
    material = light(ORANGE)
    line(scene, places, LINE, material)
    for first, second in ((0, 1), (2, 3)):
        line(scene, [camera.matrix_world.translation, places[first], places[second]], LINE, material)
    mesh = bpy.data.meshes.new("card")
    mesh.from_pydata(places, [], [(0, 1, 2, 3)])
    for loop, uv in zip(mesh.uv_layers.new().data, ((0, 0), (1, 0), (1, 1), (0, 1)), strict=True):
        loop.uv = uv
    mesh.materials.append(card(data.background_images[0].image))
    scene.collection.objects.link(bpy.data.objects.new("card", mesh))


def studio(scene: "bpy.types.Scene") -> None:
    """A light floor, a large soft light from above left, and a dim sky."""
    floor = bpy.data.meshes.new("floor")
    floor.from_pydata([(-60, -60, 0), (60, -60, 0), (60, 60, 0), (-60, 60, 0)], [], [(0, 1, 2, 3)])
    paper = bpy.data.materials.new("paper")
    with_nodes(paper)
    surface = next(node for node in paper.node_tree.nodes if node.type == "BSDF_PRINCIPLED")
    surface.inputs["Base Color"].default_value, surface.inputs["Roughness"].default_value = (0.62, 0.63, 0.65, 1.0), 1.0
    floor.materials.append(paper)
    scene.collection.objects.link(bpy.data.objects.new("floor", floor))
    lamp = bpy.data.lights.new("lamp", "AREA")
    lamp.energy, lamp.size = 380.0, 9.0
    held = bpy.data.objects.new("lamp", lamp)
    held.matrix_world = looking((-3.0, -3.5, 6.0), (0.0, 0.0, 0.3))
    scene.collection.objects.link(held)
    for node in scene.world.node_tree.nodes:
        if node.type == "BACKGROUND":
            node.inputs["Color"].default_value, node.inputs["Strength"].default_value = (0.82, 0.87, 0.95, 1.0), 0.62


def looking(place: tuple, at: tuple) -> Matrix:
    """The pose of a camera or lamp."""
    turn = (Vector(at) - Vector(place)).to_track_quat("-Z", "Y")
    return Matrix.LocRotScale(Vector(place), turn, None)


def main(folder: Path, picture: Path) -> None:
    sys.argv = ["blender"]
    runpy.run_path(str(folder / "open_in_blender.py"))
    scene = bpy.context.window_manager.windows[0].scene
    cameras = [marker.camera for marker in scene.timeline_markers]
    for camera in cameras:
        if camera["kind"] == "photo":
            pyramid(scene, camera)
    studio(scene)
    lens = bpy.data.cameras.new("eye")
    lens.lens, lens.sensor_width = 37.0, 36.0
    eye = bpy.data.objects.new("eye", lens)
    eye.matrix_world = looking(EYE, AT)
    scene.collection.objects.link(eye)
    scene.timeline_markers.clear()  # the frame's camera would look instead
    scene.camera = eye
    scene.render.engine, scene.render.film_transparent = "CYCLES", False
    scene.cycles.samples, scene.cycles.use_denoising = SAMPLES, True
    scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = WIDTH, HEIGHT, 100
    scene.render.pixel_aspect_x = scene.render.pixel_aspect_y = 1.0
    scene.render.image_settings.file_format, scene.render.image_settings.color_mode = "PNG", "RGB"
    scene.render.dither_intensity = 0.0  # noise that a PNG keeps
    scene.render.image_settings.compression = 100
    scene.render.filepath = str(picture.absolute())
    bpy.ops.render.render(write_still=True, scene=scene.name)


main(Path(sys.argv[1]), Path(sys.argv[2]))
