"""The cameras seen from above, as places in a drawing. Light."""

import math
from typing import Any

from meshcli.project.manifest import Manifest

# In a drawing 200 units wide, whose middle is the object; the front, azimuth 0, is at the bottom.
PHOTO_RING, VIEW_RING = 82.0, 60.0
CLOSE = 10.0  # degrees: views that are closer than this share a ring only with others between them
STEP = 13.0  # from one ring of views to the next, inwards


def camera_map(manifest: Manifest) -> list[dict[str, Any]]:
    """Where each photo and view stands: name, kind, place among the chosen, x, y, and its angle in the drawing."""
    chosen = manifest.selection.names if manifest.selection else ()
    marks = [_mark(photo.name, "photo", photo.camera.azimuth, PHOTO_RING) for photo in manifest.active_photos]
    rings: list[list[float]] = []
    for view in sorted(manifest.active_views.values(), key=lambda view: (view.name not in chosen, view.name)):
        azimuth = view.camera.azimuth
        ring = next((each for each, used in enumerate(rings) if all(_apart(azimuth, other) for other in used)), None)
        if ring is None:
            ring = len(rings)
            rings.append([])
        rings[ring].append(azimuth)
        mark = _mark(view.name, "view", azimuth, max(14.0, VIEW_RING - STEP * ring))
        marks.append({**mark, "chosen": view.name in chosen})
    return marks


def _apart(one: float, other: float) -> bool:
    return abs((one - other + 180.0) % 360.0 - 180.0) >= CLOSE


def _mark(name: str, kind: str, azimuth: float, radius: float) -> dict[str, Any]:
    """Counter-clockwise from the bottom, as azimuths grow seen from above."""
    angle = math.radians(azimuth)
    return {
        "name": name, "kind": kind, "chosen": False, "azimuth": round(azimuth),
        "x": round(radius * math.sin(angle), 2), "y": round(radius * math.cos(angle), 2),
    }  # fmt: skip
