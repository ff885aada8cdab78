"""The reception desk of the example photos, and the cameras that they are taken with.

`true_mesh` is the desk in the world of the photos' cameras: what a reconstruction can be compared with.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from primitives import beveled_box, lathe, shrub, sweep

from meshcli.arrays import Array
from meshcli.meshes.mesh import Mesh
from meshcli.views.camera import Camera, orbit

Point = tuple[float, float, float]

FOLDER = Path(__file__).resolve().parent / "desk"
VIEWPOINTS = ((12.0, 6.0), (86.0, 18.0), (234.0, 24.0))  # azimuth, elevation: between them they bound every side
RADIUS = 0.95  # of the farthest point in our world
NAME = "FJORD"

OAK, DARK, BLACK, STONE, BRASS, CLAY, LEAF, PAPER, CLOTH = range(9)


@dataclass
class Model:
    """Triangles that are collected piece by piece, in metres: front +x, text along +y, floor z = 0."""

    vertices: list[Array] = field(default_factory=list)
    normals: list[Array] = field(default_factory=list)
    faces: list[Array] = field(default_factory=list)
    material: list[Array] = field(default_factory=list)
    board: list[Array] = field(default_factory=list)
    grain: list[Array] = field(default_factory=list)

    def add(self, vertices: Array, normals: Array, faces: Array, material: int, grain: int = 1) -> None:
        """A piece with one material; every piece is a board of its own."""
        start = sum(len(part) for part in self.vertices)
        number = len(self.faces)
        self.vertices.append(vertices)
        self.normals.append(normals)
        self.faces.append(faces + start)
        self.material.append(np.full(len(faces), material))
        self.board.append(np.full(len(faces), number))
        self.grain.append(np.full(len(faces), grain))

    def box(self, x: Sequence[float], y: Sequence[float], z: Sequence[float], material: int, grain: int = 1) -> None:
        """A box with softened edges between two values on each axis; the wood grows along axis `grain`."""
        low, high = np.array([x[0], y[0], z[0]]), np.array([x[1], y[1], z[1]])
        self.add(*beveled_box(low, high, min(0.004, float((high - low).min()) / 4.0)), material, grain)


def build() -> Model:
    """The desk: a high counter in an oak frame, a low one at its right, drawers and doors behind."""
    model = Model()
    _counter(model)
    _low_counter(model)
    _staff_side(model)
    _lettering(model, NAME, y=(-0.925, 0.525), z=(0.615, 0.915), x=(0.418, 0.462))
    _props(model)
    return model


def placement(model: Model) -> tuple[Array, float]:
    """The shift and the scale that take the model's metres into our world: world = (metres - shift) * scale."""
    vertices = np.concatenate(model.vertices)
    shift = (vertices.min(0) + vertices.max(0)) / 2.0
    return shift, RADIUS / float(np.linalg.norm(vertices - shift, axis=1).max())


def true_mesh() -> Mesh:
    """The desk in our world, its pieces closed and standing in each other."""
    model = build()
    shift, scale = placement(model)
    vertices = (np.concatenate(model.vertices) - shift) * scale
    return Mesh(vertices.astype(np.float32), np.concatenate(model.faces).astype(np.int32))


def cameras() -> list[Camera]:
    """The photos' cameras in our world."""
    return [orbit(azimuth, elevation, known="rig") for azimuth, elevation in VIEWPOINTS]


def _counter(model: Model) -> None:
    """The high part: an oak frame around a dark front, oak boards below it."""
    model.box((-0.36, 0.36), (-1.00, 1.04), (0.0, 0.09), BLACK)  # plinth, set back
    model.box((0.10, 0.385), (-1.05, 0.63), (0.085, 1.05), BLACK)
    model.box((0.06, 0.48), (-1.10, 0.70), (1.04, 1.10), OAK)
    model.box((0.06, 0.48), (-1.10, -1.04), (0.0, 1.039), OAK, grain=2)
    model.box((0.06, 0.48), (0.64, 0.70), (0.0, 1.039), OAK, grain=2)
    model.box((0.375, 0.418), (-1.035, 0.635), (0.50, 1.035), DARK)
    for low in (0.100, 0.233, 0.366):
        model.box((0.375, 0.400), (-1.035, 0.635), (low, low + 0.127), OAK)
    model.box((0.085, 0.11), (-1.035, 0.635), (0.745, 1.035), DARK)  # its back, above the worktop


def _low_counter(model: Model) -> None:
    """The part for guests who sit: oak boards around a dark core, a stone top."""
    model.box((-0.40, 0.37), (0.68, 1.075), (0.085, 0.745), BLACK)
    for low in (0.100, 0.233, 0.366, 0.499, 0.632):
        high = min(low + 0.127, 0.742)
        model.box((0.36, 0.385), (0.705, 1.095), (low, high), OAK)
        model.box((-0.395, 0.382), (1.07, 1.095), (low, high), OAK, grain=0)
    model.box((-0.43, 0.42), (0.705, 1.12), (0.745, 0.79), STONE)


