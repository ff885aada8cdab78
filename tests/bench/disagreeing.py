"""Measure `sculpt` on photos that do not agree: python tests/bench/disagreeing.py [NAME...] [--grey DIR].

Three photos, front and both sides (0, 90, -90, elevation 10), the second of the object twisted about its axis by
24 degrees per unit of height, the third as much the other way: a turnaround of a character that turns its head. Bodies
are InstantMesh's meshes, the truth is the untwisted one. The sculpted mesh is moved onto it by the best similarity
(iterated closest points). Tolerance: pixels of 320 by which the outlines have to grow to fit one body. Phantom: shares
of the mesh farther than .05 and .1 from the truth; missing: share of the truth farther than .05 from the mesh. --grey
writes clay renders, the truth's above ours.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
import trimesh
from fit_meshes import parse
from measure import SIZE, Array, _sample, on_white, visible_samples
from PIL import Image
from scipy.spatial import cKDTree
from sculpt import render_clay
from unseen import real_mesh

from meshcli.generators.sculpt.sculpt import sculpt
from meshcli.meshes.mesh import Mesh
from meshcli.progress import silent
from meshcli.reconstructors.fit import Evidence
from meshcli.rendering.renderer import Renderer
from meshcli.settings import FitSettings, SculptSettings
from meshcli.views.camera import OBJECT_RADIUS, orbit
from meshcli.views.view import View

NAMES = ("cartoon_dinosaur", "fox", "robot")
AZIMUTHS = (0.0, 90.0, -90.0)
ELEVATION = 10.0
TWISTS = (0.0, 24.0, -24.0)  # degrees per unit of height, of each photo
STARTS = (-8.0, 0.0, 8.0)  # degrees of yaw from which the similarity is sought
ROUNDS = 30


def main() -> None:
    """Print one line per object."""
    arguments = parse(__doc__ or "", NAMES)
    print("| object | tolerance | CD | phantom .05 / .1 | missing | pieces |")
    print("|---|---|---|---|---|---|")
    for name in arguments.names:
        photos = twisted_photos(character(name))
        made = sculpt(photos, SculptSettings(), FitSettings(), range(len(photos)), silent)
        mesh = registered(made.mesh, samples_of(name))
        tolerance = Evidence.of(made.photos).tolerance
        print(f"| {name} | {tolerance:g} | {row(mesh, samples_of(name))} |", flush=True)
        if arguments.grey:
            arguments.grey.mkdir(parents=True, exist_ok=True)
            clay([character(name), mesh]).save(arguments.grey / f"{name}-twisted.png")


@cache
def character(name: str) -> Mesh:
    """A published mesh, its box centred at the origin, as large as our objects."""
    mesh = real_mesh(name)
    vertices = mesh.vertices - (mesh.vertices.min(0) + mesh.vertices.max(0)) / 2.0
    vertices *= OBJECT_RADIUS / np.linalg.norm(vertices, axis=1).max()
    return Mesh(vertices.astype(np.float32), mesh.faces, mesh.colours)


@cache
def samples_of(name: str) -> Array:
    """Points (N, 3) of the body's surface that can be seen from outside."""
    return visible_samples(character(name).vertices, character(name).faces)


def twisted_photos(body: Mesh) -> list[View]:
    """One photo of each twisted body, with the camera of the untwisted one."""
    photos = []
    for letter, azimuth, twist in zip("abc", AZIMUTHS, TWISTS, strict=True):
        angle = np.radians(twist) * body.vertices[:, 2]
        x, y, z = body.vertices.T
        turned = np.stack([np.cos(angle) * x - np.sin(angle) * y, np.sin(angle) * x + np.cos(angle) * y, z], axis=1)
        camera = orbit(azimuth, ELEVATION, known="given")
        renderer = Renderer(Mesh(turned.astype(np.float32), body.faces, body.colours))
        photos.append(View(letter, renderer.render(camera, SIZE, SIZE, samples=3), camera))
    return photos


def registered(mesh: Mesh, truth: Array) -> Mesh:
    """The mesh after the similarity that brings samples of both surfaces closest, seen from both sides."""
    ours, theirs = _sample(mesh.vertices, mesh.faces, np.random.default_rng(0))[0][::10], truth[::4]
    tree = cKDTree(theirs)
    found = []
    for yaw in STARTS:
        move = trimesh.transformations.rotation_matrix(np.radians(yaw), (0.0, 0.0, 1.0))
        for _ in range(ROUNDS):
            placed = trimesh.transform_points(ours, move)
            nearest = placed[cKDTree(placed).query(theirs)[1]]
            pairs = np.vstack([placed, nearest]), np.vstack([theirs[tree.query(placed)[1]], theirs])
            move = trimesh.registration.procrustes(*pairs, reflection=False, return_cost=False) @ move
        placed = trimesh.transform_points(ours, move)
        found.append((tree.query(placed)[0].mean() + cKDTree(placed).query(theirs)[0].mean(), yaw, move))
    best = min(found, key=lambda each: each[:2])[2]
    return Mesh(trimesh.transform_points(mesh.vertices, best).astype(np.float32), mesh.faces, mesh.colours)


def row(mesh: Mesh, truth: Array) -> str:
    """The figures of a mesh."""
    surface = _sample(mesh.vertices, mesh.faces, np.random.default_rng(0))[0]
    to_truth, to_mesh = cKDTree(truth).query(surface)[0], cKDTree(surface).query(truth)[0]
    phantom = " / ".join(f"{np.mean(to_truth > distance):.3f}" for distance in (0.05, 0.1))
    pieces = len(trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).split(only_watertight=False))
    chamfer = (to_truth.mean() + to_mesh.mean()) / 2.0
    return f"{chamfer:.4f} | {phantom} | {np.mean(to_mesh > 0.05):.3f} | {pieces}"


def clay(bodies: Sequence[Mesh]) -> Image.Image:
    """A row of clay renders for each body."""
    cameras = [orbit(30.0 + 60.0 * index, 35.0 * ((index + 1) % 2)) for index in range(6)]
    rows = [np.hstack([on_white(render_clay(body, camera, 320, 320)) for camera in cameras]) for body in bodies]
    return Image.fromarray(np.rint(255.0 * np.vstack(rows)).astype(np.uint8))


if __name__ == "__main__":
    main()
