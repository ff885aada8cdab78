"""Measure how often `align` finds the azimuth and size of a photo: python tests/bench/align.py [NAME...] [--draws N].

A draw is two photos at random azimuths, each enlarged by a random factor of 0.6 to 1.0, rendered from the true mesh. An
azimuth within 5 degrees and a size within 5 percent count as right. The bar: the first answer is right in 90 percent of
the draws for spot, armchair and cabinet; for objects that are nearly symmetric the truth is among the listed answers.
"""

import argparse
import time

import numpy as np
from measure import NAMES, pictures

from meshcli.alignment.azimuths import Placement, Pose, ViewSet, register
from meshcli.views.camera import zero123plus_rig
from meshcli.views.view import View

ANGLE, SIZE = 5.0, 0.05  # what counts as right
SEED = 5


def main() -> None:
    """Print one line per object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; default all")
    parser.add_argument("--draws", type=int, default=20)
    arguments = parser.parse_args()
    print("| object | first answer right | among those listed | answers listed | median error | worst | seconds |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for name in arguments.names or NAMES:
        print(line(name, arguments.draws), flush=True)


def line(name: str, draws: int) -> str:
    """All draws of an object."""
    generator = np.random.default_rng(SEED)
    first, listed, counts, errors, seconds = 0, 0, 0, [], 0.0
    for _ in range(draws):
        azimuths, sizes = generator.uniform(0.0, 360.0, 2), generator.uniform(0.6, 1.0, 2)
        sets = [view_set(name, letter, azimuths[i], sizes[i]) for i, letter in enumerate("ab")]
        start = time.perf_counter()
        one, two = register(sets)
        seconds += time.perf_counter() - start
        right = [is_right(pose, one, azimuths[1] - azimuths[0], sizes[1] / sizes[0]) for pose in two.answers]
        first += right[0]
        listed += any(right)
        counts += len(right)
        errors.append(off(two.answers[0].azimuth, azimuths[1] - azimuths[0]))
    return (
        f"| {name} | {first} of {draws} | {listed} of {draws} | {counts / draws:.1f} | {np.median(errors):.1f} | "
        f"{max(errors):.1f} | {seconds / draws:.0f} |"
    )


def view_set(name: str, letter: str, azimuth: float, enlarged: float) -> ViewSet:
    """Six views as a generator would paint them that shows the object `enlarged` times."""
    seen = pictures(name, zero123plus_rig(azimuth, enlarged), 2)
    own = zero123plus_rig(0.0)
    return ViewSet(letter, [View(f"{letter}{i}", seen[i], camera) for i, camera in enumerate(own)])


def is_right(pose: Pose, anchor: Placement, azimuth: float, ratio: float) -> bool:
    """Whether an answer about the second photo is near enough to the truth."""
    found = pose.enlarged / anchor.answers[0].enlarged
    return off(pose.azimuth, azimuth) <= ANGLE and abs(found / ratio - 1.0) <= SIZE


def off(a: float, b: float) -> float:
    """Degrees between two directions."""
    return float(abs((a - b + 180.0) % 360.0 - 180.0))


if __name__ == "__main__":
    main()
