"""Measure the shape that `sculpt` makes of photos of each mesh: python tests/bench/sculpt.py [NAME...] [--grey DIR].

One photo at azimuth 0 and elevation 0; three at 0, 120, 240 and three at 0, 45, -45, elevation 10. Chamfer distance and
PSNR of the sculpted shape against the true mesh; the bar is an earlier prototype where it has figures.
"""

import time

from fit_meshes import parse, save_comparison
from measure import NAMES, photo_views, score, test_views

from meshcli.generators.sculpt.sculpt import sculpt
from meshcli.progress import silent
from meshcli.settings import FitSettings, SculptSettings

SETS = {"one": ((0.0,), 0.0), "round": ((0.0, 120.0, 240.0), 10.0), "one side": ((0.0, 45.0, -45.0), 10.0)}
PROTOTYPE = {
    "spot": {"one": (0.144, 14.8), "round": (0.018, 23.2), "one side": (0.019, 22.0)},
    "armchair": {"one": (0.208, 13.7), "round": (0.065, 16.9), "one side": (0.068, 17.0)},
    "stool": {"one": (0.148, 12.3), "round": (0.034, 16.6), "one side": (0.047, 14.9)},
    "cabinet": {"one": (0.133, 13.6), "round": (0.086, 16.6), "one side": (0.147, 12.7)},
}


def main() -> None:
    """Print one line per object and set of photos and say whether it passes."""
    arguments = parse(__doc__ or "", NAMES)
    print("| object | photos | CD / PSNR | prototype | bar | seconds |\n|---|---|---|---|---|---|")
    for name in arguments.names:
        for label, (azimuths, elevation) in SETS.items():
            photos = photo_views(name, azimuths, elevation)
            start = time.perf_counter()
            sculpture = sculpt(photos, SculptSettings(), FitSettings(), range(len(photos)), silent)
            seconds = time.perf_counter() - start
            scores, wanted = score(sculpture.mesh, name), PROTOTYPE.get(name, {}).get(label)
            beside = f"{wanted[0]:.3f} / {wanted[1]:.1f}" if wanted else "-"
            good = wanted is None or (round(scores.chamfer, 3) <= wanted[0] and round(scores.psnr, 1) >= wanted[1])
            verdict = "-" if wanted is None else "ok" if good else "MISSED"
            figures = f"{scores.chamfer:.3f} / {scores.psnr:.1f}"
            print(f"| {name} | {label} | {figures} | {beside} | {verdict} | {seconds:.1f} |", flush=True)
            if arguments.grey:
                save_comparison(sculpture.mesh, test_views(name)[::2], arguments.grey / f"{name}-{label}.png")


if __name__ == "__main__":
    main()
