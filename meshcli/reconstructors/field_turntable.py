"""A film of a radiance field: every pixel by volume rendering, without a mesh."""

import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from meshcli.lrm.memory import memory_errors
from meshcli.lrm.nerf_field import NerfDecoder, NerfField
from meshcli.lrm.volume import HALF, camera_rays, render
from meshcli.pictures.pixels import Pixels
from meshcli.progress import Progress
from meshcli.reconstructors.instantmesh import Planes
from meshcli.rendering.video import Mp4Writer
from meshcli.settings import RenderSettings
from meshcli.views.camera import Camera, orbit
from meshcli.views.viewpoints import cameras_around

PROBE = 24  # pixels along a side of the picture that tells how long others take
LATTICE = 64  # points along a side of the box where the field is asked what there is to see
VISIBLE = 0.02  # density: a fifth of a unit of length of it changes a pixel by one grey level of 255


def film(planes: Planes, settings: RenderSettings, path: Path, progress: Progress) -> None:
    """Write an mp4 of a camera walking around once, as the turntable of a mesh; frames are encoded as they are made."""
    sides = [(360.0 * frame / settings.frames, settings.elevation) for frame in range(settings.frames)]
    cameras = cameras_around(visible_points(planes), sides)
    with Mp4Writer(path, settings.size, settings.size, settings.fps) as video:
        for frame, camera in enumerate(cameras):
            progress(frame, settings.frames, "turntable of the field")
            video.add(picture(planes, camera, settings.size))


def picture(planes: Planes, camera: Camera, size: int) -> Pixels:
    """What a camera sees of the field, over white: (size, size, 3)."""
    field = _field(planes)
    device = planes.values.device
    to_world = torch.tensor(camera.camera_to_world, dtype=torch.float32, device=device)
    intrinsics = torch.tensor([camera.fx, camera.fy, camera.cx, camera.cy], device=device)
    origin, directions = camera_rays(to_world, intrinsics, size)
    # Half of the samples are spread evenly along the ray, half where those found something, as in training.
    samples = planes.sizes.rendering_samples_per_ray // 2
    with memory_errors():
        colour = render(field, origin.expand_as(directions), directions, samples).colour
    return np.rint(colour.clamp(0.0, 1.0).cpu().numpy() * 255.0).astype(np.uint8).reshape(size, size, 3)


def visible_points(planes: Planes) -> NDArray[np.float64]:
    """Points (N, 3) of a lattice over the field's box where there is something to see."""
    with memory_errors():
        density = _field(planes).density(LATTICE).cpu().numpy()
    axis = np.linspace(-HALF, HALF, LATTICE)
    return axis[np.argwhere(density > VISIBLE)]


def seconds_per_picture(planes: Planes, size: int) -> float:
    """How long a picture of this size will take, by the pace of a small one."""
    camera = orbit(0.0, 0.0)
    picture(planes, camera, 8)  # the first call of everything is slow
    start = time.perf_counter()
    picture(planes, camera, PROBE)
    return (time.perf_counter() - start) * (size / PROBE) ** 2


def _field(planes: Planes) -> NerfField:
    if not isinstance(planes.decoder, NerfDecoder):
        raise TypeError("a signed-distance network has no radiance field")
    return NerfField(planes.decoder, planes.values)
