"""What a point of a surface looks like, in compiled loops: its colour, or its shape in clay, normals, depth or edges.

Looks are averaged over the points of a pixel as sRGB values, as everywhere in meshcli.
"""

import numpy as np

from meshcli.arrays import Array
from meshcli.rendering.texture_lookup import Colour, look_up
from meshcli.system.numba_kernel import kernel

MAX_CONTRAST = 20.0  # of 255, by eye: a pixel whose first samples differ by more gets all samples
TEXTURE, COLOURS, CLAY, WIREFRAME, NORMALS, DEPTH, MASK = range(7)  # kinds of looks
SPAN = 256  # pixels of a row that are shaded together
VALUES = 6  # of a point: three attributes, depth, and for lines the distance to the edge and the triangle's height

# Clay: light = grey x (ambient + sky (1 + n.z) / 2 + the sum of strength x max(0, n . direction) over two lamps) of a
# unit normal n. A strong lamp from the side shows even slight slopes. Chosen by eye.
CLAY_GREY, AMBIENT, SKY = 222.0, 0.24, 0.22
# Lines of a wireframe, by eye: they get thinner where triangles are small, so that dense meshes do not become black.
LINE_RED, LINE_GREEN, LINE_BLUE = 34.0, 46.0, 62.0
LINE_SHARE = 0.07  # of a triangle's smallest height, at most, on each side of it
FARTHEST_GREY = 40.0  # of 255, of a depth picture to be looked at; the nearest point is white

Frame = tuple[Colour, Colour, Colour, Colour]  # what depends on the camera: axes, lamps or depths, and lines


@kernel()
def shade_band(
    drawn: Array,
    planes: Array,
    texture: Array,
    look: tuple[int, Frame],
    plan: tuple[int, bool],
    columns: tuple[int, int],
    band: tuple[int, int],
    picture: Array,
) -> None:
    """Shade the pixels of a band, whose first row and number of rows are given, from the faces at their points."""
    kind, (samples, adaptive), (top, rows) = look[0], plan, band
    faces = np.empty(SPAN * samples**2, np.int32)
    spots, values = np.empty((len(faces), 2)), np.empty((VALUES, len(faces)), np.float32)
    colours = np.empty((3, len(faces)), np.float32)
    pixels = np.empty((SPAN, 4), np.int32)
    for i in range(rows):
        for start in range(columns[0], columns[1], SPAN):
            span = start, min(start + SPAN, columns[1])
            found = _find_pixels(drawn, samples, i, span, pixels)
            few = adaptive
            while found > 0:
                points = _choose_points(drawn, plan[0], few, kind, (top, i), pixels, found, faces, spots)
                _shade_points(faces, spots, points, planes, texture, look, values, colours)
                found = _set_pixels(picture, top + i, pixels, found, colours, kind, samples)
                few = False


@kernel()
def _find_pixels(drawn: Array, samples: int, i: int, span: tuple[int, int], pixels: Array) -> int:
    """List the pixels of a row that a face covers: column, how many points are covered, and 1 if all by one face."""
    found = 0
    for j in range(span[0], span[1]):
        face, hit, alone = drawn[i * samples, j * samples], 0, True
        for m in range(i * samples, (i + 1) * samples):
            for n in range(j * samples, (j + 1) * samples):
                hit += drawn[m, n] >= 0
                alone &= drawn[m, n] == face
        if hit > 0:
            pixels[found, 0], pixels[found, 1], pixels[found, 2] = j, hit, alone
            found += 1
    return found


