"""What a point of a mesh's surface looks like: its colour, or its shape in clay, normals, depth or edges.

Looks are averaged over the points of a pixel as sRGB values, as everywhere in meshcli.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from meshcli.arrays import Array
from meshcli.meshes.mesh import PLAIN_GREY, Mesh, corner_normals, face_normals
from meshcli.meshes.raycasting import Hits
from meshcli.pictures.interpolation import adjacent_pixels
from meshcli.settings import NormalSpace, RenderPass
from meshcli.system.numba_kernel import kernel
from meshcli.views.camera import Camera
from meshcli.views.projection import camera_to_world

MAX_CONTRAST = 20.0  # of 255, by eye: a pixel whose first samples differ by more gets all samples
TEXTURE, COLOURS, CLAY, WIREFRAME, NORMALS, DEPTH, MASK = range(7)  # kinds of looks, for the kernels

# Clay: light = grey x (ambient + sky (1 + n.z) / 2 + the sum of strength x max(0, n . direction) over two lamps) of a
# unit normal n. A strong lamp from the side shows even slight slopes. Chosen by eye.
CLAY_GREY, AMBIENT, SKY = 222.0, 0.24, 0.22
LAMPS = (((-0.7, 0.5, 0.55), 0.6), ((0.8, 0.1, 0.5), 0.14))  # direction towards it: x right, y up, z to the viewer
# Lines of a wireframe, by eye: they get thinner where triangles are small, so that dense meshes do not become black.
LINE_RED, LINE_GREEN, LINE_BLUE = 34.0, 46.0, 62.0
LINE_PIXELS, REFERENCE_SIDE = 1.1, 768.0  # width, in pictures up to this side; proportionally more in larger ones
LINE_SHARE = 0.07  # of a triangle's smallest height, at most, on each side of it
FARTHEST_GREY = 40.0  # of 255, of a depth picture to be looked at; the nearest point is white

# Kind, corner colours (F, 3, 3), corner UV coordinates (F, 3, 2), texture, corner normals (F, 3, 3), heights of the
# corners and 1 or -1 for front or back (F, 4), and what depends on the camera (4, 3): axes, lamps or depths, and lines.
Arrays = tuple[int, Array, Array, Array, Array, Array, Array]
NOTHING = (  # the arrays of a surface whose look needs none of them
    np.zeros((0, 3, 3), np.uint8), np.zeros((0, 3, 2), np.float32), np.zeros((0, 0, 3), np.uint8),
    np.zeros((0, 3, 3), np.float32), np.zeros((0, 4), np.float32),
)  # fmt: skip


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

    def arrays(self, look: Look, camera: Camera, height: int, samples: int) -> Arrays:
        """What the kernels need to know for a picture of this height in pixels with samples x samples in each."""
        colours, coordinates, texture, normals, sizes = NOTHING
        frame = np.zeros((4, 3))
        match look.kind:
            case "shaded":
                colours, coordinates, texture = self.colours
                return (TEXTURE if len(coordinates) else COLOURS), colours, coordinates, texture, normals, sizes, frame
            case "depth":
                frame[0, :2] = look.nearest, look.farthest
                return DEPTH, colours, coordinates, texture, normals, sizes, frame
            case "mask":
                return MASK, colours, coordinates, texture, normals, sizes, frame
        sizes = np.hstack([self.heights, self._facing(camera)[:, None]])
        rotation = camera_to_world(camera)[:3, :3]
        if look.kind == "normals":
            frame[:3] = rotation.T if look.normal_space == "camera" else np.eye(3)
            return NORMALS, colours, coordinates, texture, self.normals, sizes, frame
        for row, (direction, strength) in enumerate(LAMPS):
            frame[row] = rotation @ (np.array(direction) / np.linalg.norm(direction)) * strength
        unit = camera.fy * height  # pixels of a world unit at depth 1
        frame[3] = unit, LINE_PIXELS / 2.0 * max(1.0, height / REFERENCE_SIDE), samples
        kind = CLAY if look.kind == "clay" else WIREFRAME
        return kind, colours, coordinates, texture, self.normals, sizes, frame

    @cached_property
    def colours(self) -> tuple[Array, Array, Array]:
        """Corner colours (F, 3, 3), or UV coordinates (F, 3, 2) and a texture; the others are empty."""
        texture, colours = self.mesh.texture, self.mesh.colours
        none, no_coordinates, no_texture = NOTHING[:3]
        if texture is not None:
            corners = texture.coordinates[texture.faces].astype(np.float32)
            return none, corners, np.ascontiguousarray(texture.image)
        if colours is not None:
            return np.ascontiguousarray(colours[self.mesh.faces]), no_coordinates, no_texture
        return np.full((len(self.mesh.faces), 3, 3), PLAIN_GREY, np.uint8), no_coordinates, no_texture

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

    def _facing(self, camera: Camera) -> NDArray[np.float32]:
        """1 for faces (F,) whose front a camera sees, -1 for those whose back it sees."""
        front = self._face_normals @ np.array(camera.position) >= self._face_offsets
        return np.where(front, np.float32(1.0), np.float32(-1.0))


def draw_pixels(picture: Array, pixels: Array, hits: Hits, samples: int, arrays: Arrays) -> NDArray[np.bool_]:
    """Draw pixels (P,) into a picture (H x W, 4) by their samples, all of each pixel after another.

    Straight alpha; pixels that nothing covers stay as they are. True where samples differ or cover a pixel in part.
    """
    contrasting: NDArray[np.bool_] = _average_samples(
        picture, pixels, samples**2, hits.faces, hits.barycentric, hits.depths, arrays
    )
    return contrasting


@kernel()
def _average_samples(
    picture: Array, pixels: Array, samples: int, faces: Array, weights: Array, depths: Array, surface: Arrays
) -> Array:
    kind, colours, coordinates, texture, normals, sizes, frame = surface
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
            u, v, w = weights[n, 0], weights[n, 1], weights[n, 2]  # of the corners
            if kind == TEXTURE:
                r, g, b = _texel(
                    texture,
                    u * coordinates[face, 0, 0] + v * coordinates[face, 1, 0] + w * coordinates[face, 2, 0],
                    u * coordinates[face, 0, 1] + v * coordinates[face, 1, 1] + w * coordinates[face, 2, 1],
                )
            elif kind == COLOURS:
                r = u * colours[face, 0, 0] + v * colours[face, 1, 0] + w * colours[face, 2, 0]
                g = u * colours[face, 0, 1] + v * colours[face, 1, 1] + w * colours[face, 2, 1]
                b = u * colours[face, 0, 2] + v * colours[face, 1, 2] + w * colours[face, 2, 2]
            elif kind >= DEPTH:
                r = g = b = 255.0 if kind == MASK else _grey_of_depth(depths[n], frame)
            else:
                r, g, b = _shape(kind, face, (u, v, w), depths[n], normals, sizes, frame)
            r, g, b = min(r, 255.0), min(g, 255.0), min(b, 255.0)
            red, green, blue = red + r, green + g, blue + b
            low_red, high_red = min(low_red, r), max(high_red, r)
            low_green, high_green = min(low_green, g), max(high_green, g)
            low_blue, high_blue = min(low_blue, b), max(high_blue, b)
        if hit:
            pixel = pixels[p]
            if kind == NORMALS:
                red, green, blue = _encoded(red - 127.5 * hit, green - 127.5 * hit, blue - 127.5 * hit)
                red, green, blue = red * hit, green * hit, blue * hit
            picture[pixel, 0] = np.uint8(red / hit + 0.5)
            picture[pixel, 1] = np.uint8(green / hit + 0.5)
            picture[pixel, 2] = np.uint8(blue / hit + 0.5)
            picture[pixel, 3] = np.uint8(255.0 * hit / samples + 0.5)
            contrast = max(high_red - low_red, high_green - low_green, high_blue - low_blue)
            contrasting[p] = hit < samples or contrast > MAX_CONTRAST
    return contrasting


@kernel()
def _shape(
    kind: int,
    face: int,
    weights: tuple[float, float, float],
    depth: float,
    normals: Array,
    sizes: Array,
    frame: Array,
) -> tuple[float, float, float]:
    """Normals, clay or a wireframe at a point of a face, by the weights of its corners."""
    u, v, w = weights
    facing = sizes[face, 3]
    x = (u * normals[face, 0, 0] + v * normals[face, 1, 0] + w * normals[face, 2, 0]) * facing
    y = (u * normals[face, 0, 1] + v * normals[face, 1, 1] + w * normals[face, 2, 1]) * facing
    z = (u * normals[face, 0, 2] + v * normals[face, 1, 2] + w * normals[face, 2, 2]) * facing
    if kind == NORMALS:
        return _encoded(
            frame[0, 0] * x + frame[0, 1] * y + frame[0, 2] * z,
            frame[1, 0] * x + frame[1, 1] * y + frame[1, 2] * z,
            frame[2, 0] * x + frame[2, 1] * y + frame[2, 2] * z,
        )
    grey = _light(x, y, z, frame)
    if kind == CLAY:
        return grey, grey, grey
    height = min(sizes[face, 0], sizes[face, 1], sizes[face, 2])
    edge = min(u * sizes[face, 0], v * sizes[face, 1], w * sizes[face, 2])
    line = _line_share(edge, height, depth, frame)
    return grey + line * (LINE_RED - grey), grey + line * (LINE_GREEN - grey), grey + line * (LINE_BLUE - grey)


@kernel()
def _grey_of_depth(depth: float, frame: Array) -> float:
    """White at the nearest depth of the frame, FARTHEST_GREY at the farthest."""
    far = (depth - frame[0, 0]) / (frame[0, 1] - frame[0, 0])
    return float(255.0 + (FARTHEST_GREY - 255.0) * min(max(far, 0.0), 1.0))


@kernel()
def _light(x: float, y: float, z: float, frame: Array) -> float:
    """The grey of clay, 0 to 255, with a normal of any length."""
    length = np.sqrt(x * x + y * y + z * z) + 1e-20
    light = AMBIENT + SKY * 0.5 * (1.0 + z / length)
    for lamp in range(2):
        light += max((frame[lamp, 0] * x + frame[lamp, 1] * y + frame[lamp, 2] * z) / length, 0.0)
    return float(min(CLAY_GREY * light, 255.0))


@kernel()
def _line_share(edge: float, height: float, depth: float, frame: Array) -> float:
    """How much of a sample a line covers, 0 to 1; distance to the edge, and the triangle's height, in the world."""
    unit = frame[3, 0] / depth  # pixels of a world unit here
    half_width = min(frame[3, 1], LINE_SHARE * height * unit)
    return float(min(max(0.5 + (half_width - edge * unit) * frame[3, 2], 0.0), 1.0))


