"""The four verbs as functions."""

from meshcli.stages.generate import generate_views
from meshcli.stages.photo_set import Typed
from meshcli.stages.reconstruct import reconstruct_mesh
from meshcli.stages.render import render_mesh
from meshcli.stages.select import select_views
from meshcli.stages.work import How, Outcome

__all__ = ["How", "Outcome", "Typed", "generate_views", "reconstruct_mesh", "render_mesh", "select_views"]
