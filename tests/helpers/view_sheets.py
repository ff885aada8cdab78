"""Projects whose views are the tiles of a six-view sheet."""

from pathlib import Path

import numpy as np
from PIL import Image

from meshcli.pictures.image import encode_png
from meshcli.project.manifest import Manifest, Photo, Selection, ViewEntry
from meshcli.project.project import Project
from meshcli.system.digests import file_digest
from meshcli.views.camera import orbit, zero123plus_rig
from meshcli.views.photo_cameras import CameraPrior


def project_of(sheet: Path, folder: Path, count: int = 6) -> Project:
    """A project with the six views of a 3 x 2 sheet, the first `count` selected."""
    pixels = np.asarray(Image.open(sheet).convert("RGBA"))
    side = pixels.shape[1] // 2
    project = Project(folder)
    project.create()
    entries = []
    for tile, camera in enumerate(zero123plus_rig()):
        row, column = divmod(tile, 2)
        square = pixels[row * side : (row + 1) * side, column * side : (column + 1) * side]
        project.write({f"views/{tile:02}.png": encode_png(square)})
        entries.append(ViewEntry(f"a{tile}", f"views/{tile:02}.png", "a", camera, "photos"))
    project.write({"photos/a.png": sheet.read_bytes()})
    photo = Photo(
        "a",
        "photos/a.png",
        "photos/a.png",
        sheet.name,
        file_digest(sheet),
        orbit(0, 0),
        CameraPrior(),
        (320, 320),
        (0.0, 0.0, 1.0, 1.0),
    )
    names = tuple(entry.name for entry in entries[:count])
    project.save(Manifest((photo,), tuple(entries), Selection(names, "flag")))
    return project
