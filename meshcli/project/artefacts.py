"""The places of the artefacts in a project directory. Light: no imports.

Files of a photo or a view are numbered or named after it; all others are in FIXED_ARTEFACTS.
"""

from collections.abc import Iterable, Mapping

FOLDERS = ("photos", "views", "mesh", "renders", "export")  # of the artefacts
SELECTION_SHEET = "selection.png"  # the only artefact outside them; the name and place that InstantMesh uses
CUTOUTS_SHEET = "photos/cutouts.png"  # all cut-outs on a checkerboard, labelled
VIEWS_SHEET = "views/sheet.png"  # all views, labelled
BODY = "views/body.glb"  # the body that `sculpt` made of all photos and that its views show
GUESSES_SHEET = "photos/guesses.png"  # photos beside the object as seen from their estimated azimuths
MESH = "mesh/mesh.glb"
IMPORTED_MESH = "mesh/imported.glb"  # a mesh file of another program, as it was handed in
PLANES = "mesh/triplane.safetensors"  # a network's triplanes of the views
TURNTABLE = "renders/turntable.mp4"
CONTACT_SHEET = "renders/contact.png"
EXPORT = "export"  # the folder of what is handed over to other programs
EXPORTED_CAMERAS = "export/cameras.json"
LOG = "log.txt"  # of the commands; no artefact: no stage reads it, and it may be deleted
ROTATED_LOG = "log.1.txt"  # an older part of it
SIDES = ("front", "right", "back", "left", "top")  # of the stills
FIXED_ARTEFACTS: Mapping[str, tuple[str, ...]] = {  # stage -> what it may write in every project
    "generate": (CUTOUTS_SHEET, VIEWS_SHEET, GUESSES_SHEET, BODY),
    "select": (SELECTION_SHEET,),
    "reconstruct": (MESH, "mesh/mesh.obj", "mesh/mesh.mtl", "mesh/mesh.png", "mesh/colours.obj", PLANES, IMPORTED_MESH),
    "render": (TURNTABLE, CONTACT_SHEET, *(f"renders/{side}.png" for side in SIDES)),
    "export": (),  # its files are named after the project and its formats
}


def cut_out_file(photo: str) -> str:
    """The cut-out of a photo."""
    return f"photos/{photo}.png"


def still_file(name: str, kind: str = "shaded") -> str:
    """A still of a pass: `name` is a side, `azimuth-045` or `camera-a`."""
    return f"renders/{name}.png" if kind == "shaded" else f"renders/{name}.{kind}.png"


def camera_still(picture: str) -> str:
    """The name of a still from the camera of a photo or view."""
    return f"camera-{picture}"


def turntable_file(kind: str = "shaded", ending: str = "mp4") -> str:
    """The turntable of a pass as mp4, gif or webp."""
    return f"renders/turntable.{ending}" if kind == "shaded" else f"renders/turntable.{kind}.{ending}"


def blend_file(name: str) -> str:
    """A photo or view mixed with the mesh as its camera sees it."""
    return f"renders/camera-{name}.blend.jpg"


def checkpoint_file(photo: str) -> str:
    """A diffusion run that was interrupted."""
    return f"views/{photo}.unfinished"


def view_file(number: int) -> str:
    """The view with this number."""
    return f"views/{number:02d}.png"


def generated_files(photos: Iterable[str], numbers: Iterable[int]) -> list[str]:
    """What `generate` may write for these photos and views with these numbers, apart from copies of the originals."""
    files = [file(photo) for photo in photos for file in (cut_out_file, checkpoint_file)]
    return [*FIXED_ARTEFACTS["generate"], *files, *map(view_file, numbers)]
