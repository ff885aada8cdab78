"""Draw the picture of refined meshes in docs/own-mesh.md: python tests/bench/draw_refined.py [FILE].

A row per object: a view of its sheet, InstantMesh's published mesh in colour and in clay, and the refined one.
"""

import argparse
from pathlib import Path

import numpy as np
from fit_sheets import sheet_views
from normals import network_mesh
from PIL import Image
from refine import side_by_side

from meshcli.progress import silent
from meshcli.reconstructors.refine import refine
from meshcli.settings import RefineSettings

OBJECTS = ("fox", "bird", "chair_armed", "robot")
VIEW = 0
TILE = 256  # pixels of each picture
QUALITY = 88  # of the JPEG
FILE = Path(__file__).resolve().parents[2] / "docs" / "refined.jpg"


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, default=FILE)
    arguments = parser.parse_args()
    rows = []
    for name in OBJECTS:
        views, network = sheet_views(name), network_mesh(name)
        refined = refine(network, views, RefineSettings(), silent)
        rows.append(side_by_side([network, refined], [views[VIEW]]))
    sheet = Image.fromarray(np.vstack(rows))
    scale = TILE / views[VIEW].width
    size = round(sheet.width * scale), round(sheet.height * scale)
    sheet.resize(size, Image.Resampling.LANCZOS).save(arguments.file, quality=QUALITY, optimize=True)


if __name__ == "__main__":
    main()
