"""Scenes with cameras of every kind: off centre, of pixels that are not square, tilted, and from straight above."""

from dataclasses import replace

import numpy as np

from meshcli.export.scene import Scene, SceneCamera
from meshcli.meshes.mesh import Mesh
from meshcli.views.camera import Camera, orbit
from meshcli.views.projection import project

CENTRE = (0.5, 0.05, 0.2)
SIZES = {
    "photo_a": (640, 480),
    "photo_b": (300, 400),
    "view_a3": (320, 320),
    "above": (200, 100),
    "turntable": (64, 64),
}


def scene_of(mesh: Mesh) -> Scene:
    """A chair with five cameras."""
    upright = orbit(20.0, 10.0, 3.0, 40.0, centre=CENTRE)
    cameras = {
        "photo_a": replace(upright, fx=upright.fy * 480 / 640, cx=0.47, cy=0.56),
        "photo_b": _tilted(orbit(215.0, -15.0, 2.5, 50.0, centre=CENTRE), 25.0),
        "view_a3": orbit(110.0, 30.0, 4.0, centre=CENTRE),
        "above": replace(orbit(0.0, 90.0, 3.0, 35.0, centre=CENTRE), fx=1.3, cy=0.4),  # and wide pixels
        "turntable": orbit(0.0, 20.0, 4.0, centre=CENTRE),
    }
    kinds = {"photo_a": "photo", "photo_b": "photo", "turntable": "turntable"}
    pictures = {
        "photo_a": "photos/a.png",
        "photo_b": "photos/b.jpg",
        "view_a3": "views/03.png",
        "above": "views/04.png",
    }
    return Scene(
        "chair",
        mesh,
        tuple(
            SceneCamera(name, kinds.get(name, "view"), camera, *SIZES[name], pictures.get(name, ""))  # type: ignore[arg-type]
            for name, camera in cameras.items()
        ),
        size_known=True,
    )


def pixels_of(camera: SceneCamera, points: np.ndarray) -> np.ndarray:
    """Where a camera sees points (N, 3) of the scene, (N, 2) in pixels of its picture."""
    return project(camera.camera, points, camera.width, camera.height)[0]


def _tilted(camera: Camera, degrees: float) -> Camera:
    """Rolled about its viewing direction."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    rows = tuple(
        (cosine * right + sine * up, cosine * up - sine * right, back, place)
        for right, up, back, place in camera.camera_to_world[:3]
    )
    return replace(camera, camera_to_world=(*rows, camera.camera_to_world[3]))
