"""Measure `sculpt` on bodies of revolution that are given by profiles: python tests/bench/lathed.py [NAME...].

Three photos at 0, 120, 240 and three at 0, 45, -45, elevation 10, of 320 pixels. CD and F beside the truth, with
`sculpt.revolution` off and on. The last ones have handles and spouts. --grey writes clay renders from the front, from
the side and from above: the truth, off and on.
"""

import sys
import time
from functools import cache
from pathlib import Path

import numpy as np
import trimesh
from fit_meshes import parse
from measure import Array, on_white, shape, visible_samples
from PIL import Image

from meshcli.generators.sculpt.sculpt import sculpt
from meshcli.meshes.mesh import Mesh
from meshcli.progress import silent
from meshcli.rendering.renderer import Renderer
from meshcli.settings import FitSettings, SculptSettings
from meshcli.views.camera import orbit
from meshcli.views.view import View

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))
from clay_rendering import render_clay

SETS = {"round": (0.0, 120.0, 240.0), "one side": (0.0, 45.0, -45.0)}
ELEVATION, SIZE, SAMPLES = 10.0, 320, 4
HEIGHTS = np.linspace(-0.85, 0.85, 80)
LOW = 0.65 * HEIGHTS
TEAPOT = np.linspace(-0.4, 0.42, 80)
CAN = np.linspace(-0.5, 0.25, 60)
PROFILES = {
    "can": (LOW, np.full(80, 0.5)),
    "vase": (HEIGHTS, 0.32 + 0.14 * np.sin(3.2 * HEIGHTS + 0.5)),
    "bottle": (HEIGHTS, np.interp(HEIGHTS, [-0.85, 0.1, 0.35, 0.85], [0.3, 0.3, 0.1, 0.1])),
    "mug": (LOW, np.full(80, 0.45)),
    "teapot": (
        TEAPOT,
        np.interp(TEAPOT, [-0.4, -0.35, -0.15, 0.05, 0.25, 0.33, 0.41], [0.3, 0.38, 0.47, 0.44, 0.27, 0.2, 0.05]),
    ),
    "two handles": (HEIGHTS, 0.3 + 0.12 * np.sin(3.2 * HEIGHTS + 0.5)),
    "watering can": (CAN, np.interp(CAN, [-0.5, 0.1, 0.25], [0.38, 0.38, 0.3])),
}
ALONG = np.linspace(0.0, 1.0, 40)
CAMERAS = [orbit(0.0, 10.0), orbit(90.0, 10.0), orbit(0.0, 80.0)]


def main() -> None:
    """Print one line per body and set of photos."""
    print("| body | photos | off: CD / F | seconds | on: CD / F | seconds |\n|---|---|---|---|---|---|")
    arguments = parse(__doc__ or "", tuple(PROFILES))
    for name in arguments.names:
        for label, azimuths in SETS.items():
            cells, bodies = [], [truth(name)]
            for on in (False, True):
                start = time.perf_counter()
                settings = SculptSettings(revolution=on)
                made = sculpt(photos(name, azimuths), settings, FitSettings(), range(3), silent).mesh
                chamfer, f = shape(made.vertices, made.faces, samples(name))
                bodies.append(made)
                cells += [f"{chamfer:.4f} / {f:.2f}", f"{time.perf_counter() - start:.1f}"]
            print(f"| {name} | {label} | {' | '.join(cells)} |", flush=True)
            if arguments.grey:
                save_clay(bodies, arguments.grey / f"{name}-{label}.png")


@cache
def truth(name: str) -> Mesh:
    """A lathed profile in mid grey, and what is attached to it."""
    heights, radii = PROFILES[name]
    line = np.column_stack([radii, heights])
    line = np.vstack([[[0.0, line[0, 1]]], line, [[0.0, line[-1, 1]]]])
    body = trimesh.util.concatenate([trimesh.creation.revolve(line, sections=180), *attached(name)])
    scale = min(1.0, 0.95 / np.linalg.norm(body.vertices, axis=1).max()) if attached(name) else 1.0
    grey = np.full((len(body.vertices), 3), 128, np.uint8)
    return Mesh((scale * body.vertices).astype(np.float32), body.faces.astype(np.int32), grey)


def attached(name: str) -> list[trimesh.Trimesh]:
    """Handles and spouts."""
    if name == "mug":
        ring = trimesh.creation.torus(0.28, 0.06)
        ring.apply_transform(trimesh.transformations.rotation_matrix(np.pi / 2.0, [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]))
        return [ring.apply_translation([0.45, 0.0, 0.0])]
    if name == "teapot":
        spout = tube(-0.35 - 0.45 * ALONG, -0.15 + 0.4 * ALONG**1.6, 0.11 - 0.065 * ALONG)
        return [tube(*arc(0.4, 0.0, 0.28, 1.0, -105.0, 140.0), 0.045), spout]
    if name == "two handles":
        x, z = arc(0.3, 0.28, 0.22, 1.25, -100.0, 110.0)
        return [tube(x, z, 0.04), tube(-x, z, 0.04)]
    if name == "watering can":
        spout = tube(-0.3 - 0.55 * ALONG, -0.35 + 0.75 * ALONG, 0.06 - 0.02 * ALONG)
        rose = tube(-0.85 - 0.07 * ALONG, 0.4 + 0.1 * ALONG, 0.04 + 0.07 * ALONG)
        return [spout, rose, tube(*arc(0.18, 0.0, 0.38, 1.25, -60.0, 150.0), 0.04)]
    return []


def arc(x: float, z: float, radius: float, taller: float, first: float, last: float) -> tuple[Array, Array]:
    """Points of an arc between two angles in degrees, around (x, z): their x and z."""
    angles = np.radians(np.linspace(first, last, 40))
    return x + radius * np.cos(angles), z + taller * radius * np.sin(angles)


def tube(x: Array, z: Array, radius: Array | float, sides: int = 24) -> trimesh.Trimesh:
    """A closed tube along a line in the plane y = 0."""
    count, turn = len(x), 2.0 * np.pi * np.arange(sides) / sides
    along = np.gradient(np.column_stack([x, z]), axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    across = np.broadcast_to(radius, count)[:, None] * np.cos(turn)
    aside = np.broadcast_to(radius, count)[:, None] * np.sin(turn)
    rings = np.stack([x[:, None] - along[:, 1:] * across, aside, z[:, None] + along[:, :1] * across], axis=-1)
    ends = np.array([[x[0], 0.0, z[0]], [x[-1], 0.0, z[-1]]])
    here, after = np.arange(sides), (np.arange(sides) + 1) % sides
    last = (count - 1) * sides
    faces = [
        np.column_stack([np.full(sides, count * sides), after, here]),
        np.column_stack([np.full(sides, count * sides + 1), last + here, last + after]),
    ]
    for start in range(0, last, sides):
        low, high = start + np.array([here, after]), start + sides + np.array([here, after])
        faces += [np.stack([low[0], low[1], high[1]], axis=1), np.stack([low[0], high[1], high[0]], axis=1)]
    body = trimesh.Trimesh(np.vstack([rings.reshape(-1, 3), ends]), np.concatenate(faces), process=False)
    trimesh.repair.fix_normals(body)
    return body


def save_clay(bodies: list[Mesh], path: Path) -> None:
    """A row of clay for each."""
    rows = [
        np.hstack([on_white(render_clay(Mesh(body.vertices, body.faces), camera, 320, 320)) for camera in CAMERAS])
        for body in bodies
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.rint(255.0 * np.vstack(rows)).astype(np.uint8)).save(path)


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
