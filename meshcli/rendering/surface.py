"""A mesh's surface, prepared for each of its looks: its colour, or its shape in clay, normals, depth or edges."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from meshcli.arrays import Array
from meshcli.meshes.mesh import PLAIN_GREY, Mesh, corner_normals, face_normals
from meshcli.meshes.raycasting import Hits
from meshcli.rendering.shading import (
    CLAY,
    COLOURS,
    DEPTH,
    MASK,
    MAX_CONTRAST,
    NORMALS,
    TEXTURE,
    WIREFRAME,
    Frame,
    encoded,
    look_of,
)
from meshcli.rendering.texture_lookup import Colour, packed, texel
from meshcli.settings import NormalSpace, RenderPass
from meshcli.system.numba_kernel import kernel
from meshcli.views.camera import Camera
from meshcli.views.projection import camera_to_world

LAMPS = (((-0.7, 0.5, 0.55), 0.6), ((0.8, 0.1, 0.5), 0.14))  # direction towards it: x right, y up, z to the viewer
LINE_PIXELS, REFERENCE_SIDE = 1.1, 768.0  # width, in pictures up to this side; proportionally more in larger ones
NO_FRAME = ((0.0, 0.0, 0.0),) * 4
NO_TEXTURE, NO_HEIGHTS = np.zeros((2, 2), np.int32), np.zeros(0, np.float32)


@dataclass(frozen=True)
class Paint:
    """A look as the compiled loops need it."""

    kind: int  # TEXTURE, COLOURS ... of `shading`
    # Of the faces' corners (F, 3, A): columns and rows of a texture, colours, or normals and distances from the edges.
    attributes: NDArray[np.float32]
    texture: NDArray[np.int32]  # (H + 1, W + 1), packed
    heights: NDArray[np.float32]  # (F,) the smallest of each face, for a wireframe; else empty
    frame: Frame


@dataclass(frozen=True)
class Look:
    """A pass as it is rendered."""

    kind: RenderPass = "shaded"
    normal_space: NormalSpace = "camera"
    nearest: float = 0.0  # depths in world units that are white and FARTHEST_GREY in a picture of the depth
    farthest: float = 1.0


@dataclass(frozen=True)
class Surface:
    """A mesh's surface, prepared for its looks."""

    mesh: Mesh

    def paint(self, look: Look, camera: Camera, height: int, samples: int) -> Paint:
        """The paint of a picture of this height in pixels with samples x samples points in each."""
        none = np.zeros((len(self.mesh.faces), 3, 0), np.float32)
        match look.kind:
            case "shaded":
                kind, attributes, texture = self.colours
                return Paint(kind, attributes, texture, NO_HEIGHTS, NO_FRAME)
            case "depth":
                depths = (look.nearest, look.farthest, 0.0)
                return Paint(DEPTH, none, NO_TEXTURE, NO_HEIGHTS, (depths, *NO_FRAME[1:]))
            case "mask":
                return Paint(MASK, none, NO_TEXTURE, NO_HEIGHTS, NO_FRAME)
        rotation = camera_to_world(camera)[:3, :3]
        if look.kind == "normals":
            axes = rotation.T if look.normal_space == "camera" else np.eye(3)
            return Paint(NORMALS, self.normals, NO_TEXTURE, NO_HEIGHTS, _frame(*axes, np.zeros(3)))
        lamps = [rotation @ (np.array(towards) / np.linalg.norm(towards)) * strength for towards, strength in LAMPS]
        unit = camera.fy * height  # pixels of a world unit at depth 1
        lines = np.array([unit, LINE_PIXELS / 2.0 * max(1.0, height / REFERENCE_SIDE), samples])
        frame = _frame(*lamps, np.zeros(3), lines)
        if look.kind == "clay":
            return Paint(CLAY, self.normals, NO_TEXTURE, NO_HEIGHTS, frame)
        attributes, heights = self.edges
        return Paint(WIREFRAME, attributes, NO_TEXTURE, heights, frame)

    @cached_property
    def colours(self) -> tuple[int, Array, Array]:
        """The kind; the corners' columns and rows in a texture (F, 3, 2), or their colours (F, 3, 3); the texture."""
        texture, colours = self.mesh.texture, self.mesh.colours
        if texture is not None:
            height, width = texture.image.shape[:2]
            u, v = np.moveaxis(texture.coordinates[texture.faces], 2, 0)
            places = np.stack([u * width, (1.0 - v) * height], axis=2).astype(np.float32)
            return TEXTURE, places, packed(texture.image)
        if colours is not None:
            return COLOURS, colours[self.mesh.faces].astype(np.float32), NO_TEXTURE
        return COLOURS, np.full((len(self.mesh.faces), 3, 3), PLAIN_GREY, np.float32), NO_TEXTURE

    @cached_property
    def edges(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Normals of the corners and their distances from the three edges, (F, 3, 6); the least heights (F,)."""
        heights = self.heights
        distances = np.eye(3, dtype=np.float32) * heights[:, None, :]  # a corner lies on the two edges that meet there
        return np.concatenate([self.normals, distances], axis=2), heights.min(axis=1)

    @cached_property
    def normals(self) -> NDArray[np.float32]:
        """Unit normals of the faces' corners (F, 3, 3)."""
        return corner_normals(self.mesh.vertices, self.mesh.faces)

    @cached_property
    def heights(self) -> NDArray[np.float32]:
        """Heights of the faces' corners above the opposite edges, (F, 3), world units."""
        corners = self.mesh.vertices[self.mesh.faces].astype(np.float64)
        edges = np.linalg.norm(corners[:, [2, 0, 1]] - corners[:, [1, 2, 0]], axis=2)
        area = np.linalg.norm(self._face_normals, axis=1, keepdims=True)
        heights: NDArray[np.float32] = (area / np.maximum(edges, 1e-20)).astype(np.float32)
        return heights

    @cached_property
    def _face_normals(self) -> NDArray[np.float64]:
        return face_normals(self.mesh.vertices, self.mesh.faces)

    @cached_property
    def _face_offsets(self) -> NDArray[np.float64]:
        """The products (F,) of the faces' normals with their points."""
        return np.asarray((self._face_normals * self.mesh.vertices[self.mesh.faces[:, 0]]).sum(axis=1))

    def facing(self, camera: Camera) -> NDArray[np.float32]:
        """1 for faces (F,) whose front a camera sees, -1 for those whose back it sees."""
        front = self._face_normals @ np.array(camera.position) >= self._face_offsets
        return np.where(front, np.float32(1.0), np.float32(-1.0))


def _frame(*rows: Array) -> Frame:
    """Four rows of three numbers for the kernels."""
    first, second, third, fourth = ((float(x), float(y), float(z)) for x, y, z in rows)
    return first, second, third, fourth


def draw_pixels(
    picture: Array, pixels: Array, hits: Hits, samples: int, paint: Paint, facing: Array
) -> NDArray[np.bool_]:
    """Draw pixels (P,) into a picture (H x W, 4) by their samples, all of each pixel after another.

    Straight alpha; pixels that nothing covers stay as they are. True where samples differ or cover a pixel in part.
    """
    sizes = np.stack([facing, paint.heights if len(paint.heights) else facing], axis=1)
    found, look = (hits.faces, hits.barycentric, hits.depths), (paint.kind, paint.frame)
    contrasting: NDArray[np.bool_] = _average_samples(
        picture, pixels, samples**2, found, paint.attributes, sizes, paint.texture, look
    )
    return contrasting


@kernel()
def _average_samples(
    picture: Array,
    pixels: Array,
    samples: int,
    hits: tuple[Array, Array, Array],
    attributes: Array,
    sizes: Array,
    texture: Array,
    look: tuple[int, Frame],
) -> Array:
    faces, weights, depths = hits
    kind, frame = look
    contrasting = np.zeros(len(pixels), np.bool_)
    for p in range(len(pixels)):
        red, green, blue = 0.0, 0.0, 0.0
        low_red, low_green, low_blue, high_red, high_green, high_blue = 1e9, 1e9, 1e9, -1e9, -1e9, -1e9
        hit = 0
        for n in range(p * samples, (p + 1) * samples):
            face = faces[n]
            if face < 0:
                continue
            hit += 1
            corners = weights[n, 0], weights[n, 1], weights[n, 2]
            r, g, b = _look_of_hit(face, corners, depths[n], attributes, sizes, texture, kind, frame)
            red, green, blue = red + r, green + g, blue + b
            low_red, high_red = min(low_red, r), max(high_red, r)
            low_green, high_green = min(low_green, g), max(high_green, g)
            low_blue, high_blue = min(low_blue, b), max(high_blue, b)
        if hit:
            red, green, blue = red / hit, green / hit, blue / hit
            if kind == NORMALS:
                red, green, blue = encoded(red - 127.5, green - 127.5, blue - 127.5)
            picture[pixels[p], 0], picture[pixels[p], 1] = np.uint8(red + 0.5), np.uint8(green + 0.5)
            picture[pixels[p], 2] = np.uint8(blue + 0.5)
            picture[pixels[p], 3] = np.uint8(255.0 * hit / samples + 0.5)
            contrast = max(high_red - low_red, high_green - low_green, high_blue - low_blue)
            contrasting[p] = hit < samples or contrast > MAX_CONTRAST
    return contrasting


@kernel()
def _look_of_hit(
    face: int, weights: Colour, depth: float, attributes: Array, sizes: Array, texture: Array, kind: int, frame: Frame
) -> Colour:
    """The look of a point of a face by the weights of its corners."""
    if kind >= DEPTH:
        return look_of((0.0, 0.0, 0.0), 1.0, depth, (0.0, 0.0), kind, frame)
    u, v, w = weights
    a = u * attributes[face, 0, 0] + v * attributes[face, 1, 0] + w * attributes[face, 2, 0]
    b = u * attributes[face, 0, 1] + v * attributes[face, 1, 1] + w * attributes[face, 2, 1]
    if kind == TEXTURE:
        return texel(texture, a, b)
    c = u * attributes[face, 0, 2] + v * attributes[face, 1, 2] + w * attributes[face, 2, 2]
    edge = 0.0
    if kind == WIREFRAME:
        edge = min(u * attributes[face, 0, 3], v * attributes[face, 1, 4], w * attributes[face, 2, 5])
    return look_of((a, b, c), sizes[face, 0], depth, (edge, sizes[face, 1]), kind, frame)
