"""Cameras as samples of OpenTrackIO, which Unreal's Live Link and trackers of studios exchange. Light until it works.

SMPTE RIS OSVP, camdkit, OpenTrackIO 1.0.1 (github.com/SMPTE/ris-osvp-metadata-camdkit): metres, z up, right-handed; a
camera that is not turned looks along +y. So its coordinates are those of the scene. One sample is one camera at one
time, as JSON; a tracker sends it by UDP. These samples are still, so they state no timing.

The focal length is that of a pinhole in millimetres, as are sensor and projection offset: where the principal point
lies from the sensor's centre, to the right and downwards (camdkit, OpenCV_to_OpenTrackIO). Unreal's receiver ignores
that offset.
"""

import json
import uuid
from typing import Any

from meshcli.export.film_back import film_back
from meshcli.export.scene import Scene, SceneCamera

VERSION = (1, 0, 1)
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "meshcli/opentrackio")


def opentrackio_files(scene: Scene) -> dict[str, bytes]:
    """Contents by file name, one sample per camera, deterministic."""
    return {
        f"{camera.name}.json": f"{json.dumps(_sample(scene, camera, number), indent=1)}\n".encode()
        for number, camera in enumerate(scene.cameras, 1)
    }


def _sample(scene: Scene, camera: SceneCamera, number: int) -> dict[str, Any]:
    from meshcli.export.frames import pan_tilt_roll

    lens = film_back(camera)
    position = dict(zip("xyz", camera.camera.position, strict=True))
    offset = {"x": (camera.camera.cx - 0.5) * lens.width, "y": (camera.camera.cy - 0.5) * lens.height}
    return {
        "protocol": {"name": "OpenTrackIO", "version": list(VERSION)},
        "sampleId": uuid.uuid5(NAMESPACE, f"{scene.name}/{camera.name}/{camera.camera.to_json()}").urn,
        "sourceId": uuid.uuid5(NAMESPACE, f"{scene.name}/{camera.name}").urn,
        "sourceNumber": number,
        "static": {
            "camera": {
                "activeSensorPhysicalDimensions": {"height": lens.height, "width": lens.width},
                "activeSensorResolution": {"height": camera.height, "width": camera.width},
                "label": camera.name,
            }
        },
        "tracker": {"notes": camera.picture or camera.kind},
        "lens": {"pinholeFocalLength": lens.focal_length, "projectionOffset": offset},
        "transforms": [
            {"translation": position, "rotation": pan_tilt_roll(camera.camera.camera_to_world), "id": "Camera"}
        ],
    }
