"""The pictures of a project as parts of a page, with what there is to say about each."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from meshcli.errors import MeshcliError
from meshcli.export.frames import pose_to_gltf
from meshcli.project.manifest import Manifest, Photo, ViewEntry
from meshcli.project.project import Project
from meshcli.report.embedded import picture_uri
from meshcli.stages.photo_azimuths import azimuth_lines

CUTOUT_SIDE, ORIGINAL_SIDE, VIEW_SIDE = 720, 560, 320  # pixels along the longer side
SCORES = ("shape", "colour", "sharpness", "whole")  # that make up a view's total


@dataclass(frozen=True)
class ProjectPictures:
    """Reads the pictures of a project; one that is gone or damaged leaves a gap in the page."""

    project: Project
    manifest: Manifest
    max_pixels: int

    def uri(self, file: str, longest: int) -> str:
        """A picture of the project as a URI; empty where it cannot be read."""
        try:
            return picture_uri(self.project.path(file), longest, self.max_pixels)
        except (MeshcliError, OSError):
            return ""

    def photos(self) -> list[dict[str, Any]]:
        """A card for each photo: the original, the cut-out, where it was taken from."""
        lines = {line.split()[0]: line for line in azimuth_lines(self.manifest)}
        return [
            {
                "name": photo.name,
                "source": photo.source,
                "original": self.uri(photo.original, ORIGINAL_SIDE),
                "cutout": self.uri(photo.file, CUTOUT_SIDE),
                "size": " x ".join(map(str, photo.size)),
                "method": photo.method,
                "azimuth": lines.get(photo.name, "").partition(" azimuth ")[2] or f"{photo.camera.azimuth:.0f}",
                "elevation": f"{photo.camera.elevation:.0f}",
                "fov": f"{(photo.camera.uncropped(*photo.crop) if photo.crop else photo.camera).fov:.1f}",
            }
            for photo in self.manifest.active_photos
        ]

    def views(self) -> list[dict[str, Any]]:
        """A card for each view: its picture, where it looks from, its scores, and its place among the chosen ones."""
        chosen = list(self.manifest.selection.names) if self.manifest.selection else []
        return [
            {
                "number": number,
                "name": view.name,
                "picture": self.uri(view.file, VIEW_SIDE),
                "engine": view.engine,
                "azimuth": f"{view.camera.azimuth:.0f}",
                "elevation": f"{view.camera.elevation:.0f}",
                "place": chosen.index(view.name) + 1 if view.name in chosen else 0,
                "score": _share(view.scores.get("total")),
                "scores": [(name, _share(view.scores.get(name))) for name in SCORES if name in view.scores],
            }
            for number, view in self.manifest.active_views.items()
        ]

    def cameras(self) -> list[dict[str, Any]]:
        """The cameras of photos and views in glTF's frame, and which card has the picture of each."""
        photos = [_camera_table(photo, "photo") for photo in self.manifest.active_photos]
        return photos + [_camera_table(view, "view") for view in self.manifest.active_views.values()]

    def listed(self, files: Iterable[str], longest: int) -> list[dict[str, str]]:
        """Those of the files that a record lists as written and that can be read."""
        known = self.manifest.listed_files
        pictures = [(file, self.uri(file, longest)) for file in files if file in known]
        return [{"name": file.rpartition("/")[2].rpartition(".")[0], "picture": uri} for file, uri in pictures if uri]


def _camera_table(entry: Photo | ViewEntry, kind: str) -> dict[str, Any]:
    camera = entry.camera
    return {
        "name": entry.name, "kind": kind, "pose": pose_to_gltf(camera.camera_to_world).T.ravel().tolist(),
        "fx": camera.fx, "fy": camera.fy, "cx": camera.cx, "cy": camera.cy,
    }  # fmt: skip


def _share(value: Any) -> str:
    """A score between 0 and 1 as a whole percentage; empty for anything else, as in a manifest edited by hand."""
    known = isinstance(value, int | float) and not isinstance(value, bool) and 0.0 <= value <= 1.0
    return f"{100.0 * value:.0f}" if known else ""
