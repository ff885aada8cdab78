"""three.js with its glTF loader, as the viewer of trimesh carries it. Light until it works.

trimesh packs a page (resources/templates/viewer.zip) whose only script is three.js, TrackballControls and GLTFLoader,
followed by the code of its own viewer, which is left out here. Controls that keep the object upright are ours.
"""

import io
import zipfile

from meshcli.errors import MissingError

ARCHIVE, PAGE = "templates/viewer.zip", "viewer.html.template"
OWN_CODE = "var camera,controls,scene,renderer"  # how trimesh's own code begins, after the libraries
EXPECTED = ("THREE.GLTFLoader=", "Three.js Authors")


def viewer_library() -> str:
    """JavaScript that defines THREE and THREE.GLTFLoader; MissingError where trimesh carries another viewer."""
    from trimesh import __version__, resources

    problem = f"trimesh {__version__} carries no viewer that a report can use; pip install 'trimesh>=4.6,<6'"
    try:
        with zipfile.ZipFile(io.BytesIO(resources.get_bytes(ARCHIVE))) as archive:
            page = archive.read(PAGE).decode()
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise MissingError(problem) from error
    script = page.partition("<script>")[2].partition(OWN_CODE)[0]
    if not all(text in script for text in EXPECTED):
        raise MissingError(problem)
    return script
