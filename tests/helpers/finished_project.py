"""A small project with every stage done, by the fake engines."""

from pathlib import Path

from meshcli.config import override
from meshcli.project.project import Project
from meshcli.settings import Settings
from meshcli.stages.generate import generate_views
from meshcli.stages.photo_set import CameraArguments
from meshcli.stages.reconstruct import reconstruct_mesh
from meshcli.stages.render import render_mesh
from meshcli.stages.select import select_views

SMALL = override(Settings(), {"render.size": 64, "render.frames": 3, "texture.size": 64}, "")
WAYS = CameraArguments([0, 40, -50])


def finish(project: Project, photos: list[Path]) -> None:
    """Run all four stages on three photos; needs the fixture `engine_calls`."""
    generate_views(project, photos, WAYS)
    select_views(project, auto=6)
    reconstruct_mesh(project, settings=SMALL)
    render_mesh(project, settings=SMALL)