@kernel()
def _encoded(x: float, y: float, z: float) -> tuple[float, float, float]:
    """A direction of any length as a colour: each axis from -1 to 1 becomes 0 to 255."""
    length = np.sqrt(x * x + y * y + z * z) + 1e-20
    return 127.5 * (1.0 + x / length), 127.5 * (1.0 + y / length), 127.5 * (1.0 + z / length)


@kernel()
def _texel(texture: Array, u: float, v: float) -> tuple[float, float, float]:
    """Bilinear colour of a texture; u to the right and v up, in [0, 1]."""
    height, width = texture.shape[:2]
    j, right, p = adjacent_pixels(u * width, width)
    i, below, q = adjacent_pixels((1.0 - v) * height, height)
    return (
        _mixed(texture[i, j, 0], texture[i, right, 0], texture[below, j, 0], texture[below, right, 0], p, q),
        _mixed(texture[i, j, 1], texture[i, right, 1], texture[below, j, 1], texture[below, right, 1], p, q),
        _mixed(texture[i, j, 2], texture[i, right, 2], texture[below, j, 2], texture[below, right, 2], p, q),
    )


@kernel()
def _mixed(a: float, b: float, c: float, d: float, p: float, q: float) -> float:
    upper = (1.0 - p) * a + p * b
    lower = (1.0 - p) * c + p * d
    return (1.0 - q) * upper + q * lower
