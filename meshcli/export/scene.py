"""What is handed over to other programs: a mesh of true size and the cameras of its pictures. Light: no numpy.

Scene coordinates are right-handed, in metres, with z up; the object's front is on +x unless the scene stands in the
coordinates of a rig. frames.py takes them on to those of each file format.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from meshcli.views.camera import Camera

if TYPE_CHECKING:
    from meshcli.meshes.mesh import Mesh

CameraKind = Literal[
    "photo",  # of an original photo, uncropped and upright
    "view",  # of a chosen view
    "turntable",  # that the turntable starts from
]


@dataclass(frozen=True)
class SceneCamera:
    """A camera of the scene and the picture that it belongs to."""

    name: str  # photo_a, view_a3, turntable: unique, of letters, digits and underscores
    kind: CameraKind
    camera: Camera  # in scene coordinates: a rigid pose, its position in metres
    width: int  # of the picture, in pixels
    height: int
    picture: str = ""  # the picture's file in the project; none for the turntable


@dataclass(frozen=True)
class Scene:
    """A mesh and its cameras, placed."""

    name: str  # of the object, as other programs show it
    mesh: "Mesh"  # vertices in scene coordinates
    cameras: tuple[SceneCamera, ...] = ()
    size_known: bool = False  # whether a metre is a metre; otherwise one unit of our world became one
