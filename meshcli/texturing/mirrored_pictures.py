"""Mirror images of pictures: what they show of one side of a symmetric object, they show of the other."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from meshcli.meshes.mirror_plane import MirrorPlane
from meshcli.views.camera import Camera
from meshcli.views.view import View


def mirrored_pictures(pictures: Sequence[View], plane: MirrorPlane) -> list[View]:
    """The pictures, left and right exchanged, with the cameras that see the mirrored object so."""
    return [
        View(picture.name, np.ascontiguousarray(picture.pixels[:, ::-1]), mirrored_camera(picture.camera, plane))
        for picture in pictures
    ]


def mirrored_camera(camera: Camera, plane: MirrorPlane) -> Camera:
    """The camera to which the mirror image of the world looks like the mirror image of the picture."""
    yaw = math.degrees(math.atan2(plane.normal[1], plane.normal[0]))
    shift = 2.0 * plane.offset * np.append(plane.normal[:2], 0.0)
    image = camera.turned(-yaw).reflected(0).turned(yaw)
    rows = [(*row[:3], row[3] + float(by)) for row, by in zip(image.camera_to_world[:3], shift, strict=True)]
    return replace(image, camera_to_world=(*rows, image.camera_to_world[3]))
