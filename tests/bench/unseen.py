"""Measure the colours of what no photo sees: python tests/bench/unseen.py [NAME...] [--pictures DIR].

Each mesh is sculpted from three photos at elevation 10, from one side (0, 45, -45) or from a quarter (0, 45, 90). The
harmonic fill and ours are rendered from the 12 test views; PSNR over the pixels that show a surface no photo sees, once
where ours is a mirror image and once elsewhere. A picture's rows: truth, harmonic, ours, and where ours comes from
(grey seen, blue mirrored, orange continued). Without names, the mirror planes of the ten real networks' meshes follow.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import trimesh
from fit_sheets import sheet_views
from measure import DATA, NAMES, Array, on_white, photo_views, psnr, test_views
from PIL import Image

from meshcli.generators.sculpt.sculpt import Sculpture, sculpt
from meshcli.meshes.colouring import NORMAL_RADIUS, ViewBlender
from meshcli.meshes.colouring import fill_unseen as harmonic_fill
from meshcli.meshes.mesh import Mesh, smooth_normals
from meshcli.meshes.mirror_plane import MirrorSearch, find_mirror_plane
from meshcli.meshes.raycasting import Scene
from meshcli.meshes.simplify import simplify
from meshcli.progress import silent
from meshcli.rendering.renderer import Renderer
from meshcli.settings import FitSettings, SculptSettings
from meshcli.texturing.unseen import Source, coverage, fill_unseen
from meshcli.views.view import View

SETS = {"one side": (0.0, 45.0, -45.0), "quarter": (0.0, 45.0, 90.0)}
FACES = 20_000
REAL = (
    *("bird", "cartoon_dinosaur", "chair_armed", "chair_wood", "extinguisher", "fox", "lamp", "plant", "robot"),
    "sea_turtle",
)
SOURCES = ((190, 190, 190), (80, 150, 240), (250, 150, 60))  # a colour for each Source


def main() -> None:
    """Print one line per object and set of photos, then one per real mesh."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; default all")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="write the comparisons here")
    arguments = parser.parse_args()
    print("| object | photos | seen / mirrored / continued | mirrored | continued | plane | seconds |")
    print("|---|---|---|---|---|---|---|")
    for name in arguments.names or NAMES:
        for label, azimuths in SETS.items():
            photos = photo_views(name, azimuths, 10.0)
            made = sculpt(photos, SculptSettings(), FitSettings(), range(len(photos)), silent)
            sheet = report(f"{name} | {label}", simplify(made.mesh, FACES), made, test_views(name))
            if arguments.pictures:
                arguments.pictures.mkdir(parents=True, exist_ok=True)
                Image.fromarray(sheet).save(arguments.pictures / f"{name}-{label}.png")
    for name in () if arguments.names else REAL:
        mesh, views = simplify(real_mesh(name), FACES), sheet_views(name)
        print(f"| {name} | sheet | | | | {described(find_mirror_plane(mesh, views))} | |", flush=True)


def report(title: str, mesh: Mesh, made: Sculpture, views: list[View]) -> Array:
    """Print the line of one sculpted mesh and return its comparison."""
    blender = ViewBlender(made.photos, Scene(mesh.vertices, mesh.faces))
    found = blender.colours(mesh.vertices, smooth_normals(mesh.vertices, mesh.faces, NORMAL_RADIUS))
    start = time.perf_counter()
    search = find_mirror_plane(mesh, made.photos, found, made.planes)
    filled = fill_unseen(mesh.vertices, mesh.faces, found, search.plane)
    seconds = time.perf_counter() - start
    before, after, sources = (
        [Renderer(Mesh(mesh.vertices, mesh.faces, _bytes(colours))).render(v.camera, v.width, v.height) for v in views]
        for colours in (
            harmonic_fill(mesh.vertices, mesh.faces, found),
            filled.values,
            np.array(SOURCES)[filled.source],
        )
    )
    shares = " / ".join(f"{share:.2f}" for share in coverage(mesh.vertices, mesh.faces, filled.source).values())
    figures = [
        " -> ".join(f"{_psnr_of(kind, sources, pictures, views):.2f}" for pictures in (before, after))
        for kind in (Source.MIRRORED, Source.CONTINUED)
    ]
    print(f"| {title} | {shares} | {' | '.join(figures)} | {described(search)} | {seconds:.1f} |", flush=True)
    rows = [[view.pixels for view in views], before, after, sources]
    sheet: Array = _bytes(255.0 * np.vstack([np.hstack([on_white(picture) for picture in row[::2]]) for row in rows]))
    return sheet


def described(search: MirrorSearch) -> str:
    """The plane's yaw and confidence, or why there is none."""
    if search.plane is None:
        return f"none: {search.reason}"
    yaw = np.degrees(np.arctan2(search.plane.normal[1], search.plane.normal[0])) % 180.0
    return f"{yaw:.0f} degrees, {search.plane.confidence:.2f}"


def real_mesh(name: str) -> Mesh:
    """A real network's mesh in the world of its sheet; see the data's README for the mirrored z."""
    folder = DATA / "views" / "reconstructions"
    if name == "lamp":
        body = trimesh.load_mesh(folder / "lamp" / "lamp.obj", process=False)
        body.merge_vertices(merge_tex=True, merge_norm=True)
        return Mesh(np.asarray(body.vertices, np.float32), np.asarray(body.faces, np.int32))
    body = trimesh.load_mesh(folder / f"{name}.obj", process=False)
    return Mesh((body.vertices * [1.0, 1.0, -1.0]).astype(np.float32), body.faces[:, ::-1].astype(np.int32).copy())


def _psnr_of(kind: Source, sources: list[Array], pictures: list[Array], views: list[View]) -> float:
    """Decibels over the pixels of all views that show vertices of one source alone and the truth too."""
    chosen = [
        (np.abs(source[..., :3].astype(int) - SOURCES[kind]).max(axis=2) <= 2)
        & (source[..., 3] == 255)
        & (view.pixels[..., 3] == 255)
        for source, view in zip(sources, views, strict=True)
    ]
    if not any(mask.any() for mask in chosen):
        return float("nan")
    ours = np.concatenate([on_white(picture)[mask] for picture, mask in zip(pictures, chosen, strict=True)])
    truth = np.concatenate([on_white(view.pixels)[mask] for view, mask in zip(views, chosen, strict=True)])
    return psnr(ours, truth)


def _bytes(colours: Array) -> Array:
    result: Array = np.rint(colours.clip(0.0, 255.0)).astype(np.uint8)
    return result


if __name__ == "__main__":
    main()