@kernel()
def _choose_points(
    drawn: Array,
    samples: int,
    few: bool,
    kind: int,
    rows: tuple[int, int],
    pixels: Array,
    count: int,
    faces: Array,
    spots: Array,
) -> int:
    """List the points to shade, and note in the pixels how many are theirs; how many there are in all.

    All points of a pixel that are covered; with `few` one or four within one face, and where more faces cover a pixel,
    or lines may do so, the points near its corners and its centre.
    """
    top, i = rows
    total, corner = 0, (samples - 1) // 4
    for p in range(count):
        j, hit, alone = pixels[p, 0], pixels[p, 1], pixels[p, 2]
        first = total
        if few and alone and kind != WIREFRAME:
            side = 2 if kind == TEXTURE else 1  # what has no fine pattern hardly changes within a pixel of a face
            for m in range(side):
                for n in range(side):
                    faces[total] = drawn[i * samples, j * samples]
                    spots[total, 0] = (j + (n + 0.5) / side) * samples
                    spots[total, 1] = (top + i + (m + 0.5) / side) * samples
                    total += 1
        else:
            some = few and hit == samples**2 and (alone or kind != WIREFRAME)  # whose lines are between the faces
            for m in range(samples):
                for n in range(samples):
                    face = drawn[i * samples + m, j * samples + n]
                    near = min(m, samples - 1 - m), min(n, samples - 1 - n)
                    wanted = near[0] == near[1] and (near[0] == corner or 2 * near[0] == samples - 1)
                    if face >= 0 and (wanted or not some):
                        faces[total] = face
                        spots[total, 0], spots[total, 1] = j * samples + n + 0.5, (top + i) * samples + m + 0.5
                        total += 1
        pixels[p, 3] = total - first
    return total


@kernel()
def _shade_points(
    faces: Array,
    spots: Array,
    count: int,
    planes: Array,
    texture: Array,
    look: tuple[int, Frame],
    values: Array,
    colours: Array,
) -> None:
    """The looks of faces at columns and rows of the grid of points: rows red, green and blue of `colours` (3, N).

    In loops of one purpose each, which the compiler turns into instructions for several points at once.
    """
    kind, frame = look
    if kind != MASK:
        _find_values(faces, spots, count, planes, kind, values)
    if kind == TEXTURE:
        look_up(texture, values, count, colours)
    elif kind == COLOURS:
        _look_at_all(values, count, COLOURS, frame, colours)
    elif kind == CLAY:
        _look_at_all(values, count, CLAY, frame, colours)
    elif kind == WIREFRAME:
        _look_at_all(values, count, WIREFRAME, frame, colours)
    elif kind == NORMALS:
        _look_at_all(values, count, NORMALS, frame, colours)
    elif kind == DEPTH:
        _look_at_all(values, count, DEPTH, frame, colours)
    else:
        colours[:, :count] = 255.0


@kernel(inline=True)
def _look_at_all(values: Array, count: int, kind: int, frame: Frame, colours: Array) -> None:
    """The looks of points of a kind that is known when this is compiled."""
    for n in range(count):
        attributes, inside = (values[0, n], values[1, n], values[2, n]), (values[4, n], values[5, n])
        red, green, blue = look_of(attributes, 1.0, values[3, n], inside, kind, frame)
        colours[0, n], colours[1, n], colours[2, n] = red, green, blue


@kernel()
def _find_values(faces: Array, spots: Array, count: int, planes: Array, kind: int, values: Array) -> None:
    """The attributes of points, normals as seen from the front, the depth, and for lines edge and height."""
    for n in range(count):
        face, x, y = faces[n], spots[n, 0], spots[n, 1]
        depth = 1.0 / (planes[face, 0] + planes[face, 1] * x + planes[face, 2] * y)
        values[3, n] = depth
        if kind == DEPTH:
            continue
        scale = depth if kind <= COLOURS else depth * planes[face, 3]
        values[0, n] = (planes[face, 5] + planes[face, 6] * x + planes[face, 7] * y) * scale
        values[1, n] = (planes[face, 8] + planes[face, 9] * x + planes[face, 10] * y) * scale
        if kind != TEXTURE:
            values[2, n] = (planes[face, 11] + planes[face, 12] * x + planes[face, 13] * y) * scale
        if kind == WIREFRAME:
            values[4, n] = depth * min(
                planes[face, 14] + planes[face, 15] * x + planes[face, 16] * y,
                planes[face, 17] + planes[face, 18] * x + planes[face, 19] * y,
                planes[face, 20] + planes[face, 21] * x + planes[face, 22] * y,
            )
            values[5, n] = planes[face, 4]


