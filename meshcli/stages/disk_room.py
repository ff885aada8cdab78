"""How much the stages will write, estimated from what they wrote before, and whether the disk has room. Light.

The rates were measured on the example desk (three photos, `fit`, default settings) and rounded up. Pictures of noise
take four bytes a pixel, so an estimate may be too low by a factor, but not by an order of magnitude.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from meshcli.engines import IMPORT, NETWORKS
from meshcli.errors import ProjectError
from meshcli.project.manifest import Stage
from meshcli.settings import Settings
from meshcli.stages.stage_runner import DiskFullError
from meshcli.stages.view_choice import DEFAULT_VIEW_COUNT

BYTES_PER_PIXEL = 0.5  # of a PNG; measured: views 0.44, sheet and contact sheet 0.4, stills 0.34
CUT_OUT_BYTES_PER_PIXEL = 1.5  # of a PNG of a photo; measured 1.1 to 1.4
CUT_OUT_GROWTH = 5  # of a cut-out, a PNG, to a photo, a JPEG, at the most
BYTES_PER_FACE = 200  # in the GLB and both OBJ files together; measured 190
BYTES_PER_TEXEL = 1.5  # in the PNG and the GLB together; measured 1.34
BYTES_PER_FRAME_PIXEL = 0.02  # of the video; measured 0.009, and twice that for a picture full of detail
TRIPLANE_BYTES = 6e6  # of a network's triplanes with their decoder; measured 5 MB
FACES_PER_GRID_CELL = 8  # of a surface in a grid of N x N x N, for each of N x N; a cube has 12
DEFAULT_GRID = 128  # of the networks' descriptions
STILLS = 5
GIF, WEBP = 9, 3  # bytes for one of the video; measured 8.1 and 2.5
MEGABYTE = 1e6


def estimate_bytes(stage: Stage, engine: str, settings: Settings, photo_sizes: tuple[int, ...], views: int) -> int:
    """What a stage will write: of photos with these sizes in bytes, or of so many chosen views."""
    match stage:
        case "generate":
            return int(_generated_bytes(engine, settings, photo_sizes))
        case "select":
            return int(DEFAULT_VIEW_COUNT * _view_pixels("", settings) * BYTES_PER_PIXEL)
        case "reconstruct":
            return int(_mesh_bytes(engine, settings))
        case "render":
            return int(_rendered_bytes(settings, views))
        case "export":
            return int(len(settings.export.targets) * _mesh_bytes("fit", settings))


def free_bytes(root: Path) -> int:
    """How much room the disk of a project has, also before its directory exists."""
    return shutil.disk_usage(_existing_place(root)).free


def require_room(root: Path, estimates: Mapping[Stage, int]) -> None:
    """DiskFullError when the disk of the project has less room than the stages will need.

    Raises ProjectError where nothing may be written, as on a disk that is mounted read-only.
    """
    place = _existing_place(root)
    needed, free = sum(estimates.values()), free_bytes(root)
    if needed and not os.access(place, os.W_OK):
        raise ProjectError(f"{place} cannot be written to; choose another directory, or make it writable")
    if needed > free:
        parts = ", ".join(f"{stage} {size / MEGABYTE:.0f} MB" for stage, size in estimates.items())
        raise DiskFullError(
            f"the disk of {root} has {free / MEGABYTE:.0f} MB left, and about {needed / MEGABYTE:.0f} MB are needed "
            f"({parts}); free some space and type the same command again"
        )


def _existing_place(root: Path) -> Path:
    """The directory of a project, or the nearest above it that exists."""
    place = root.absolute()
    while not place.exists():
        place = place.parent
    return place


def _generated_bytes(engine: str, settings: Settings, photo_sizes: tuple[int, ...]) -> float:
    largest = settings.photo.side**2 * CUT_OUT_BYTES_PER_PIXEL
    photos = sum(size + min(size * CUT_OUT_GROWTH, largest) for size in photo_sizes)
    views = len(photo_sizes) * DEFAULT_VIEW_COUNT * _view_pixels(engine, settings)
    return photos + 2 * views * BYTES_PER_PIXEL  # the sheet shows them all once more


def _view_pixels(engine: str, settings: Settings) -> int:
    return (settings.zero123plus if engine == "zero123plus" else settings.sculpt).view_size ** 2


def _mesh_bytes(engine: str, settings: Settings) -> float:
    network = engine in NETWORKS
    faces = settings.texture.faces
    if network:
        faces = settings.lrm.simplify or FACES_PER_GRID_CELL * (settings.lrm.grid or DEFAULT_GRID) ** 2
    textured = (settings.lrm if network else settings.placement if engine == IMPORT else settings.fit).texture
    texture = settings.texture.size**2 * BYTES_PER_TEXEL if textured else 0.0
    return faces * BYTES_PER_FACE + texture + (TRIPLANE_BYTES if network else 0.0)


def _rendered_bytes(settings: Settings, views: int) -> float:
    pixels = settings.render.size**2
    sheet = 2 * views * _view_pixels("", settings) * BYTES_PER_PIXEL
    stills = max(STILLS, len(settings.render.azimuths)) + 4 * len(settings.render.cameras)  # larger ones, and blends
    videos = 1 + GIF * settings.render.gif + WEBP * settings.render.webp
    each = stills * BYTES_PER_PIXEL + videos * settings.render.frames * BYTES_PER_FRAME_PIXEL
    return len(settings.render.passes) * pixels * each + sheet
