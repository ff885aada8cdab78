"""Find scrambled meshes among views: python tests/bench/placement.py [--real] [--made] [--strangers] [NAME...].

Each mesh, whose place among the views is known, is turned by a random axis turn and yaw, mirrored or not, scaled by
0.01 to 1000 and shifted. Real: InstantMesh's meshes beside the sheets they were made from. Made: textured meshes and
six pictures of them. Errors are those of the place found; `surface` is the mean distance between the mesh there and
where it belongs, in world units (the object's radius is about 1), which stays small at another turn of a symmetric
object. Strangers: each real mesh among the views of another object, whose overlap bounds what must be refused.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import trimesh
from measure import DATA, NAMES, Array, load_truth, truth_views
from scipy.spatial import cKDTree

from meshcli.alignment.mesh_placement import Placement, place
from meshcli.alignment.similarity import Similarity, angle_between
from meshcli.generators.photos import split_view_sheet, with_silhouette
from meshcli.meshes.mesh import Mesh
from meshcli.pictures.image import load_picture
from meshcli.settings import PhotoSettings, PlacementSettings
from meshcli.views.camera import zero123plus_rig
from meshcli.views.view import View

REAL = (
    *("bird", "cartoon_dinosaur", "chair_armed", "chair_wood", "extinguisher", "fox", "lamp", "plant", "robot"),
    "sea_turtle",
)
TURN, SCALE, SHIFT = 2.0, 0.02, 0.02  # degrees, share, world units: errors of a place that is found
SURFACE = 0.02  # world units: another place of the same surface


def main() -> None:
    """Print a line for each mesh."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    for flag in ("--real", "--made", "--strangers"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("names", nargs="*", metavar="NAME")
    chosen = parser.parse_args()
    every = not (chosen.real or chosen.made or chosen.strangers)
    if chosen.strangers:
        _print_strangers([name for name in REAL if name in (chosen.names or REAL)])
        return
    print("| mesh | overlap | as it lies | runner-up | told by | turn | scale | shift | surface | found | CPU s |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for kind, names in (("real", REAL), ("made", NAMES)):
        for name in names if every or getattr(chosen, kind) else ():
            if name in (chosen.names or names):
                _print_row(name, kind)


def _print_row(name: str, kind: str) -> None:
    mesh, views = (real_mesh(name), sheet_views(name)) if kind == "real" else (made_mesh(name), truth_views(name))
    random = np.random.default_rng(int.from_bytes(name.encode()[:4], "big"))
    scrambled, truth = scramble(mesh, random)
    start = time.process_time()
    found = place(scrambled, views, PlacementSettings(), lambda share: None)
    took = time.process_time() - start
    turn, scale, shift, surface = errors(found, truth, scrambled)
    exact = turn < TURN and abs(scale - 1.0) < SCALE and shift < SHIFT
    verdict = "yes" if exact else "same surface" if surface < SURFACE else "NO"
    angle = "mirrored" if np.isinf(turn) else f"{turn:.2f}"
    print(
        f"| {name} | {found.overlap:.3f} | {found.before:.3f} | {found.runner_up_overlap:.3f} | {found.decided_by} | "
        f"{angle} | {scale:.3f} | {shift:.3f} | {surface:.4f} | {verdict} | {took:.1f} |",
        flush=True,
    )


def _print_strangers(names: list[str]) -> None:
    print("| views | mesh | overlap |\n|---|---|---|")
    for name in names:
        views = sheet_views(name)
        for step in (1, 4):
            other = REAL[(REAL.index(name) + step) % len(REAL)]
            found = place(real_mesh(other), views, PlacementSettings(), lambda share: None)
            print(f"| {name} | {other} | {found.overlap:.3f} |", flush=True)


def errors(found: Placement, truth: Similarity, mesh: Mesh) -> tuple[float, float, float, float]:
    """Turn in degrees (infinite where mirrored wrongly), scale over the true one, shift of the centre, surface."""
    similarity = found.similarity
    centre = (mesh.vertices.min(axis=0) + mesh.vertices.max(axis=0))[None] / 2.0
    turn = angle_between(similarity.axes, truth.axes) if similarity.mirrored == truth.mirrored else np.inf
    shift = float(np.linalg.norm(similarity.apply(centre) - truth.apply(centre)))
    corners = mesh.vertices[mesh.faces].mean(axis=1)
    points = corners[:: max(1, len(corners) // 5000)]
    surface = float(cKDTree(truth.apply(_dense(mesh))).query(similarity.apply(points))[0].mean())
    return turn, similarity.scale / truth.scale, shift, surface


def scramble(mesh: Mesh, random: np.random.Generator) -> tuple[Mesh, Similarity]:
    """The mesh in a frame of its own, and the similarity that takes it back."""
    angle = random.uniform(0.0, 2.0 * np.pi)
    yaw = np.array([[np.cos(angle), -np.sin(angle), 0.0], [np.sin(angle), np.cos(angle), 0.0], [0.0, 0.0, 1.0]])
    turns = [axes for axes in _axis_turns() if np.linalg.det(axes) * random.choice([-1.0, 1.0]) > 0.0]
    axes = turns[random.integers(len(turns))] @ yaw
    scale, shift = 10.0 ** random.uniform(-2.0, 3.0), random.uniform(-3.0, 3.0, 3)
    vertices = scale * (mesh.vertices @ axes.T + shift)
    faces = mesh.faces[:, ::-1] if np.linalg.det(axes) < 0.0 else mesh.faces
    truth = Similarity(axes.T, 1.0 / scale, -axes.T @ shift)
    return replace(mesh, vertices=vertices.astype(np.float32), faces=np.ascontiguousarray(faces)), truth


def real_mesh(name: str) -> Mesh:
    """A mesh that InstantMesh wrote, in the world of its sheet: the ones with vertex colours are mirrored in z."""
    file = "lamp/lamp.obj" if name == "lamp" else f"{name}.obj"
    read = trimesh.load(DATA / "views" / "reconstructions" / file, process=False)
    colours = read.visual.to_color().vertex_colors if name == "lamp" else read.visual.vertex_colors
    vertices, faces = np.asarray(read.vertices, np.float32), np.asarray(read.faces, np.int32)
    if name != "lamp":
        vertices, faces = vertices * np.float32([1.0, 1.0, -1.0]), faces[:, ::-1]
    return Mesh(vertices, np.ascontiguousarray(faces), np.asarray(colours)[:, :3])


def made_mesh(name: str) -> Mesh:
    """A textured mesh in our world, without its colours."""
    truth = load_truth(name)
    merged = trimesh.Trimesh(truth.vertices, truth.faces, process=True, merge_norm=True, merge_tex=True)
    return Mesh(np.asarray(merged.vertices, np.float32), np.asarray(merged.faces, np.int32))


def sheet_views(name: str) -> list[View]:
    """The six views of a sheet, cut out as `generate --from-sheet` does."""
    tiles = split_view_sheet(load_picture(DATA / "views" / "white" / f"{name}.png"))
    pictures = [with_silhouette(tile, PhotoSettings(), offline=True) for tile in tiles]
    return [
        View(f"a{i}", pixels, camera)
        for i, (pixels, camera) in enumerate(zip(pictures, zero123plus_rig(), strict=True))
    ]


def _axis_turns() -> Iterator[Array]:
    """The 48 turns and mirror images that take axes to axes."""
    for order in ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)):
        for signs in np.ndindex(2, 2, 2):
            yield np.eye(3)[list(order)] * (1.0 - 2.0 * np.array(signs))[:, None]


def _dense(mesh: Mesh) -> Array:
    """Points (200,000, 3) on a surface."""
    sampled = trimesh.sample.sample_surface(trimesh.Trimesh(mesh.vertices, mesh.faces, process=False), 200_000, seed=0)
    return np.asarray(sampled[0])


if __name__ == "__main__":
    main()
