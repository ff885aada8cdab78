"""Measure what it costs to give views the wrong cameras: python tests/bench/cameras.py [NAME...].

Three photos at azimuths 0, 45 and -50, six views of each as a generator would make them, two of each chosen. `fit` runs
once with the views' own cameras and once with the rig of one photo assigned by position, as InstantMesh V2 does.
"""

from dataclasses import replace

from fit_meshes import parse
from measure import NAMES, pictures, shape, truth_samples

from meshcli.errors import InputError
from meshcli.progress import silent
from meshcli.reconstructors.fit import fit
from meshcli.settings import FitSettings
from meshcli.views.camera import zero123plus_rig
from meshcli.views.view import View

CHOSEN = ((0.0, 0), (0.0, 1), (45.0, 2), (45.0, 4), (-50.0, 3), (-50.0, 5))  # azimuth of the photo, tile


def main() -> None:
    """Print one line per object."""
    names = parse(__doc__ or "", NAMES).names
    print("| object | own cameras: CD / F | cameras by position: CD / F |\n|---|---|---|")
    for name in names:
        own = [zero123plus_rig(azimuth, known="rig")[tile] for azimuth, tile in CHOSEN]
        seen = pictures(name, own, 3)
        views = [View(f"a{i}", seen[i], camera) for i, camera in enumerate(own)]
        placed = [replace(view, camera=camera) for view, camera in zip(views, zero123plus_rig(), strict=True)]
        print(f"| {name} | {figures(name, views)} | {figures(name, placed)} |", flush=True)


def figures(name: str, views: list[View]) -> str:
    """Chamfer distance and F of what `fit` makes of some views."""
    try:
        mesh = fit(views, FitSettings(), 0, silent)
    except InputError:
        return "no common body"
    chamfer, f = shape(mesh.vertices, mesh.faces, truth_samples(name))
    return f"{chamfer:.4f} / {f:.2f}"


if __name__ == "__main__":
    main()
