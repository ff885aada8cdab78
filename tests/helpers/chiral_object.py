"""An L with one red corner: no mirror image of it, upside down or not, is itself. For tests of file formats.

It stands on the ground off the origin, in scene coordinates (metres, z up): the long arm along x, the short one along
y. The picture is wider than high, and each of the eight sides has its own part of it, so that a texture that is turned,
flipped or shifted shows another colour somewhere.
"""

import numpy as np

from meshcli.meshes.mesh import Mesh, Texture

OUTLINE = np.array([(0.1, -0.25), (1.0, -0.25), (1.0, -0.05), (0.4, -0.05), (0.4, 0.35), (0.1, 0.35)])  # from above
HEIGHT = 0.4
VOLUME = 0.12  # cubic metres
LOW, HIGH = np.array([0.1, -0.25, 0.0]), np.array([1.0, 0.35, 0.4])
RED_CORNER = np.array([1.0, -0.25, 0.4])  # the long arm's end, its right side seen from there, at the top
RED, BLUE = (220, 30, 20), (40, 80, 190)
RED_RADIUS = 0.12  # around the corner, in metres
CELL, MARGIN = 64, 4  # of a side's part of the picture, in pixels
COLUMNS, ROWS = 4, 2
CAP = [(0, 1, 2), (0, 2, 3), (0, 3, 4), (0, 4, 5)]


def chiral_object() -> Mesh:
    """The L with its texture: 12 vertices, 20 faces."""
    count = len(OUTLINE)
    vertices = np.concatenate([np.column_stack([OUTLINE, np.full(count, z)]) for z in (0.0, HEIGHT)])
    sides = [[(b, a, c) for a, b, c in CAP], [tuple(count + i for i in face) for face in CAP]]
    for i in range(count):
        j = (i + 1) % count
        sides.append([(i, j, count + j), (i, count + j, count + i)])
    image = np.zeros((ROWS * CELL, COLUMNS * CELL, 3), np.uint8)
    coordinates = np.concatenate([_paint(image, cell, vertices, np.array(side)) for cell, side in enumerate(sides)])
    faces = np.concatenate([np.array(side) for side in sides]).astype(np.int32)
    texture = Texture(image, coordinates.astype(np.float32), np.arange(3 * len(faces), dtype=np.int32).reshape(-1, 3))
    return Mesh(vertices.astype(np.float32), faces, texture=texture)


def coloured_object() -> Mesh:
    """The same L with vertex colours instead of a texture: its corner red, all others blue."""
    mesh = chiral_object()
    red = np.linalg.norm(mesh.vertices - RED_CORNER, axis=1) < 1e-6
    return Mesh(mesh.vertices, mesh.faces, np.where(red[:, None], RED, BLUE).astype(np.uint8))


def _paint(image: np.ndarray, cell: int, vertices: np.ndarray, side: np.ndarray) -> np.ndarray:
    """Paint a flat side into its cell of the picture; the texture coordinates (3 F, 2) of its faces' corners."""
    corners = vertices[side.reshape(-1)]
    right = corners[1] - corners[0]
    right /= np.linalg.norm(right)
    normal = np.cross(corners[1] - corners[0], corners[2] - corners[0])
    axes = np.stack([right, np.cross(normal / np.linalg.norm(normal), right)])  # (2, 3)
    flat = (corners - corners[0]) @ axes.T
    low, size = flat.min(axis=0), np.ptp(flat, axis=0)
    row, column = divmod(cell, COLUMNS)
    inner = CELL - 2 * MARGIN
    y, x = np.mgrid[:CELL, :CELL] + 0.5
    across = np.stack([(x - MARGIN) / inner, 1.0 - (y - MARGIN) / inner], axis=-1) * size + low
    red = np.linalg.norm(corners[0] + across @ axes - RED_CORNER, axis=-1) < RED_RADIUS
    colours = np.where(red[..., None], RED, np.array(BLUE) - 3 * cell)
    image[row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL] = colours
    pixels = (flat - low) / size * inner + MARGIN + np.array([column, ROWS - 1 - row]) * CELL  # from the bottom left
    return pixels / np.array([COLUMNS * CELL, ROWS * CELL])
