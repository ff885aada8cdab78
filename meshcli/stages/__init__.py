"""The stages as functions of a project. Each is imported on first use: `meshcli --help` needs none of them."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from meshcli.stages.export import export_project
    from meshcli.stages.generate import generate_views
    from meshcli.stages.photo_set import CameraArguments
    from meshcli.stages.reconstruct import reconstruct_mesh
    from meshcli.stages.render import render_mesh
    from meshcli.stages.select import select_views
    from meshcli.stages.stage_runner import Outcome, RunOptions

__all__ = [
    "CameraArguments",
    "Outcome",
    "RunOptions",
    "export_project",
    "generate_views",
    "reconstruct_mesh",
    "render_mesh",
    "select_views",
]

MODULES = {
    "CameraArguments": "photo_set", "Outcome": "stage_runner", "RunOptions": "stage_runner",
    "export_project": "export", "generate_views": "generate", "reconstruct_mesh": "reconstruct",
    "render_mesh": "render", "select_views": "select",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in MODULES:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(import_module(f"meshcli.stages.{MODULES[name]}"), name)
