"""Measure `refine` on real InstantMesh meshes: python tests/bench/refine.py [NAME...] [--grey DIR] [--fits DIR].

Per object: the network's mesh, its shape with colours from the views, plain `fit`, and the refined mesh. PSNR and IoU
as in fit_sheets.py. Angle: the median between the normals of a mesh and the network's, over the pixels of the six
cameras where both are seen. Roughness: the median angle between normals and their mean over the pixels around, as in
normals.py, which tells a network's grid ripples from smooth shapes. Empty: the share of the views that the mesh leaves
empty. The bar: 2 dB above the network, not below `fit`, IoU .95 (thin ones as in LEAST_IOU), angle under 12 degrees,
roughness below the network's.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from fit_meshes import render_clay
from fit_sheets import score_sheet, sheet_views
from measure import Array, on_white
from normals import NETWORK_NAMES, angles_between, network_mesh, normal_maps, roughness
from PIL import Image

from meshcli.meshes.colouring import colour_vertices
from meshcli.meshes.mesh import Mesh
from meshcli.progress import silent
from meshcli.reconstructors.fit import fit
from meshcli.reconstructors.refine import refine
from meshcli.rendering.renderer import Renderer
from meshcli.settings import FitSettings, RefineSettings
from meshcli.views.view import View

LEAST_IOU = {"chair_wood": 0.88}
MAX_ANGLE = 12.0  # degrees
GAIN = 2.0  # dB above the network's mesh
SHOWN = (0, 3)  # views in the picture of an object


@dataclass(frozen=True)
class Figures:
    """One row of the table; angle and roughness in degrees."""

    psnr: float
    iou: float
    angle: float
    roughness: float
    empty: float  # share of the views' pixels of the object that show nothing of the mesh

    def __str__(self) -> str:
        return f"{self.psnr:.1f} / {self.iou:.3f} / {self.angle:.1f} / {self.roughness:.2f} / {self.empty:.3f}"


def main() -> None:
    """Print one line per object and say whether it passes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NETWORK_NAMES)}; default all")
    parser.add_argument("--grey", type=Path, metavar="DIR", help="write a picture per object, in colour and in clay")
    parser.add_argument(
        "--fits", type=Path, metavar="DIR", help="keep the meshes of `fit` there and take them from there"
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(NETWORK_NAMES):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    print("PSNR / IoU / angle / roughness / empty\n")
    print(
        "| object | network | its shape, our colours | fit | refined | bar | seconds |\n|---|---|---|---|---|---|---|"
    )
    for name in arguments.names or NETWORK_NAMES:
        views, network = sheet_views(name), network_mesh(name)
        fitted = _fit(name, views, arguments.fits)
        start = time.perf_counter()
        refined = refine(network, views, RefineSettings(), silent)
        seconds = time.perf_counter() - start
        meshes = [network, colour_vertices(network, views), fitted, refined]
        rows = [figures(mesh, network, views) for mesh in meshes]
        print(f"| {name} | {' | '.join(map(str, rows))} | {missed(rows, name) or 'ok'} | {seconds:.1f} |", flush=True)
        if arguments.grey:
            arguments.grey.mkdir(parents=True, exist_ok=True)
            picture = side_by_side([network, fitted, refined], [views[number] for number in SHOWN])
            Image.fromarray(picture).save(arguments.grey / f"{name}.png")


def figures(mesh: Mesh, network: Mesh, views: list[View]) -> Figures:
    """A mesh beside the pictures and beside the network's mesh."""
    psnr, iou = score_sheet(mesh, views)
    maps = normal_maps(mesh, views)
    angles = angles_between(maps, normal_maps(network, views))
    return Figures(psnr, iou, float(np.median(angles)), roughness(maps), empty_share(mesh, views))


def empty_share(mesh: Mesh, views: list[View]) -> float:
    """The share of the object's pixels, in all views together, where the mesh shows nothing."""
    renderer = Renderer(mesh)
    masks = [view.pixels[..., 3] >= 128 for view in views]
    shown = [renderer.render(view.camera, view.width, view.height)[..., 3] >= 128 for view in views]
    missed = sum(int((mask & ~ours).sum()) for mask, ours in zip(masks, shown, strict=True))
    return missed / max(sum(int(mask.sum()) for mask in masks), 1)


def missed(rows: list[Figures], name: str) -> str:
    """What of the bar a refined mesh misses; empty if nothing."""
    network, _, fitted, refined = rows
    checks = {
        "network's PSNR": refined.psnr >= network.psnr + GAIN,
        "fit's PSNR": refined.psnr >= fitted.psnr,
        "IoU": refined.iou >= LEAST_IOU.get(name, 0.95),
        "angle": refined.angle < MAX_ANGLE,
        "roughness": refined.roughness < network.roughness,
    }
    return ", ".join(what for what, good in checks.items() if not good)


def side_by_side(meshes: list[Mesh], views: list[View]) -> Array:
    """A row (H, W, 3) per view: the view, then each mesh in colour and in clay."""
    renderers = [Renderer(mesh) for mesh in meshes]
    rows = []
    for view in views:
        size = view.camera, view.width, view.height
        row = [view.pixels]
        for mesh, renderer in zip(meshes, renderers, strict=True):
            row += [renderer.render(*size), render_clay(mesh, *size)]
        rows.append(np.hstack([on_white(picture) for picture in row]))
    picture: Array = np.rint(255.0 * np.vstack(rows)).astype(np.uint8)
    return picture


def _fit(name: str, views: list[View], directory: Path | None) -> Mesh:
    """What plain `fit` makes of the views; kept in the directory."""
    path = directory / f"{name}.npz" if directory else None
    if path and path.exists():
        kept = np.load(path)
        return Mesh(kept["vertices"], kept["faces"], kept["colours"])
    mesh = fit(views, FitSettings(), 0, silent)
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, vertices=mesh.vertices, faces=mesh.faces, colours=mesh.colours)
    return mesh


if __name__ == "__main__":
    main()
