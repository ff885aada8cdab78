"""Measure the azimuths that `align` finds and the chances it states: python tests/bench/azimuths.py [KIND] [--fit].

Six photos of each of 16 objects (the textured meshes and the real InstantMesh meshes of ../shared/data) from random
azimuths, elevations of -3 to 15 degrees and lenses of 20 to 45 degrees, of which `align` is told nothing. KIND is what
it compares: `views`, six exact views of each photo at a random size, or `sculpt`, the views that `sculpt` makes of each
photo alone, as `run` does when no angle is typed. Draws are all pairs of an object's photos and every fourth triple; an
azimuth within 20 degrees counts as right. Each object's chances are computed with the constants of azimuths.py; with
--fit, these are fitted anew, to the other objects only, by maximum likelihood.

`photos` takes the sets of photos/multi, whose azimuths are known by eye. `arrangements` takes triples and quadruples of
photos with azimuths typed right to 4 degrees, then with two exchanged or all reversed, and counts how often another
arrangement fits clearly better (stated_azimuths.py).
"""

import argparse
import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import measure
import numpy as np
from measure import CACHE, DATA, NAMES, load_truth
from scipy.optimize import minimize

from meshcli.alignment.azimuths import (
    COARSE_FIT,
    GUESSED_DEPTH,
    RIGHT,
    SIX_VIEWS,
    SWEEP_STEP,
    Evidence,
    SetModel,
    ViewSet,
    compare_pair,
    sculpted_set,
)
from meshcli.alignment.posterior import marginals, share_near
from meshcli.alignment.stated_azimuths import CLEAR_GAIN, other_arrangements
from meshcli.generators.sculpt.sculpt import sculpt
from meshcli.meshes.mesh import Mesh
from meshcli.pictures.foreground import cut_out
from meshcli.pictures.image import frame_foreground, load_picture, resize
from meshcli.progress import silent
from meshcli.rendering.renderer import Renderer
from meshcli.settings import FitSettings, PhotoSettings, SculptSettings
from meshcli.stages.photo_azimuths import MIN_CHANCE
from meshcli.views.camera import DISTANCE, FOV, Camera, angular_distance, orbit, zero123plus_rig
from meshcli.views.view import View

RECONSTRUCTIONS = (
    "bird", "cartoon_dinosaur", "chair_armed", "chair_wood", "extinguisher", "fox", "plant", "robot", "sea_turtle",
)  # fmt: skip
BY_EYE = {"astronaut": (0.0, 90.0, 180.0), "mushroom": (40.0, 180.0, -40.0), "reception_desk": (45.0, 90.0, 0.0)}
PHOTOS = 6  # of each object
PHOTO_SIZE, VIEW_SIZE = 512, 320  # pixels
ROTATIONS = np.arange(0.0, 360.0, SWEEP_STEP)
DIFFERENCES = (np.arange(len(ROTATIONS))[None, :] - np.arange(len(ROTATIONS))[:, None]) % len(ROTATIONS)
HELD_OUT = 2  # objects at a time
MIN_GAP = 25.0  # degrees between photos whose order is in question
BINS = (0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 1.01)

Array = np.ndarray[Any, Any]
Curves = dict[tuple[int, int], tuple[Array, Array]]  # photos i < j -> costs and matches by rotation


@dataclass(frozen=True)
class Comparisons:
    """All that `align` learns of an object's photos."""

    name: str
    angles: Sequence[float]  # the truth
    curves: Curves


