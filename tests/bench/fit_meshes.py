"""Measure `fit` on six true views of each mesh: python tests/bench/fit_meshes.py [NAME...] [--grey DIR].

The bar is an earlier prototype: Chamfer distance at most 1.05 times, PSNR at most 0.3 dB below the prototype's. Clay is
the PSNR of grey renders against grey renders of the true mesh, which tells smooth surfaces from rippled ones.

A tray, a mug and a bowl follow, CD and F alone: as photos, and with the setting fit.hollows.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from hollow_bodies import HOLLOW_NAMES, hollow_body, hollow_samples, hollow_views
from measure import NAMES, Scores, load_truth, on_white, psnr, score, shape, test_views, truth_views
from PIL import Image

from meshcli.meshes.mesh import Mesh
from meshcli.progress import silent
from meshcli.reconstructors.fit import fit
from meshcli.rendering.renderer import Renderer
from meshcli.settings import FitSettings
from meshcli.views.view import View

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))
from clay_rendering import render_clay

PROTOTYPE = {
    "spot": Scores(0.0073, 1.0, 0.97, 30.8, 0.980),
    "fuze": Scores(0.0066, 1.0, 0.96, 29.4, 0.977),
    "stool": Scores(0.0265, 0.88, 0.54, 23.8, 0.921),
    "cabinet": Scores(0.0263, 0.84, None, 26.8, 0.934),
    "barrel": Scores(0.0261, 0.84, 0.90, 21.9, 0.882),
    "armchair": Scores(0.0416, 0.78, None, 21.5, 0.901),
    "table": Scores(0.0373, 0.70, None, 22.7, 0.922),
}


def main() -> None:
    """Print one line per object and say whether it passes, then the mean Chamfer distance."""
    arguments = parse(__doc__ or "", (*NAMES, *HOLLOW_NAMES))
    distances = []
    print("| object | CD / F / IoU / PSNR / SSIM | clay | prototype | bar | seconds |\n|---|---|---|---|---|---|")
    for name in (name for name in arguments.names if name in NAMES):
        start = time.perf_counter()
        mesh = fit(truth_views(name), FitSettings(), 0, silent)
        seconds = time.perf_counter() - start
        scores, wanted = score(mesh, name), PROTOTYPE[name]
        distances.append(scores.chamfer)
        good = scores.chamfer <= 1.05 * wanted.chamfer and scores.psnr >= wanted.psnr - 0.3
        verdict = f"{row(wanted)} | {'ok' if good else 'MISSED'} | {seconds:.1f}"
        print(f"| {name} | {row(scores)} | {clay(mesh, name):.2f} | {verdict} |", flush=True)
        if arguments.grey:
            save_comparison(mesh, test_views(name)[1::2], arguments.grey / f"{name}.png", truth_body(name))
    if distances:
        print(f"| mean of {len(distances)} | {np.mean(distances):.4f} | | | | |")
    for name in (name for name in arguments.names if name in HOLLOW_NAMES):
        for hollows in (False, True):
            mesh = fit(hollow_views(name), FitSettings(hollows=hollows), 0, silent, may_be_painted=False)
            chamfer, f = shape(mesh.vertices, mesh.faces, hollow_samples(name))
            print(f"| {name}{', hollows' * hollows} | {chamfer:.4f} / {f:.2f} | | | | |", flush=True)
        if arguments.grey:
            save_comparison(mesh, hollow_views(name), arguments.grey / f"{name}.png", hollow_body(name))


def truth_body(name: str) -> Mesh:
    """The shape of the truth."""
    truth = load_truth(name)
    return Mesh(truth.vertices, truth.faces)


def clay(mesh: Mesh, name: str) -> float:
    """Decibels between grey renders of a mesh and of the truth, from every second test view."""
    bodies = [mesh, truth_body(name)]
    found = []
    for view in test_views(name)[1::2]:
        ours, true = (on_white(render_clay(body, view.camera, view.width, view.height)) for body in bodies)
        found.append(psnr(ours, true))
    return float(np.mean(found))


def parse(description: str, names: tuple[str, ...]) -> argparse.Namespace:
    """The arguments that the bench scripts share."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}; default all")
    parser.add_argument(
        "--grey", type=Path, metavar="DIR", help="write pictures: views, our colours, our clay, the other's clay"
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(names):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    arguments.names = arguments.names or names
    return arguments


def row(scores: Scores) -> str:
    """The five figures as docs/measurements.md writes them."""
    iou = "-" if scores.iou is None else f"{scores.iou:.2f}"
    return f"{scores.chamfer:.4f} / {scores.f:.2f} / {iou} / {scores.psnr:.1f} / {scores.ssim:.3f}"


def save_comparison(mesh: Mesh, views: list[View], path: Path, other: Mesh | None) -> None:
    """Rows: the views, the mesh from the same cameras, its clay, and the clay of another mesh to compare it with."""
    renderer = Renderer(mesh)
    bodies = [body for body in (mesh, other) if body]
    rows = [
        [view.pixels for view in views],
        [renderer.render(view.camera, view.width, view.height) for view in views],
        *([render_clay(body, view.camera, view.width, view.height) for view in views] for body in bodies),
    ]
    sheet = np.vstack([np.hstack([on_white(picture) for picture in pictures]) for pictures in rows])
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.rint(255.0 * sheet).astype(np.uint8)).save(path)


if __name__ == "__main__":
    main()
