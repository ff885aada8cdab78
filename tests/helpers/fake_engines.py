"""Fake engines: tests of stages and the command line look at files, records and messages, not at shapes.

`python tests/helpers/fake_engines.py ARGUMENTS` is `meshcli ARGUMENTS` with these engines, for tests that need a
process of its own.
"""

import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import numpy as np

from meshcli.export.glb_file import ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER, FLOAT, UNSIGNED_INT, GlbFile
from meshcli.settings import FitSettings
from meshcli.views.camera import zero123plus_rig
from meshcli.views.view import View

FITTED: list[str] = []  # the names of the pictures that the last surface was fitted to
BAKED: list[str] = []  # the names of the pictures that the last texture was baked from
MAY_BE_PAINTED: list[bool] = []  # what the last fit was told
COUNTS = dict.fromkeys(("cut_out", "sculpt", "fit", "bake", "score_views", "register", "refine"), 0)


@dataclass(frozen=True)
class Texture:
    image: Any
    coordinates: Any
    faces: Any


@dataclass(frozen=True)
class Mesh:
    """Like the real one, whose module loads numba."""

    vertices: Any
    faces: Any
    colours: Any = None
    texture: Texture | None = None


@dataclass(frozen=True)
class Sculpture:
    views: list[list[View]]
    photos: list[View]
    notes: list[str]
    mesh: Mesh | None = None
    planes: tuple[Any, ...] = ()


def cut_out(pixels: Any, settings: Any, rembg: bool = True, offline: bool = False, weights: Path | None = None) -> Any:
    COUNTS["cut_out"] += 1
    return SimpleNamespace(pixels=pixels, method="alpha", notes=(), uncompared=False)


def sculpt(
    photos: Sequence[View], settings: Any, fit: Any, seeds: Sequence[int], progress: Any, unknown_elevations: Any = ()
) -> Sculpture:
    COUNTS["sculpt"] += 1
    _trouble("sculpt", fit)
    views = []
    for photo, seed in zip(photos, seeds, strict=True):
        mean = photo.pixels[photo.pixels[..., 3] > 0].mean(axis=0).astype(np.uint8)
        tiles = []
        for tile, camera in enumerate(zero123plus_rig(photo.camera.azimuth, known=photo.camera.known)):
            pixels = np.full((settings.view_size, settings.view_size, 4), (255, 255, 255, 0), np.uint8)
            pixels[20:-20, 20:-20] = (*mean[:3], 255)
            pixels[30:40, 30:40, :3] = (tile * 40, seed % 251, 0)
            tiles.append(View(f"{photo.name}{tile}", pixels, camera))
        views.append(tiles)
    progress(1, 1, "sculpting")
    return Sculpture(views, list(photos), ["depth and back are guessed"])


def sculpt_each(photos: Sequence[View], settings: Any, fit: Any, seeds: Sequence[int], progress: Any) -> Sculpture:
    """Of one photo it is a look at its typed azimuth, not the making of views, and not counted."""
    found = sculpt(photos, settings, fit, seeds, progress)
    COUNTS["sculpt"] -= len(photos) == 1
    return found


@dataclass(frozen=True)
class ViewSet:
    """Like the real one, whose module loads numba."""

    name: str
    views: Sequence[View]
    azimuth: float | None = None
    trusted: Sequence[View] = ()
    photo: View | None = None


def sculpted_set(name: str, photo: View, views: Sequence[View], azimuth: float | None = None) -> ViewSet:
    return ViewSet(name, views, azimuth, (photo,), photo)


def register(sets: Sequence[ViewSet], seed: int = 0, progress: Any = None) -> list[Any]:
    """Forty degrees and a fifth more from photo to photo; the last one could also look the other way."""
    COUNTS["register"] += 1
    _trouble("register", FitSettings())
    placements = []
    for index, one in enumerate(sets):
        azimuth = 40.0 * index if one.azimuth is None else one.azimuth
        answers = [SimpleNamespace(azimuth=azimuth, enlarged=1.0 + 0.2 * index, cost=0.1)]
        if index and index == len(sets) - 1:
            answers.append(SimpleNamespace(azimuth=azimuth + 180.0, enlarged=1.0, cost=0.11))
        chance = 1.0 if index == 0 or one.azimuth is not None else float(os.environ.get("MESHCLI_TEST_CHANCE", "0.9"))
        placements.append(SimpleNamespace(name=one.name, answers=answers, confidence=chance))
    return placements