@dataclass(frozen=True)
class Answer:
    """An azimuth that was found in a draw."""

    name: str
    photos: int  # in the draw
    error: float  # degrees
    chance: float  # that was stated
    log_likelihood: float  # of the truth


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", nargs="?", choices=["views", "sculpt", "photos", "arrangements"], default="sculpt")
    parser.add_argument("--fit", action="store_true", help="fit the constants anew")
    arguments = parser.parse_args()
    kind = "views" if arguments.kind == "views" else "sculpt"
    evidence = SIX_VIEWS if kind == "views" else GUESSED_DEPTH
    if arguments.kind == "photos":
        print("| photos | by eye | found | chance |\n|---|---|---|---|")
        for name, angles in BY_EYE.items():
            print(photo_line(compared(f"{name}-photos", lambda name=name: real_sets(name), angles), evidence))
        return
    objects = [compared(f"{name}-{kind}", *drawn(name, kind)) for name in (*NAMES, *RECONSTRUCTIONS)]
    if arguments.kind == "arrangements":
        print_arrangements(objects, evidence)
        return
    print_table([answer for one in objects for answer in answers(one, evidence)], "constants of azimuths.py")
    if arguments.fit:
        best = fitted(objects, evidence)
        print(f"fitted to all: {best}")
        held_out: list[Answer] = []
        for first in range(0, len(objects), HELD_OUT):
            others = [*objects[:first], *objects[first + HELD_OUT :]]
            for one in objects[first : first + HELD_OUT]:
                held_out += answers(one, fitted(others, best))
        print_table(held_out, "constants fitted to the other objects")


def drawn(name: str, kind: str) -> tuple[Callable[[], list[SetModel]], list[float]]:
    """How to make the sets of an object, and their true azimuths."""
    generator = np.random.default_rng(sum(map(ord, name)))
    angles = generator.uniform(0.0, 360.0, PHOTOS).tolist()

    def sets() -> list[SetModel]:
        return [
            set_model(name, kind, angle, *generator.uniform((-3.0, 20.0, 0.6), (15.0, 45.0, 1.0))) for angle in angles
        ]

    return sets, angles


def set_model(name: str, kind: str, azimuth: float, elevation: float, fov: float, enlarged: float) -> SetModel:
    """A photo of an object, and views of it as the generators would make them."""
    distance = 1.25 * DISTANCE * np.tan(np.radians(FOV / 2.0)) / np.tan(np.radians(fov / 2.0))
    framed, _ = frame_foreground(render(name, [orbit(azimuth, elevation, distance, fov)], PHOTO_SIZE)[0], 0.85)
    photo = View("photo", framed, orbit(0.0, 0.0))
    if kind == "sculpt":
        return sculpted(photo)
    pictures = render(name, zero123plus_rig(azimuth, enlarged), VIEW_SIZE)
    views = [View(f"{i}", pictures[i], camera) for i, camera in enumerate(zero123plus_rig(0.0))]
    return SetModel.of(ViewSet("set", views, photo=photo), COARSE_FIT, 0)


def sculpted(photo: View) -> SetModel:
    """The set that `align` compares when `sculpt` made the views of one photo."""
    views = sculpt([photo], SculptSettings(), FitSettings(), [0], silent).views[0]
    return SetModel.of(sculpted_set("set", photo, views), COARSE_FIT, 0)


def real_sets(name: str) -> list[SetModel]:
    """The sets of real photos."""
    models = []
    for path in sorted((DATA / "photos" / "multi" / name).glob("[123].*")):
        cut = cut_out(load_picture(path, side=2048), PhotoSettings())
        framed, _ = frame_foreground(cut.pixels, 0.85)
        side = min(1024, len(framed))
        models.append(sculpted(View("photo", resize(framed, side, side), orbit(0.0, 0.0))))
    return models


def render(name: str, cameras: Sequence[Camera], size: int) -> Sequence[Array]:
    """Pictures of an object, (size, size, 4) each."""
    if name in NAMES:
        measure.SIZE = size
        pictures: Array = measure._render_truth(load_truth(name), cameras, 2)
        return list(pictures)
    renderer = reconstruction(name)
    return [renderer.render(camera, size, size, samples=2) for camera in cameras]


