"""Photos against photos: features that two photos share, and where a rotation of the object would take them.

Features are SIFT keypoints (Lowe 2004) on the object. Two photos on a turntable with long lenses constrain the angle
between them only through the depth of what is matched: so a feature is lifted onto the coarse body of its photo, and
counts for an angle if the rotated point lands on its match in the other photo, on the side of the body that faces it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion

from meshcli.arrays import Array, Float64Array
from meshcli.meshes.raycasting import Scene
from meshcli.pictures.image import over, resize
from meshcli.views.camera import Camera
from meshcli.views.projection import project, rays
from meshcli.views.view import View

FEATURE_SIZE = 384  # pixels along a photo's side; larger pictures cost time and add features that no side view shares
GREY = 128  # background, so that the outline is as faint as can be
OUTLINE_MARGIN = 5  # pixels from the outline within which a feature describes the background as well
MAX_RATIO = 0.85  # of the distances to the best and the second-best match; Lowe takes 0.8, turned surfaces need more
# Shares of the picture's side by which a match may be missed: along rows the depth is guessed, along columns the
# elevations are.
COLUMN_TOLERANCE, ROW_TOLERANCE = 0.06, 0.05
MIN_FACING = 0.1  # cosine between the normal and the direction to the camera


@dataclass(frozen=True)
class Features:
    """The features of a photo, lifted onto its body."""

    camera: Camera
    positions: Float64Array  # (N, 2) shares of the picture's width and height
    descriptors: NDArray[np.uint8]  # (N, 128)
    points: Float64Array  # (N, 3) on the body, in its own world
    normals: Float64Array  # (N, 3) towards the photo's camera; 0 where the body was missed


def find_features(photo: View, scene: Scene, vertices: Array, faces: NDArray[np.int32]) -> Features:
    """The features of a cut-out photo, on the surface of a body in the same world."""
    from skimage.feature import SIFT

    pixels = resize(photo.pixels, FEATURE_SIZE, FEATURE_SIZE)
    inside = binary_erosion(pixels[..., 3] > 127, iterations=OUTLINE_MARGIN)
    grey = over(pixels, GREY) @ np.array([0.299, 0.587, 0.114]) / 255.0
    detector = SIFT()  # type: ignore[no-untyped-call]
    try:
        detector.detect_and_extract(grey)  # type: ignore[no-untyped-call]
    except RuntimeError:  # what it raises where it finds none
        return Features(
            photo.camera, np.zeros((0, 2)), np.zeros((0, 128), np.uint8), np.zeros((0, 3)), np.zeros((0, 3))
        )
    found, descriptors = np.asarray(detector.positions), np.asarray(detector.descriptors)
    rows, columns = np.rint(found).astype(int).clip(0, FEATURE_SIZE - 1).T
    kept = inside[rows, columns]
    positions = (found[kept, ::-1] + 0.5) / FEATURE_SIZE
    origins, directions = rays(photo.camera, positions, 1, 1)
    hits = scene.cast(origins, directions)
    seen = hits.faces >= 0
    corners = vertices[faces[hits.faces]].astype(np.float64)
    points = (corners * hits.barycentric[:, :, None]).sum(axis=1)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    normals *= -np.sign((normals * directions).sum(axis=1, keepdims=True)) * seen[:, None]
    return Features(photo.camera, positions, descriptors[kept], points, normals)


def match(a: Features, b: Features) -> NDArray[np.int64]:
    """Pairs (M, 2) of rows of a and b that are each other's best match."""
    from skimage.feature import match_descriptors

    if min(len(a.positions), len(b.positions)) < 2:
        return np.zeros((0, 2), np.int64)
    return np.asarray(
        match_descriptors(  # type: ignore[no-untyped-call]
            a.descriptors, b.descriptors, cross_check=True, max_ratio=MAX_RATIO
        )
    )


def count_consistent(
    a: Features, b: Features, matches: NDArray[np.int64], rotations: Float64Array, scale: float
) -> Float64Array:
    """How many matches agree with each rotation, (R,); each counts twice if it does so lifted from a and from b.

    As in azimuths.py, photo b is `rotation` degrees after a and shows the object `scale` times as large.
    """
    counts = [
        _landed(a, b, matches, float(rotation), scale) + _landed(b, a, matches[:, ::-1], -float(rotation), 1.0 / scale)
        for rotation in rotations
    ]
    return np.array(counts, dtype=np.float64)


def _landed(a: Features, b: Features, matches: NDArray[np.int64], rotation: float, scale: float) -> int:
    """How many features of a, rotated, land on their matches in b."""
    angle = np.radians(-rotation)
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    points = a.points[matches[:, 0]] @ turn.T * scale
    normals = a.normals[matches[:, 0]] @ turn.T
    positions, _ = project(b.camera, points, 1, 1)
    to_camera = np.array(b.camera.position) - points
    facing = (normals * to_camera).sum(axis=1) > MIN_FACING * np.linalg.norm(to_camera, axis=1)
    missed = np.abs(positions - b.positions[matches[:, 1]])
    return int((facing & (missed[:, 0] < COLUMN_TOLERANCE) & (missed[:, 1] < ROW_TOLERANCE)).sum())
