"""The cameras of a project's pictures, and the scene that an export hands over. Light until it works."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from meshcli.errors import InputError, ProjectError, UsageError
from meshcli.export.placement import Box, Placement, place, place_like_rig
from meshcli.export.scene import Scene, SceneCamera
from meshcli.json_table import JsonTable
from meshcli.pictures.source_photo import SourcePhoto
from meshcli.project.artefacts import MESH
from meshcli.project.manifest import Manifest
from meshcli.project.project import Project
from meshcli.settings import ExportSettings, RenderSettings
from meshcli.stages.photo_azimuths import photos_of_unknown_azimuth
from meshcli.views.world_transform import WorldTransform

if TYPE_CHECKING:
    from meshcli.meshes.mesh import Mesh
    from meshcli.progress import Tell

TURNTABLE_SETTINGS = ("elevation", "size")  # that its first camera depends on
MAX_NAME = 60  # characters of the object's name


def object_name(project: Project) -> str:
    """The project's name as all formats take it: letters, digits and underscores."""
    name = re.sub("[^A-Za-z0-9_]+", "_", project.root.resolve().name).strip("_")[:MAX_NAME]
    return name if name and not name[0].isdigit() else f"object_{name}".rstrip("_")


def project_cameras(manifest: Manifest) -> list[SceneCamera]:
    """The cameras of the uncropped photos and of the chosen views, in our world.

    Width and height of a view are 0: its file knows them. Photos of unknown azimuth, and those that stand for
    ready-made views, have no camera.
    """
    unknown = photos_of_unknown_azimuth(manifest)
    found = []
    for photo in manifest.active_photos:
        if len(photo.size) == 2 and len(photo.crop) == 4 and not photo.stated.ready and photo.name not in unknown:
            camera = photo.camera.uncropped(*photo.crop)
            found.append(SceneCamera(f"photo_{photo.name}", "photo", camera, *photo.size, picture=photo.original))
    chosen = manifest.selection.names if manifest.selection else ()
    views = {view.name: view for view in manifest.active_views.values()}
    for view in (views[name] for name in chosen if name in views):
        found.append(SceneCamera(f"view_{view.name}", "view", view.camera, 0, 0, view.file))
    return found


def rig_frame(project: Project, manifest: Manifest) -> WorldTransform:
    """The transform of the calibrated rig that the photos came with; UsageError when there is none."""
    if not manifest.frame:
        raise UsageError(
            f"--like-rig: the photos of {project.root} came with no rig that has coordinates of its own (nerfstudio's "
            f"or COLMAP's); hand it in with `{project.command('generate')} --rig FILE`, or type a size: --height 0.45m"
        )
    return WorldTransform.read(JsonTable(manifest.frame, "manifest.json: frame", ProjectError))


@dataclass(frozen=True)
class PlacedProject:
    """A project's mesh and cameras in our world, and how they become the scene."""

    name: str
    mesh: "Mesh"  # in our world
    cameras: tuple[SceneCamera, ...]  # in our world
    placement: Placement
    sources: dict[str, str]  # picture -> the name of the file that was handed in

    def scene(self) -> Scene:
        """In scene coordinates."""
        return self.in_frame(self.placement.to_scene)

    def in_frame(self, frame: WorldTransform) -> Scene:
        """In the coordinates that a transform takes our world to."""
        cameras = tuple(replace(each, camera=frame.camera(each.camera)) for each in self.cameras)
        return Scene(self.name, moved(self.mesh, frame), cameras, self.placement.size_known)


def load_project(
    project: Project,
    manifest: Manifest,
    settings: ExportSettings,
    render: RenderSettings,
    change: "Callable[[Mesh], Mesh]",
) -> PlacedProject:
    """Read the mesh, `change` it, and place it; ProjectError where the mesh or a picture cannot be read."""
    from meshcli.export.gltf import read_glb

    try:
        mesh = change(read_glb(project.path(MESH)))
    except InputError as error:
        raise ProjectError(f"{error}; `{project.command('reconstruct')} --force` rebuilds it") from error
    low, high = (tuple(float(value) for value in row) for row in (mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)))
    if settings.size_by == "like-rig":
        up = "" if settings.up == "auto" else settings.up
        placement = place_like_rig(rig_frame(project, manifest), up)
    else:
        placement = place(Box((low[0], low[1], low[2]), (high[0], high[1], high[2])), settings)
    cameras = (*_with_sizes(project, project_cameras(manifest)), _turntable(mesh, render))
    sources = {photo.original: photo.source for photo in manifest.active_photos}
    return PlacedProject(object_name(project), mesh, cameras, placement, sources)


def moved(mesh: "Mesh", frame: WorldTransform) -> "Mesh":
    """A mesh in the coordinates that a transform takes its own to."""
    import numpy as np

    turn, shift = np.array(frame.rotation), np.array(frame.translation)
    points = mesh.vertices.astype(np.float64) @ turn.T * frame.scale + shift
    return replace(mesh, vertices=points.astype(np.float32))


def camera_parts(manifest: Manifest, render: Mapping[str, Any]) -> list[Any]:
    """What the cameras depend on, as JSON; `render` are the recorded settings of the turntable."""
    rows = [[each.name, each.camera.to_json(), each.width, each.height] for each in project_cameras(manifest)]
    return [*rows, *(render.get(key, vars(RenderSettings())[key]) for key in TURNTABLE_SETTINGS)]


def note_photos_without_camera(manifest: Manifest, note: "Tell") -> None:
    """Say which photos have no camera."""
    have = {each.picture for each in project_cameras(manifest)}
    without = [photo.name for photo in manifest.active_photos if photo.original not in have and not photo.stated.ready]
    if without:
        note(f"no camera of photo {', '.join(without)}: its azimuth is not known")


def _with_sizes(project: Project, cameras: list[SceneCamera]) -> list[SceneCamera]:
    """With the sizes of the views' pictures."""
    found = []
    for each in cameras:
        if not each.width:
            try:
                width, height = SourcePhoto(project.path(each.picture)).header.size
            except InputError as error:
                raise ProjectError(f"{error}; run `{project.command('generate')}`") from error
            each = replace(each, width=width, height=height)  # noqa: PLW2901
        found.append(each)
    return found


def _turntable(mesh: "Mesh", render: RenderSettings) -> SceneCamera:
    """The camera of the turntable's first frame."""
    from meshcli.views.viewpoints import cameras_around

    camera = cameras_around(mesh.vertices, [(0.0, render.elevation)])[0]
    return SceneCamera("turntable", "turntable", camera, render.size, render.size)
