"""Render the example photos of the desk: python examples/render_desk_photos.py [--quick] [--only N] [--folder DIR].

Writes 1.png, 2.png, 3.png and cameras.json into examples/desk. The same machine and versions give the same pictures.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import desk_model
import numpy as np
from path_tracer import AreaLight, Material, PathTracer, SceneDescription
from PIL import Image

from meshcli.arrays import Array
from meshcli.views.camera import Camera

SIZE = 800  # pixels


def main() -> None:
    """Write the photos and their cameras."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small and grainy, to look at")
    parser.add_argument("--only", type=int, help="number of the one photo to take")
    parser.add_argument("--folder", type=Path, default=desk_model.FOLDER)
    arguments = parser.parse_args()
    size, samples = (400, 2) if arguments.quick else (SIZE, 4)
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for number, camera in enumerate(desk_model.cameras(), start=1):
        if arguments.only in (None, number):
            photo = photograph(camera, size, samples)
            Image.fromarray(photo).save(arguments.folder / f"{number}.png", optimize=True)
    rig = [{"file": f"{n}.png", "camera": camera.to_json()} for n, camera in enumerate(desk_model.cameras(), start=1)]
    text = json.dumps({"meshcli": 1, "photos": rig}, indent=2) + "\n"
    (arguments.folder / "cameras.json").write_text(text, encoding="utf-8")


def photograph(camera: Camera, size: int, samples: int) -> Array:
    """One photo, RGBA uint8 with straight alpha."""
    model = desk_model.build()
    shift, scale = desk_model.placement(model)
    materials = [
        Material((182, 128, 79), 0.42, wood=0.85),
        Material((46, 57, 66), 0.38, mottle=0.10),
        Material((24, 24, 26), 0.45),
        Material((196, 190, 180), 0.30, mottle=0.22),
        Material((214, 170, 98), 0.34, gloss=1.0),
        Material((176, 104, 78), 0.60, mottle=0.15),
        Material((74, 112, 52), 0.55, mottle=0.9),
        Material((226, 219, 205), 0.60),
        Material((140, 52, 44), 0.60, mottle=0.12),
    ]
    lamp = AreaLight((0.458, -1.02, 1.0385), ((0.0, 1.64, 0.0), (0.018, 0.0, 0.0)), (110.0, 78.0, 46.0))
    scene = SceneDescription(
        np.concatenate(model.vertices),
        np.concatenate(model.normals),
        np.concatenate(model.faces),
        np.concatenate(model.material),
        np.concatenate(model.board),
        np.concatenate(model.grain),
        materials,
        lamp,
    )
    picture = PathTracer(scene).render(in_metres(camera, shift, scale), size, samples, np.random.default_rng(1))
    return np.rint(255.0 * picture).astype(np.uint8)


def in_metres(camera: Camera, shift: Array, scale: float) -> Camera:
    """The camera moved into the model's own frame."""
    rows = [(*row[:3], row[3] / scale + move) for row, move in zip(camera.camera_to_world[:3], shift, strict=True)]
    return replace(camera, camera_to_world=(*rows, camera.camera_to_world[3]))


if __name__ == "__main__":
    main()
