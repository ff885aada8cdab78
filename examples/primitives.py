"""Closed shapes to model with: each returns vertices (V, 3), their normals (V, 3) and faces (F, 3).

Vertices on an edge are there once for each side, so that every side keeps its own normals.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from meshcli.arrays import Array

Shape = tuple[Array, Array, Array]


def sweep(path: Array, sides: Array, x: tuple[float, float]) -> Shape:
    """A bar with a beveled front along a path in the (y, z) plane; flat across, smooth along the path."""
    soft = 0.004
    profile = [(x[0], -1.0), (x[1] - soft, -1.0), (x[1], -1.0), (x[1], 1.0), (x[1] - soft, 1.0), (x[0], 1.0)]
    inset = [0.0, 0.0, soft, soft, 0.0, 0.0]
    length = np.linalg.norm(sides, axis=1, keepdims=True)
    rings = [
        np.column_stack([np.full(len(path), depth), path + sides * side * (length - shrink) / length])
        for (depth, side), shrink in zip(profile, inset, strict=True)
    ]
    vertices: list[Array] = []
    normals: list[Array] = []
    faces: list[Array] = []
    count = len(path)

    def strip(a: Array, b: Array) -> None:
        start = sum(len(part) for part in vertices)
        i = np.arange(count - 1) + start
        middle = b - a
        ahead = np.gradient(a + b, axis=0)
        normal = np.cross(ahead, middle)
        vertices.append(np.concatenate([a, b]))
        normals.append(np.tile(normal / np.linalg.norm(normal, axis=1, keepdims=True), (2, 1)))
        faces.append(
            np.concatenate([np.stack([i, i + 1, i + count], 1), np.stack([i + 1, i + count + 1, i + count], 1)])
        )

    for a, b in zip(rings, [*rings[1:], rings[0]], strict=True):
        strip(a, b)
    for end, outwards in ((0, -1.0), (-1, 1.0)):
        start = sum(len(part) for part in vertices)
        cap = np.stack([ring[end] for ring in rings])
        normal = np.cross(cap[1] - cap[0], cap[3] - cap[0])
        ahead = outwards * (path[1] - path[0] if end == 0 else path[-1] - path[-2])
        normal *= np.sign(normal[1:] @ ahead) / np.linalg.norm(normal)
        vertices.append(cap)
        normals.append(np.tile(normal, (len(cap), 1)))
        faces.append(np.array([[0, i, i + 1] for i in range(1, len(cap) - 1)]) + start)
    return _oriented(np.concatenate(vertices), np.concatenate(normals), np.concatenate(faces))


def lathe(centre: tuple[float, float], profile: Sequence[tuple[float, float]]) -> Shape:
    """A body of revolution about a vertical axis; the profile runs as (radius, height), its normals are per segment."""
    count = 48
    angles = np.arange(count + 1) / count * 2.0 * math.pi
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    vertices: list[Array] = []
    normals: list[Array] = []
    faces: list[Array] = []
    points = np.array([*profile, (0.0, profile[0][1])])
    smooth = len(profile) > 10
    slopes = np.gradient(points[:-1], axis=0) if smooth else None
    for n, (a, b) in enumerate(pairwise(points)):
        if np.allclose(a, b):
            continue
        start = 2 * len(vertices) * (count + 1) // 2
        for m, point in ((n, a), (n + 1, b)):
            slope = slopes[m] if slopes is not None and 0 < n < len(points) - 2 else b - a
            outwards = np.array([slope[1], -slope[0]]) / np.linalg.norm(slope)
            vertices.append(np.column_stack([ring * point[0] + centre, np.full(count + 1, point[1])]))
            normals.append(np.column_stack([ring * outwards[0], np.full(count + 1, outwards[1])]))
        i = np.arange(count) + start
        j = i + count + 1
        faces.append(np.concatenate([np.stack([i, i + 1, j], 1), np.stack([i + 1, j + 1, j], 1)]))
    return _oriented(np.concatenate(vertices), np.concatenate(normals), np.concatenate(faces))


def shrub(centre: Array, radius: float) -> Shape:
    """A clipped ball of leaves: a dark core and flat closed leaves, each with a ridge, tilted out of the ball."""
    rng = np.random.default_rng(3)
    count = 1700
    height = 1.0 - (2.0 * np.arange(count) + 1.0) / count
    turn = np.arange(count) * math.pi * (3.0 - math.sqrt(5.0))
    ring = np.sqrt(1.0 - height**2)
    outwards = np.stack([ring * np.cos(turn), ring * np.sin(turn), height], axis=1)
    along = rng.normal(size=(count, 3)) + np.array([0.0, 0.0, 0.5])
    along -= np.einsum("nc,nc->n", along, outwards)[:, None] * outwards
    along = along / np.linalg.norm(along, axis=1, keepdims=True) + rng.uniform(0.2, 1.1, (count, 1)) * outwards
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    side = np.cross(along, outwards)
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    up = np.cross(side, along)
    root = centre + outwards * radius * rng.uniform(0.84, 0.95, (count, 1))
    length = rng.uniform(0.022, 0.034, (count, 1))
    corners = [root, root + 0.55 * length * along + 0.26 * length * side, root + length * along]
    corners += [root + 0.55 * length * along - 0.26 * length * side]
    ridge, keel = (root + 0.5 * length * along + lift * up for lift in (0.0015, -0.0015))
    faces = [(i, (i + 1) % 4, k) for k in (4, 5) for i in range(4)]
    points = np.stack([*corners, ridge, keel], axis=1)  # (N, 6, 3)
    triangles = points[:, faces].reshape(-1, 3, 3)
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    inside = np.repeat(points.mean(1), len(faces), 0)
    normals *= np.sign(np.einsum("nc,nc->n", normals, triangles.mean(1) - inside))[:, None]
    normals = np.repeat(normals / np.linalg.norm(normals, axis=1, keepdims=True), 3, 0)
    return _oriented(triangles.reshape(-1, 3), normals, np.arange(3 * len(triangles)).reshape(-1, 3))


def beveled_box(low: Array, high: Array, bevel: float) -> Shape:
    """A box whose edges are beveled; normals belong to the sides, so that shading runs smoothly round the edges."""
    signs = np.array([(i, j, k) for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)])
    middle, half = (low + high) / 2.0, (high - low) / 2.0
    vertices, normals = [], []
    for sign in signs:  # three vertices at each corner, one for each side
        for axis in range(3):
            inner = half - bevel
            inner[axis] = half[axis]
            vertices.append(middle + sign * inner)
            normals.append(np.eye(3)[axis] * sign)
    number = {tuple(sign): 3 * i for i, sign in enumerate(signs)}
    faces = [[3 * i, 3 * i + 1, 3 * i + 2] for i in range(8)]
    for axis in range(3):
        b, c = (axis + 1) % 3, (axis + 2) % 3

        def corner(values: dict[int, int], side: int) -> int:
            return number[values[0], values[1], values[2]] + side

        for s in (-1, 1):
            quad = [corner({axis: s, b: p, c: q}, axis) for p, q in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
            faces += [[quad[0], quad[1], quad[2]], [quad[0], quad[2], quad[3]]]
            for t in (-1, 1):  # the edge between side b at s and side c at t, along `axis`
                ends = [{axis: e, b: s, c: t} for e in (-1, 1)]
                quad = [corner(ends[0], b), corner(ends[1], b), corner(ends[1], c), corner(ends[0], c)]
                faces += [[quad[0], quad[1], quad[2]], [quad[0], quad[2], quad[3]]]
    return _oriented(np.array(vertices), np.array(normals), np.array(faces))


def _oriented(vertices: Array, normals: Array, faces: Array) -> Shape:
    """Faces turned so that they are counter-clockwise seen from where their normals point."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    towards = np.einsum("nc,nc->n", np.cross(b - a, c - a), normals[faces].sum(1))
    faces = np.where((towards < 0.0)[:, None], faces[:, ::-1], faces)
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    return vertices, normals, faces[area > 1e-12]
