"""Colour a stage's mesh from the project's photos and views. Light until it works."""

from typing import TYPE_CHECKING

from meshcli.settings import TextureSettings
from meshcli.stages.sculpted_body import body_planes
from meshcli.stages.stage_runner import StageRun
from meshcli.stages.texture_sources import TexturePictures, texture_sentence

if TYPE_CHECKING:
    from meshcli.meshes.mesh import Mesh
    from meshcli.texturing.textured_mesh import TextureReport
    from meshcli.views.view import View


def texture_from_pictures(
    run: StageRun, mesh: "Mesh", views: "list[View]", settings: TextureSettings, pictures: TexturePictures
) -> "Mesh":
    """The mesh with a texture from photos, views or both; how much of it they show is a fact and a note."""
    from meshcli.stages.view_loading import load_views
    from meshcli.texturing.textured_mesh import texture_mesh

    run.run_options.tell(texture_sentence(pictures))
    photos = load_views(run.project, pictures.photos)
    calibrated = [photo.name for photo in pictures.photos if photo.camera.known == "rig"]
    named = {photo.name for photo in photos}  # a photo that is chosen as a view is not needed twice
    used = [view for view in views if view.name not in named] if pictures.source != "photos" else []
    by_sculpt = {view.name for view in run.manifest.active_views.values() if view.engine == "sculpt"}
    rendered = [view.name for view in used if view.name in by_sculpt]
    planes = body_planes(run.manifest) if rendered else []
    with run.step("texture"):
        textured, report = texture_mesh(
            mesh, photos, used, settings, run.run_options.progress, calibrated, rendered if photos else [], planes
        )
    run.facts["texture"] = {
        "from": pictures.source,
        "photos": [photo.name for photo in photos if photo.name not in report.left_out],
        "shown_by_photos": round(report.photos, 3),
        "shown_by_views": round(report.views, 3),
        "mirrored": round(report.mirrored, 3),
        "continued": round(report.continued, 3),
        "mirror_plane": report.mirror,
    }
    if report.left_out:
        run.note(f"{', '.join(report.left_out)} left out of the texture: too unlike the mesh")
    run.note(_coverage_sentence(report))
    return textured


def _coverage_sentence(report: "TextureReport") -> str:
    """Which share of the surface has its colours from what, in words."""
    shares = {
        "photos": report.photos, "views": report.views, "mirror images": report.mirrored,
        "their surroundings": report.continued,
    }  # fmt: skip
    parts = [f"{share:.0%} from {name}" for name, share in shares.items() if share >= 0.005]
    return f"colours of the surface: {', '.join(parts)}"
