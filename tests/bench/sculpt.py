"""Measure the shape that `sculpt` makes of photos of each mesh: python tests/bench/sculpt.py [NAME...] [--grey DIR].

One photo at azimuth 0 and elevation 0; three at 0, 120, 240 and three at 0, 45, -45, elevation 10; and the three photos
of the example's desk with its cameras. Chamfer distance, F and PSNR of the sculpted shape against the true mesh (of the
desk no PSNR: nobody renders it the bench's way); the bar is an earlier prototype where it has figures. --grey writes
clay renders from six sides, the truth's above ours, with the cameras of every second test view.
"""

import sys
import time
from pathlib import Path

import numpy as np
from fit_meshes import parse
from measure import NAMES, load_truth, on_white, photo_views, score, shape, test_views, visible_samples
from PIL import Image

from meshcli.generators.sculpt.sculpt import sculpt
from meshcli.meshes.mesh import Mesh
from meshcli.progress import silent
from meshcli.settings import FitSettings, SculptSettings
from meshcli.views.view import View

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))
import desk_model
from clay_rendering import render_clay

SETS = {"one": ((0.0,), 0.0), "round": ((0.0, 120.0, 240.0), 10.0), "one side": ((0.0, 45.0, -45.0), 10.0)}
DESK = "desk"
PROTOTYPE = {
    "spot": {"one": (0.144, 14.8), "round": (0.018, 23.2), "one side": (0.019, 22.0)},
    "armchair": {"one": (0.208, 13.7), "round": (0.065, 16.9), "one side": (0.068, 17.0)},
    "stool": {"one": (0.148, 12.3), "round": (0.034, 16.6), "one side": (0.047, 14.9)},
    "cabinet": {"one": (0.133, 13.6), "round": (0.086, 16.6), "one side": (0.147, 12.7)},
}


def main() -> None:
    """Print one line per object and set of photos and say whether it passes."""
    arguments = parse(__doc__ or "", (DESK, *NAMES))
    print("| object | photos | CD / F / PSNR | prototype CD / PSNR | bar | seconds |\n|---|---|---|---|---|---|")
    for name in arguments.names:
        for label in ("its rig",) if name == DESK else SETS:
            photos = desk_photos() if name == DESK else photo_views(name, *SETS[label])
            start = time.perf_counter()
            sculpture = sculpt(photos, SculptSettings(), FitSettings(), range(len(photos)), silent)
            seconds = time.perf_counter() - start
            print(f"| {name} | {label} | {row(sculpture.mesh, name, label)} | {seconds:.1f} |", flush=True)
            if arguments.grey:
                save_grey(sculpture.mesh, name, arguments.grey / f"{name}-{label}.png")


def row(mesh: Mesh, name: str, label: str) -> str:
    """The figures of a mesh, the prototype's, and the verdict."""
    if name == DESK:
        truth = desk_model.true_mesh()
        chamfer, f = shape(mesh.vertices, mesh.faces, visible_samples(truth.vertices, truth.faces))
        return f"{chamfer:.4f} / {f:.2f} / - | - | -"
    scores, wanted = score(mesh, name), PROTOTYPE.get(name, {}).get(label)
    beside = f"{wanted[0]:.3f} / {wanted[1]:.1f}" if wanted else "-"
    good = wanted is None or (round(scores.chamfer, 3) <= wanted[0] and round(scores.psnr, 1) >= wanted[1])
    verdict = "-" if wanted is None else "ok" if good else "MISSED"
    return f"{scores.chamfer:.4f} / {scores.f:.2f} / {scores.psnr:.1f} | {beside} | {verdict}"


def desk_photos() -> list[View]:
    """The example's photos with their cameras."""
    files = [desk_model.FOLDER / f"{number}.png" for number in (1, 2, 3)]
    return [
        View(name, np.asarray(Image.open(file)), camera)
        for name, file, camera in zip("abc", files, desk_model.cameras(), strict=True)
    ]


def save_grey(mesh: Mesh, name: str, path: Path) -> None:
    """Two rows of clay: the truth and the mesh."""
    truth = desk_model.true_mesh() if name == DESK else load_truth(name)
    cameras = [view.camera for view in test_views(NAMES[0])[1::2]]
    sheet = np.vstack(
        [
            np.hstack([on_white(render_clay(body, camera, 320, 320)) for camera in cameras])
            for body in (Mesh(truth.vertices, truth.faces), mesh)
        ]
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.rint(255.0 * sheet).astype(np.uint8)).save(path)


if __name__ == "__main__":
    main()