@cache
def reconstruction(name: str) -> Renderer:
    """A real InstantMesh mesh with its vertex colours; the file is mirrored (its README says so)."""
    lines = [line.split() for line in (DATA / "views" / "reconstructions" / f"{name}.obj").read_text().splitlines()]
    table = np.array([words[1:7] for words in lines if words[:1] == ["v"]], float)
    faces = np.array(
        [[int(w.split("/")[0]) - 1 for w in words[1:4]] for words in lines if words[:1] == ["f"]], np.int32
    )
    vertices = table[:, :3] * [1.0, 1.0, -1.0]
    vertices -= (vertices.min(0) + vertices.max(0)) / 2.0
    vertices *= 0.95 / np.linalg.norm(vertices, axis=1).max()
    colours = np.rint(table[:, 3:] * 255.0).clip(0, 255).astype(np.uint8)
    return Renderer(Mesh(vertices.astype(np.float32), faces[:, ::-1].copy(), colours))


def compared(label: str, sets: Callable[[], list[SetModel]], angles: Sequence[float]) -> Comparisons:
    """The comparisons of all pairs of sets, from the cache if they are there."""
    file = Path(CACHE) / f"azimuths-{label}.pkl"
    if not file.is_file():
        models = sets()
        pairs = combinations(range(len(models)), 2)
        curves = {(i, j): compare_pair(models[i], models[j], ROTATIONS) for i, j in pairs}
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(pickle.dumps(curves))
    curves = pickle.loads(file.read_bytes())  # noqa: S301  # our own file
    return Comparisons(label.partition("-")[0], angles, curves)


def answers(one: Comparisons, evidence: Evidence) -> Iterator[Answer]:
    """What is found for the photos of all draws, apart from the first photo of each."""
    indices = range(len(one.angles))
    for photos in (*combinations(indices, 2), *[*combinations(indices, 3)][::4]):
        best, chances = posterior(one.curves, photos, evidence)
        for place in range(1, len(photos)):
            truth = (one.angles[photos[place]] - one.angles[photos[0]]) % 360.0
            found = float(ROTATIONS[best[place]])
            error = angular_distance(found, truth)
            near = share_near(chances[place], ROTATIONS, truth, 12.0)
            chance = share_near(chances[place], ROTATIONS, found, RIGHT)
            yield Answer(one.name, len(photos), error, chance, float(np.log(near + 1e-9)))


def posterior(curves: Curves, photos: Sequence[int], evidence: Evidence) -> tuple[list[int], list[Array]]:
    """The most probable azimuths, and the probabilities, of some photos beside the first of them."""
    energies = {}
    for x, y in combinations(range(len(photos)), 2):
        costs, matches = curves[photos[x], photos[y]]
        energy = evidence.energy(costs, matches)
        energies[x, y] = energy[DIFFERENCES[:1] if x == 0 else DIFFERENCES]
    best, chances = marginals(energies, [1] + [len(ROTATIONS)] * (len(photos) - 1))
    return best, [(1.0 - evidence.doubt) * each + evidence.doubt / len(each) for each in chances]


def fitted(objects: Sequence[Comparisons], start: Evidence) -> Evidence:
    """The constants under which the truth is most probable."""

    def cost(values: Array) -> float:
        if min(values) < 0.0 or values[2] > 0.9:
            return 1e9
        evidence = Evidence(*map(float, values))
        return -float(np.mean([answer.log_likelihood for one in objects for answer in answers(one, evidence)]))

    solution = minimize(cost, (start.appearance, start.matches, start.doubt), method="Nelder-Mead",
                        options={"maxfev": 50})  # fmt: skip
    return Evidence(*(round(float(value), 3) for value in solution.x))


def print_table(rows: Sequence[Answer], title: str) -> None:
    """How often azimuths are right, and whether the chances are kept."""
    print(f"\n{title}\n\n| photos | answers | right | chance, mean | Brier | called certain | of which right |")
    print("|---|---|---|---|---|---|---|")
    for count in sorted({row.photos for row in rows}):
        right, chance = columns([row for row in rows if row.photos == count])
        certain = chance >= MIN_CHANCE
        share = f"{right[certain].mean():.3f}" if certain.any() else "-"
        brier = np.mean((chance - right) ** 2)
        print(
            f"| {count} | {len(right)} | {right.mean():.2f} | {chance.mean():.2f} | {brier:.3f} | {certain.mean():.2f} "
            f"| {share} |"
        )
    print("\n| chance stated | answers | right |\n|---|---|---|")
    right, chance = columns(rows)
    for low, high in pairwise(BINS):
        inside = (chance >= low) & (chance < high)
        if inside.any():
            print(f"| {low:.1f} to {min(high, 1.0):.1f} | {inside.sum()} | {right[inside].mean():.2f} |")
    bad = [row for row in rows if row.chance >= MIN_CHANCE and row.error > RIGHT]
    print("\ncertain and wrong:", ", ".join(f"{row.name} by {row.error:.0f}" for row in bad) or "none", flush=True)