def _staff_side(model: Model) -> None:
    """Worktop, drawers, doors."""
    model.box((-0.385, 0.10), (-1.05, 0.69), (0.085, 0.71), BLACK)
    model.box((-0.43, 0.085), (-1.095, 0.70), (0.70, 0.742), STONE)
    model.box((-0.41, 0.06), (-1.10, -1.06), (0.0, 0.70), OAK, grain=2)
    for left, right in ((-1.053, -0.575), (0.125, 0.695)):
        for low, high in ((0.10, 0.295), (0.302, 0.497), (0.504, 0.69)):
            model.box((-0.408, -0.38), (left, right), (low, high), OAK)
            _handle(model, (left + right) / 2.0, (low + high) / 2.0 + 0.04)
    for left, right in ((-0.568, -0.228), (-0.221, 0.118)):
        model.box((-0.408, -0.38), (left, right), (0.10, 0.69), DARK)
    model.box((-0.418, -0.39), (0.702, 1.075), (0.10, 0.735), DARK)
    for place in (-0.27, -0.18, 0.76):
        model.box((-0.432, -0.40), (place - 0.008, place + 0.008), (0.42, 0.60), BRASS)


def _handle(model: Model, middle: float, height: float) -> None:
    model.box((-0.432, -0.40), (middle - 0.11, middle + 0.11), (height - 0.008, height + 0.008), BRASS)


def _props(model: Model) -> None:
    """A bell, a plant, two books."""
    angles = np.linspace(0.0, math.pi / 2.0, 13)
    dome = [(0.056 * math.cos(a), 1.112 + 0.052 * math.sin(a)) for a in angles]
    model.add(*lathe((0.27, 0.46), [(0.0, 1.095), (0.068, 1.095), (0.068, 1.110), (0.056, 1.112)]), BLACK)
    model.add(*lathe((0.27, 0.46), [(0.0, 1.108), *dome]), BRASS)
    model.add(*lathe((0.27, 0.46), [(0.0, 1.16), (0.008, 1.16), (0.008, 1.174), (0.0, 1.176)]), BRASS)
    pot = [(0.0, 0.785), (0.075, 0.785), (0.105, 0.93), (0.112, 0.93), (0.112, 0.955), (0.09, 0.955), (0.0, 0.935)]
    model.add(*lathe((-0.06, 0.90), pot), CLAY)
    ball = [(0.137 * math.sin(a), 1.06 - 0.137 * math.cos(a)) for a in np.linspace(0.0, math.pi, 25)]
    model.add(*lathe((-0.06, 0.90), ball), LEAF)
    model.add(*shrub(np.array([-0.06, 0.90, 1.06]), 0.15), LEAF)
    model.box((-0.28, -0.07), (-0.80, -0.50), (0.742, 0.777), CLOTH)
    model.box((-0.25, -0.06), (-0.76, -0.50), (0.777, 0.805), DARK)


def _lettering(model: Model, text: str, y: tuple[float, float], z: tuple[float, float], x: tuple[float, float]) -> None:
    """Raised letters, spread over the whole width."""
    height = z[1] - z[0]
    widths = [LETTERS[letter][0] * height for letter in text]
    gap = (y[1] - y[0] - sum(widths)) / (len(text) - 1)
    left = y[0]
    for letter, width in zip(text, widths, strict=True):
        for stroke in LETTERS[letter][1]:
            path, sides = _stroke(stroke)
            model.add(*sweep(path * height + (left, z[0]), sides * height, x), BRASS)
        left += width + gap


WEIGHT = 0.19  # of a stroke, over the letter's height
# Width over height, then strokes: ("line", from, to), ("slant", from, to) with level ends, ("arc", centre, radii, from,
# to) in degrees. Centre lines; (0, 0) is the letter's lower left corner, the height is 1.
_H = WEIGHT / 2.0
LETTERS: dict[str, tuple[float, list[tuple[Any, ...]]]] = {
    "F": (0.50, [("line", (_H, 0), (_H, 1)), ("line", (_H, 1 - _H), (0.60, 1 - _H)), ("line", (_H, 0.5), (0.52, 0.5))]),
    "J": (0.58, [("line", (0.58 - _H, 0.29), (0.58 - _H, 1)), ("arc", (0.29, 0.29), (0.29 - _H, 0.29 - _H), 180, 360)]),
    "O": (1.00, [("arc", (0.5, 0.5), (0.5 - _H, 0.5 - _H), 0, 360)]),
    "R": (
        0.66,
        [
            ("line", (_H, 0), (_H, 1)),
            ("line", (_H, 1 - _H), (0.37, 1 - _H)),
            ("line", (_H, 0.42 + _H), (0.37, 0.42 + _H)),
            ("arc", (0.37, 0.71), (0.29 - _H, 0.29 - _H), -90, 90),
            ("slant", (0.56, 0), (0.34, 0.46)),
        ],
    ),
    "D": (
        0.80,
        [
            ("line", (_H, 0), (_H, 1)),
            ("line", (_H, 1 - _H), (0.30, 1 - _H)),
            ("line", (_H, _H), (0.30, _H)),
            ("arc", (0.30, 0.5), (0.5 - _H, 0.5 - _H), -90, 90),
        ],
    ),
}


def _stroke(stroke: tuple[Any, ...]) -> tuple[Array, Array]:
    """Points of a stroke's centre line (N, 2) and the vectors to its left edge (N, 2)."""
    if stroke[0] == "arc":
        _, centre, radii, start, end = stroke
        angles = np.radians(np.linspace(start, end, max(2, round(abs(end - start) / 5)) + 1))
        outwards = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        return np.array(centre) + outwards * np.array(radii), -_H * outwards
    kind, start, end = stroke
    path = np.array([start, end], dtype=np.float64)
    along = path[1] - path[0]
    along /= np.linalg.norm(along)
    left = np.array([-along[1], along[0]])
    side = np.array([_H / left[0], 0.0]) if kind == "slant" else _H * left
    return path, np.stack([side, side])