@kernel()
def _set_pixels(picture: Array, row: int, pixels: Array, count: int, colours: Array, kind: int, samples: int) -> int:
    """Set pixels of a row to the means of their points; how many of them need more, which are put first in the list."""
    n, again = 0, 0
    for p in range(count):
        j, hit, points = pixels[p, 0], pixels[p, 1], pixels[p, 3]
        red, green, blue = 0.0, 0.0, 0.0
        low_red, low_green, low_blue, high_red, high_green, high_blue = 1e9, 1e9, 1e9, -1e9, -1e9, -1e9
        for m in range(n, n + points):
            r, g, b = colours[0, m], colours[1, m], colours[2, m]
            red, green, blue = red + r, green + g, blue + b
            low_red, high_red = min(low_red, r), max(high_red, r)
            low_green, high_green = min(low_green, g), max(high_green, g)
            low_blue, high_blue = min(low_blue, b), max(high_blue, b)
        n += points
        contrast = max(high_red - low_red, high_green - low_green, high_blue - low_blue)
        if points < hit and contrast > MAX_CONTRAST:
            pixels[again, 0], pixels[again, 1], pixels[again, 2] = j, hit, pixels[p, 2]
            again += 1
            continue
        red, green, blue = red / points, green / points, blue / points
        if kind == NORMALS:
            red, green, blue = encoded(red - 127.5, green - 127.5, blue - 127.5)
        picture[row, j, 0], picture[row, j, 1] = np.uint8(red + 0.5), np.uint8(green + 0.5)
        picture[row, j, 2], picture[row, j, 3] = np.uint8(blue + 0.5), np.uint8(255.0 * hit / samples**2 + 0.5)
    return again


@kernel()
def look_of(
    values: Colour, facing: float, depth: float, inside: tuple[float, float], kind: int, frame: Frame
) -> Colour:
    """The look of a point without a texture: red, green and blue, 0 to 255.

    `values` are its colour or the normal of its face, which is turned round where `facing` is -1; `inside` is the
    distance to the nearest edge and the triangle's least height, for the lines of a wireframe.
    """
    if kind == MASK:
        return 255.0, 255.0, 255.0
    if kind == DEPTH:
        far = (depth - frame[0][0]) / (frame[0][1] - frame[0][0])
        grey = 255.0 + (FARTHEST_GREY - 255.0) * min(max(far, 0.0), 1.0)
        return grey, grey, grey
    if kind == COLOURS:
        return min(values[0], 255.0), min(values[1], 255.0), min(values[2], 255.0)
    x, y, z = values[0] * facing, values[1] * facing, values[2] * facing
    if kind == NORMALS:
        return encoded(
            frame[0][0] * x + frame[0][1] * y + frame[0][2] * z,
            frame[1][0] * x + frame[1][1] * y + frame[1][2] * z,
            frame[2][0] * x + frame[2][1] * y + frame[2][2] * z,
        )
    grey = _light(x, y, z, frame)
    if kind == CLAY:
        return grey, grey, grey
    line = _line_share(inside[0], inside[1], depth, frame)
    return grey + line * (LINE_RED - grey), grey + line * (LINE_GREEN - grey), grey + line * (LINE_BLUE - grey)


@kernel()
def _light(x: float, y: float, z: float, frame: Frame) -> float:
    """The grey of clay, 0 to 255, with a normal of any length."""
    length = np.sqrt(x * x + y * y + z * z) + 1e-20
    light = AMBIENT + SKY * 0.5 * (1.0 + z / length)
    light += max((frame[0][0] * x + frame[0][1] * y + frame[0][2] * z) / length, 0.0)
    light += max((frame[1][0] * x + frame[1][1] * y + frame[1][2] * z) / length, 0.0)
    return float(min(CLAY_GREY * light, 255.0))


@kernel()
def _line_share(edge: float, height: float, depth: float, frame: Frame) -> float:
    """How much of a sample a line covers, 0 to 1; distance to the edge, and the triangle's height, in the world."""
    unit = frame[3][0] / depth  # pixels of a world unit here
    half_width = min(frame[3][1], LINE_SHARE * height * unit)
    return float(min(max(0.5 + (half_width - edge * unit) * frame[3][2], 0.0), 1.0))


@kernel()
def encoded(x: float, y: float, z: float) -> Colour:
    """A direction of any length as a colour: each axis from -1 to 1 becomes 0 to 255."""
    length = np.sqrt(x * x + y * y + z * z) + 1e-20
    return 127.5 * (1.0 + x / length), 127.5 * (1.0 + y / length), 127.5 * (1.0 + z / length)