def better_arrangement(sets: Sequence[ViewSet], seed: int, progress: Any) -> Any:
    """Angles beyond a right angle are taken for reversed."""
    azimuths = [one.azimuth or 0.0 for one in sets]
    return ("the direction reversed", [-azimuth % 360.0 for azimuth in azimuths]) if max(azimuths) > 300.0 else None


def fit(
    views: Sequence[View], settings: Any, seed: int, progress: Any, note: Any = None, may_be_painted: bool = True
) -> Mesh:
    COUNTS["fit"] += 1
    MAY_BE_PAINTED[:] = [may_be_painted]
    FITTED[:] = [view.name for view in views]
    _trouble("fit", settings)
    progress(1, 1, "fitting")
    corners = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.4, 0.4) for z in (-0.3, 0.3)], np.float32)
    faces = [
        (0, 1, 3), (0, 3, 2), (4, 6, 7), (4, 7, 5), (0, 4, 5), (0, 5, 1),
        (2, 3, 7), (2, 7, 6), (0, 2, 6), (0, 6, 4), (1, 5, 7), (1, 7, 3),
    ]  # fmt: skip
    colours = np.tile(views[0].pixels[views[0].height // 2, views[0].width // 2, :3], (8, 1))
    return Mesh(corners, np.array(faces, np.int32), colours)


def score_views(views: Sequence[View]) -> list[dict[str, float]]:
    COUNTS["score_views"] += 1
    return [{"shape": 0.9, "whole": 1.0, "total": 0.95} for _ in views]


def simplify(mesh: Mesh, faces: int) -> Mesh:
    return mesh


def refine(mesh: Mesh, views: Sequence[View], settings: Any, progress: Any, note: Any) -> Mesh:
    COUNTS["refine"] += 1
    return mesh


def texture_mesh(
    mesh: Mesh, photos: Sequence[View], views: Sequence[View], settings: Any, progress: Any, *_: Any
) -> tuple[Mesh, Any]:
    COUNTS["bake"] += 1
    BAKED[:] = [view.name for view in (*photos, *views)]
    image = np.full((settings.size, settings.size, 3), 128, np.uint8)
    coordinates = np.random.default_rng(0).random((len(mesh.vertices), 2)).astype(np.float32)
    report = SimpleNamespace(photos=0.75, views=0.125, mirrored=0.0, continued=0.125, left_out=(), mirror="none")
    return Mesh(mesh.vertices, mesh.faces, mesh.colours, Texture(image, coordinates, mesh.faces)), report


def compare_with_pictures(mesh: Mesh, pictures: Sequence[View]) -> list[Any]:
    return [SimpleNamespace(name=picture.name, match=0.9, iou=0.95, psnr=25.0) for picture in pictures]


class MeshPictures:
    """Writes the mesh's bytes as its video: loading numba would take longer than all the rest."""

    still_cameras: ClassVar = {"front": None}

    def __init__(self, mesh: bytes, settings: Any, *_: Any) -> None:
        self.mesh = mesh
        self.settings = settings

    def turntable(self, path: Path, kind: str) -> None:
        path.write_bytes(self.mesh)

    def still(self, name: str, kind: str) -> Any:
        return np.zeros((2, 2, 3), np.uint8)

    def contact_sheet(self, views: Sequence[View]) -> Any:
        return views[0].pixels


def modules(exports: bool = False) -> dict[str, ModuleType]:
    """The fake modules by the names of the real ones; `exports` adds those that write and render meshes."""
    table: dict[str, dict[str, Any]] = {
        "meshcli.views.scores": {"score_views": score_views},
        "meshcli.pictures.foreground": {"cut_out": cut_out, "cut_from_page": lambda pixels: None},
        "meshcli.generators.sculpt.sculpt": {"sculpt": sculpt, "sculpt_each": sculpt_each},
        "meshcli.alignment.azimuths": {"register": register, "ViewSet": ViewSet, "sculpted_set": sculpted_set},
        "meshcli.alignment.stated_azimuths": {
            "MIN_PHOTOS": 3,
            "MAX_PHOTOS": 4,
            "better_arrangement": better_arrangement,
        },
        "meshcli.alignment.guesses_sheet": {"draw_guesses": lambda *_: np.zeros((2, 2, 3), np.uint8)},
        "meshcli.rendering.picture_match": {"compare_with_pictures": compare_with_pictures},
        "meshcli.reconstructors.fit": {"fit": fit},
        "meshcli.reconstructors.refine": {"refine": refine},
        "meshcli.meshes.simplify": {"simplify": simplify},
        "meshcli.texturing.textured_mesh": {"texture_mesh": texture_mesh},
    }
    if exports:
        table["meshcli.export.gltf"] = {"write_glb": lambda mesh, **_: _glb(mesh), "read_glb": Path.read_bytes}
        table["meshcli.export.obj"] = {"write_obj": lambda mesh, name: {f"{name}.obj": _bytes(mesh)}}
        table["meshcli.rendering.turntable"] = {
            "MeshPictures": MeshPictures,
            "encode_still": lambda picture, kind: picture.tobytes(),
        }
    made = {}
    for name, attributes in table.items():
        made[name] = ModuleType(name)
        vars(made[name]).update(attributes)
    return made


def _glb(mesh: Mesh) -> bytes:
    """A file that a viewer can draw: corners and faces, and the texture's pixels as bytes that nothing refers to."""
    file = GlbFile()
    position = file.add(mesh.vertices, FLOAT, "VEC3", ARRAY_BUFFER, limits=True)
    indices = file.add(mesh.faces.astype(np.uint32).reshape(-1), UNSIGNED_INT, "SCALAR", ELEMENT_ARRAY_BUFFER)
    if mesh.texture:
        file.view(mesh.texture.image.tobytes())
    return file.pack(
        {
            "asset": {"version": "2.0"},
            "scene": 0,
            "scenes": [{"nodes": [0]}],
            "nodes": [{"mesh": 0}],
            "meshes": [{"primitives": [{"attributes": {"POSITION": position}, "indices": indices}]}],
        }
    )


def _bytes(mesh: Mesh) -> bytes:
    return mesh.vertices.tobytes() + (mesh.texture.image.tobytes() if mesh.texture else b"")


def _trouble(engine: str, settings: Any) -> None:
    """MESHCLI_TEST names an engine and what happens to it: "fit:memory", "fit:exhausted", "fit:sleep", "fit:disk"."""
    name, _, what = os.environ.get("MESHCLI_TEST", "").partition(":")
    if name != engine:
        return
    if what == "memory" and max(settings.resolutions) > 50:
        raise MemoryError
    if what == "exhausted":
        raise MemoryError
    if what == "killed" and max(settings.resolutions) > 50:
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "crashed" and max(settings.resolutions) > 50:
        os.kill(os.getpid(), signal.SIGSEGV)
    if what == "disk":
        raise OSError(28, "No space left on device")
    if what == "bug":
        raise ZeroDivisionError("a bug")
    if what.startswith("sleep"):
        Path(what.partition("=")[2]).write_text(str(os.getpid()))
        while True:  # like an engine: never long in one call
            time.sleep(0.1)


if __name__ == "__main__":
    sys.modules |= modules(exports=True)
    from meshcli.commands.cli import main
    from meshcli.stages import generate
    from meshcli.system import processes

    generate.lacking = lambda *_: "weights"  # whoever runs the tests may have them
    processes.COMMAND[:] = [sys.executable, __file__]
    sys.exit(main())
