"""Meshes compressed with Draco (KHR_draco_mesh_compression), through DracoPy, the optional package of the extra `web`.

Positions have 14 bits along the longest side: off by at most 0.003 % of it along each axis, 0.0053 % in space. Texture
coordinates have 13: off by an eighth of a pixel of 2048. Normals have 8 on the octahedron, under a degree. Equal values
become equal values, so seams of the texture stay closed.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from meshcli.arrays import Array
from meshcli.errors import MissingError

POSITION_BITS, TEXTURE_BITS, NORMAL_BITS = 14, 13, 8
COMPRESSION_LEVEL = 10  # the slowest and smallest: 0.1 s for 20,000 faces
COLOUR_ID = 7  # of vertex colours in the stream: none of the ids that Draco gives to the other attributes


@dataclass(frozen=True)
class DracoMesh:
    """A compressed mesh and what it becomes when it is read."""

    data: bytes
    faces: Array  # (F', 3): Draco drops faces with two equal corners
    attributes: dict[str, Array]  # by glTF's name, (V', 2 to 4)
    ids: dict[str, int]  # by glTF's name, in the stream


def open_draco() -> Any:
    """The package; MissingError with the line to type where it is not installed."""
    try:
        import DracoPy
    except ImportError as error:
        raise MissingError(f"Draco needs the package DracoPy ({error}): `pip install DracoPy`") from error
    return DracoPy


def compress(faces: Array, attributes: dict[str, Array]) -> DracoMesh:
    """POSITION and NORMAL (V, 3), TEXCOORD_0 (V, 2) or COLOR_0 (V, 4) uint16, and faces (F, 3)."""
    draco = open_draco()
    texture, colours = attributes.get("TEXCOORD_0"), attributes.get("COLOR_0")
    data = draco.encode(
        attributes["POSITION"],
        faces.astype(np.uint32),
        quantization_bits=POSITION_BITS,
        compression_level=COMPRESSION_LEVEL,
        tex_coord=None if texture is None else texture.astype(np.float64),
        normals=attributes["NORMAL"].astype(np.float64),
        tex_coord_quantization_bits=TEXTURE_BITS,
        normal_quantization_bits=NORMAL_BITS,
        generic_attributes=None if colours is None else {COLOUR_ID: colours},
    )
    read = draco.decode(data)
    kinds = {0: "POSITION", 1: "NORMAL", 3: "TEXCOORD_0", 4: "COLOR_0"}  # Draco's GeometryAttribute::Type
    found = {kinds[each["attribute_type"]]: each for each in read.attributes}
    return DracoMesh(
        data,
        np.asarray(read.faces).reshape(-1, 3),
        {name: np.asarray(found[name]["data"]) for name in attributes},
        {name: int(found[name]["unique_id"]) for name in attributes},
    )


def announced_faces(data: bytes) -> int:
    """How many faces a compressed mesh will have, from its header; ValueError where that cannot be told.

    Source: Draco bitstream specification 2.2, sections 4 and 5. Its edgebreaker states the vertices first.
    """
    if data[:5] != b"DRACO" or len(data) < 12 or data[7] != 1 or data[8] not in (0, 1):
        raise ValueError("it holds no Draco mesh")
    if data[10] & 0x80:
        raise ValueError("its Draco mesh has metadata, which is not read here")
    edgebreaker = data[8] == 1
    first, at = _varint(data, 12 if edgebreaker else 11)
    return _varint(data, at)[0] if edgebreaker else first


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """An unsigned number in groups of 7 bits, the lowest first, and where it ends."""
    value = 0
    for place, byte in enumerate(data[at : at + 5]):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, at + place + 1
    raise ValueError("its Draco mesh is damaged")