def print_arrangements(objects: Sequence[Comparisons], evidence: Evidence) -> None:
    """How often right azimuths are doubted, and how often wrong ones are, by the gain that is asked for."""
    generator = np.random.default_rng(0)
    right: list[float] = []
    wrong: list[tuple[float, bool]] = []
    for one in objects:
        for photos in (*combinations(range(PHOTOS), 3), *[*combinations(range(PHOTOS), 4)][::2]):
            truth = [one.angles[photo] + generator.normal(0.0, 4.0) for photo in photos]
            if min(angular_distance(a, b) for a, b in combinations(truth, 2)) < MIN_GAP:
                continue
            right.append(arrangement_gain(one, photos, truth, evidence)[0])
            for _, typed in other_arrangements("abcd", truth):
                gain, best = arrangement_gain(one, photos, typed, evidence)
                missed = [angular_distance(a - best[0], b - truth[0]) for a, b in zip(best, truth, strict=True)]
                wrong.append((gain, max(missed) < 1.0))
    print(
        "| gain asked for | right ones doubted | wrong ones doubted | of these with the right cure |\n|---|---|---|---|"
    )
    for limit in (1.0, 2.0, CLEAR_GAIN, 5.0):
        doubted = [cure for gain, cure in wrong if gain >= limit]
        share = sum(gain >= limit for gain in right) / len(right)
        print(
            f"| {limit:g} | {share:.3f} of {len(right)} | {len(doubted) / len(wrong):.2f} of {len(wrong)} | "
            f"{np.mean(doubted):.2f} |"
        )


def arrangement_gain(
    one: Comparisons, photos: Sequence[int], typed: Sequence[float], evidence: Evidence
) -> tuple[float, list[float]]:
    """By how much the best other arrangement is better than what was typed, and that arrangement."""

    def energy(azimuths: Sequence[float]) -> float:
        total = 0.0
        for x, y in combinations(range(len(photos)), 2):
            costs, matches = (np.append(curve, curve[0]) for curve in one.curves[photos[x], photos[y]])
            turn, grid = (azimuths[y] - azimuths[x]) % 360.0, np.append(ROTATIONS, 360.0)
            total += evidence.energy(np.interp(turn, grid, costs), np.interp(turn, grid, matches))
        return float(total)

    best = min((azimuths for _, azimuths in other_arrangements("abcd", typed)), key=energy)
    return energy(typed) - energy(best), best


def columns(rows: Sequence[Answer]) -> tuple[Array, Array]:
    """Which answers are right, and their chances."""
    return np.array([row.error <= RIGHT for row in rows]), np.array([row.chance for row in rows])


def photo_line(one: Comparisons, evidence: Evidence) -> str:
    """A set of real photos, all of them in one draw, its angles relative to the first photo."""
    best, chances = posterior(one.curves, range(len(one.angles)), evidence)
    truth = [f"{(angle - one.angles[0]) % 360.0:.0f}" for angle in one.angles]
    found = [f"{ROTATIONS[choice]:.0f}" for choice in best]
    stated = [
        f"{share_near(each, ROTATIONS, float(ROTATIONS[choice]), RIGHT):.2f}"
        for each, choice in zip(chances[1:], best[1:], strict=True)
    ]
    return f"| {one.name} | {', '.join(truth)} | {', '.join(found)} | {', '.join(stated)} |"


if __name__ == "__main__":
    main()
