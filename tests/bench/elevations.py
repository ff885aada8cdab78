"""Measure the elevations that `sculpt` finds when only azimuths are typed: python tests/bench/elevations.py [NAME...].

Three photos at 0, 120, 240 and three at 0, 45, -45 of the textured meshes and the real InstantMesh meshes of
../shared/data, twice each: one elevation of 5 to 35 degrees for all, individual deviations of 3 degrees (standard
deviation), lenses of 20 to 45 degrees. Stated are the azimuths, and elevations of 0. Degrees by which the elevations
that the silhouettes tell are off, the mean of three photos; stated ones are off by the true elevations.

--shapes sculpts the first draw of each set instead, with elevations of 0 and with those that are found: Chamfer
distance and F beside the truth after the similarity that fits best (ICP), for nobody knows the scale of framed photos.
"""

import argparse
import time
from collections.abc import Collection, Iterator, Sequence
from functools import cache

import numpy as np
import trimesh
from azimuths import PHOTO_SIZE, RECONSTRUCTIONS, reconstruction, render
from measure import NAMES, Array, shape, truth_samples, visible_samples

from meshcli.alignment.silhouettes import align
from meshcli.generators.sculpt.sculpt import sculpt
from meshcli.pictures.image import frame_foreground
from meshcli.progress import silent
from meshcli.settings import FitSettings, SculptSettings
from meshcli.views.camera import DISTANCE, FOV, orbit
from meshcli.views.view import View

SETS = {"round": (0.0, 120.0, 240.0), "one side": (0.0, 45.0, -45.0)}
DRAWS = 2
MARGIN = 1.25  # of the distance, so that a photo shows the whole object
ICP_POINTS, ICP_ROUNDS = 3000, 60
COARSE = FitSettings(resolutions=(64,))  # the cameras make most of the difference


def main() -> None:
    """Print one line per object and set of photos, and the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=[*NAMES, *RECONSTRUCTIONS])
    parser.add_argument("--shapes", action="store_true")
    arguments = parser.parse_args()
    if arguments.shapes:
        print("| object | photos | elevations of 0: CD / F | found: CD / F |\n|---|---|---|---|")
        for name in arguments.names:
            for label in SETS:
                views = next(draws(name, label))[1]
                figures = [sculpted(name, views, unknown) for unknown in ((), {view.name for view in views})]
                print(f"| {name} | {label} | {' | '.join(figures)} |", flush=True)
        return
    errors: dict[str, list[tuple[float, float]]] = {label: [] for label in SETS}
    print("| object | photos | true | found | off | seconds |\n|---|---|---|---|---|---|")
    for name in arguments.names:
        for label in SETS:
            for true, views in draws(name, label):
                start = time.perf_counter()
                found = np.array(
                    [
                        photo.camera.elevation
                        for photo in align(views, unknown_elevations={view.name for view in views}).photos
                    ]
                )
                off = float(np.abs(found - true).mean())
                errors[label].append((float(true.mean()), off))
                print(
                    f"| {name} | {label} | {listed(true)} | {listed(found)} | {off:.1f} "
                    f"| {time.perf_counter() - start:.1f} |", flush=True,
                )  # fmt: skip
    print("\n| photos | stated off by | found off by: median | mean | over 5 degrees |\n|---|---|---|---|---|")
    for label, pairs in errors.items():
        stated, off = np.array(pairs).T
        print(
            f"| {label} | {np.median(stated):.1f} | {np.median(off):.1f} | {off.mean():.1f} "
            f"| {(off > 5.0).sum()} of {len(off)} |"
        )


def draws(name: str, label: str) -> Iterator[tuple[Array, list[View]]]:
    """True elevations, and photos."""
    generator = np.random.default_rng(sum(map(ord, name + label)))
    for _ in range(DRAWS):
        true = generator.uniform(5.0, 35.0) + generator.normal(0.0, 3.0, 3)
        yield true, photos(name, SETS[label], true, generator.uniform(20.0, 45.0, 3))


def sculpted(name: str, views: Sequence[View], unknown: Collection[str]) -> str:
    """Figures of what `sculpt` makes of photos, moved, turned and scaled to the truth."""
    mesh = sculpt(views, SculptSettings(), COARSE, range(3), silent, unknown).mesh
    assert mesh is not None
    truth = truth_samples(name) if name in NAMES else reconstruction_samples(name)
    vertices = mesh.vertices - (mesh.vertices.min(axis=0) + mesh.vertices.max(axis=0)) / 2.0
    vertices *= np.ptp(truth, axis=0).max() / np.ptp(vertices, axis=0).max()
    vertices += (truth.min(axis=0) + truth.max(axis=0)) / 2.0
    chosen = np.random.default_rng(0).choice(len(vertices), min(len(vertices), ICP_POINTS), replace=False)
    matrix, _, _ = trimesh.registration.icp(vertices[chosen], truth, max_iterations=ICP_ROUNDS, reflection=False)
    chamfer, f = shape(trimesh.transform_points(vertices, matrix), mesh.faces, truth)
    return f"{chamfer:.4f} / {f:.2f}"


@cache
def reconstruction_samples(name: str) -> Array:
    """Points (N, 3) on a real InstantMesh mesh."""
    mesh = reconstruction(name).mesh
    return visible_samples(mesh.vertices, mesh.faces)


def photos(name: str, azimuths: tuple[float, ...], elevations: Array, fovs: Array) -> list[View]:
    """Framed photos whose stated cameras are at the horizon."""
    views = []
    for azimuth, elevation, fov in zip(azimuths, elevations, fovs, strict=True):
        distance = MARGIN * DISTANCE * np.tan(np.radians(FOV / 2.0)) / np.tan(np.radians(fov / 2.0))
        picture = render(name, [orbit(azimuth, float(elevation), distance, float(fov))], PHOTO_SIZE)[0]
        framed, _ = frame_foreground(picture, 0.85)
        views.append(View(f"{len(views)}", framed, orbit(azimuth, 0.0, known="given")))
    return views


def listed(values: Array) -> str:
    """Angles, to a degree."""
    return ", ".join(f"{value:.0f}" for value in values)


if __name__ == "__main__":
    main()
