"""Measure `sculpt` on bodies of revolution that are given by profiles: python tests/bench/lathed.py [NAME...].

Three photos at 0, 120, 240 and three at 0, 45, -45, elevation 10, of 320 pixels. CD and F beside the truth, with
`sculpt.revolution` off and on; the mug has a handle and is none.
"""

import time
from functools import cache

import numpy as np
import trimesh
from fit_meshes import parse
from measure import Array, shape, visible_samples

from meshcli.generators.sculpt.sculpt import sculpt
from meshcli.meshes.mesh import Mesh
from meshcli.progress import silent
from meshcli.rendering.renderer import Renderer
from meshcli.settings import FitSettings, SculptSettings
from meshcli.views.camera import orbit
from meshcli.views.view import View

SETS = {"round": (0.0, 120.0, 240.0), "one side": (0.0, 45.0, -45.0)}
ELEVATION, SIZE, SAMPLES = 10.0, 320, 4
HEIGHTS = np.linspace(-0.85, 0.85, 80)
PROFILES = {
    "can": np.full(80, 0.5),
    "vase": 0.32 + 0.14 * np.sin(3.2 * HEIGHTS + 0.5),
    "bottle": np.interp(HEIGHTS, [-0.85, 0.1, 0.35, 0.85], [0.3, 0.3, 0.1, 0.1]),
    "mug": np.full(80, 0.45),
}


def main() -> None:
    """Print one line per body and set of photos."""
    print("| body | photos | off: CD / F | seconds | on: CD / F | seconds |\n|---|---|---|---|---|---|")
    for name in parse(__doc__ or "", tuple(PROFILES)).names:
        for label, azimuths in SETS.items():
            cells = []
            for on in (False, True):
                start = time.perf_counter()
                settings = SculptSettings(revolution=on)
                made = sculpt(photos(name, azimuths), settings, FitSettings(), range(3), silent).mesh
                chamfer, f = shape(made.vertices, made.faces, samples(name))
                cells += [f"{chamfer:.4f} / {f:.2f}", f"{time.perf_counter() - start:.1f}"]
            print(f"| {name} | {label} | {' | '.join(cells)} |", flush=True)


@cache
def truth(name: str) -> Mesh:
    """A lathed profile in mid grey, and the mug's handle."""
    line = np.column_stack([PROFILES[name], HEIGHTS * (0.65 if name in ("can", "mug") else 1.0)])
    line = np.vstack([[[0.0, line[0, 1]]], line, [[0.0, line[-1, 1]]]])
    body = trimesh.creation.revolve(line, sections=180)
    if name == "mug":
        handle = trimesh.creation.torus(0.28, 0.06)
        handle.apply_transform(trimesh.transformations.rotation_matrix(np.pi / 2.0, [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]))
        body = body + handle.apply_translation([0.45, 0.0, 0.0])
    grey = np.full((len(body.vertices), 3), 128, np.uint8)
    return Mesh(body.vertices.astype(np.float32), body.faces.astype(np.int32), grey)


@cache
def samples(name: str) -> Array:
    """Of the true surface that is seen from outside, (N, 3)."""
    return visible_samples(truth(name).vertices, truth(name).faces)


def photos(name: str, azimuths: tuple[float, ...]) -> list[View]:
    """Unlit photos."""
    cameras = [orbit(azimuth, ELEVATION, known="given") for azimuth in azimuths]
    renderer = Renderer(truth(name))
    return [
        View(letter, renderer.render(camera, SIZE, SIZE, SAMPLES), camera)
        for letter, camera in zip("abc", cameras, strict=True)
    ]


if __name__ == "__main__":
    main()
