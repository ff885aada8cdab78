"""Measure what smoothing bars along their length does: python tests/bench/bars.py [NAME...] [--seed N].

`sculpt` from three photos and `fit` from six true views without it, and then the same surfaces with it. Lean is the
mean angle, in degrees, by which normals on the straight bars that are found lean along the axis: 0 of a prism. IoU is
that of the silhouettes from where the views are; CD is the mean over six draws of samples, which differ by .0001.
"""

import argparse
from collections.abc import Iterator

import numpy as np
from measure import load_truth, photo_views, shape, truth_samples, truth_views
from sculpt import SETS

from meshcli.generators.sculpt.sculpt import sculpt
from meshcli.meshes.depth_maps import depth_map
from meshcli.meshes.mesh import Mesh, vertex_normals
from meshcli.progress import silent
from meshcli.reconstructors.fit import fit
from meshcli.sdf.bars import Bar, Surface, find_bars
from meshcli.sdf.straight_bars import straighten_bars
from meshcli.settings import FitSettings, SculptSettings
from meshcli.views.view import View

NAMES = ("stool", "table", "armchair")
DRAWS = 6
FINE = 4  # samples per pixel


def main() -> None:
    """Print one line per object and set of views."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; default all")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print("| object | views | smoothed | lean | IoU | CD |\n|---|---|---|---|---|---|")
    for name in arguments.names or NAMES:
        for label, views, before in meshes(name, arguments.seed):
            bars = find_bars(Surface.of(before.vertices, before.faces))
            found = straighten_bars(before.vertices.astype(np.float64), before.faces, views)
            both = before, Mesh(found.vertices.astype(np.float32), before.faces)
            leans = ", ".join(f"{lean(mesh, [bar for bar in bars if bar.is_straight()]):.2f}" for mesh in both)
            overlaps = ", ".join(f"{overlap(mesh, views, name):.4f}" for mesh in both)
            distances = ", ".join(f"{distance(mesh, name):.4f}" for mesh in both)
            row = f"| {name} | {label} | {found.count} of {len(bars)} | {leans} | {overlaps} | {distances} |"
            print(row, flush=True)


def meshes(name: str, seed: int) -> Iterator[tuple[str, list[View], Mesh]]:
    """What is made of which views of an object, without smooth bars."""
    for label in list(SETS)[1:]:
        photos = photo_views(name, *SETS[label])
        seeds = range(seed, seed + len(photos))
        sculpture = sculpt(photos, SculptSettings(bars=False), FitSettings(), seeds, silent)
        if sculpture.mesh:
            yield f"sculpt, {label}", photos, sculpture.mesh
    views = truth_views(name)
    yield "fit", views, fit(views, FitSettings(bars=False), seed, silent)


def lean(mesh: Mesh, bars: list[Bar]) -> float:
    """Degrees, the mean over the vertices of the bars."""
    normals = vertex_normals(mesh.vertices, mesh.faces).astype(np.float64)
    sines = [np.abs(normals[bar.vertices] @ bar.line()[1]) for bar in bars]
    return float(np.degrees(np.arcsin(np.clip(np.concatenate(sines), 0.0, 1.0))).mean())


def overlap(mesh: Mesh, views: list[View], name: str) -> float:
    """Intersection over union of the mesh's silhouettes with the true ones in the views, the mean."""
    truth, found = load_truth(name), []
    for view in views:
        size = FINE * view.width, FINE * view.height
        ours = np.isfinite(depth_map(mesh.vertices, mesh.faces, view.camera, *size))
        theirs = np.isfinite(depth_map(truth.vertices, truth.faces, view.camera, *size))
        found.append((ours & theirs).sum() / (ours | theirs).sum())
    return float(np.mean(found))


def distance(mesh: Mesh, name: str) -> float:
    """CD; vertices in other orders draw other samples."""
    order = [np.random.default_rng(draw).permutation(len(mesh.faces)) for draw in range(DRAWS)]
    return float(np.mean([shape(mesh.vertices, mesh.faces[rows], truth_samples(name))[0] for rows in order]))


if __name__ == "__main__":
    main()
