"""Turntable video of a radiance field by volume rendering, without a mesh."""

import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from meshcli.lrm.nerf_field import NerfDecoder, NerfField
from meshcli.lrm.volume import BOX_HALF_SIZE, camera_rays, render_rays
from meshcli.out_of_memory import as_memory_error
from meshcli.pictures.pixels import Pixels
from meshcli.progress import Progress
from meshcli.reconstructors.instantmesh import Triplanes
from meshcli.rendering.video import Mp4Writer
from meshcli.settings import RenderSettings
from meshcli.views.camera import Camera, orbit
from meshcli.views.viewpoints import cameras_around

PROBE_SIZE = 24  # pixels along a side of the frame rendered to estimate the time of others
LATTICE_SIZE = 64  # points along a side of the lattice on which visible density is looked for
VISIBLE_DENSITY = 0.02  # over 0.2 of length it absorbs 1 - exp(-0.004): one grey level of 255


def render_field_turntable(planes: Triplanes, settings: RenderSettings, path: Path, progress: Progress) -> None:
    """Write an mp4 with the camera path of a mesh's turntable; frames are encoded as they are rendered."""
    sides = [(360.0 * frame / settings.frames, settings.elevation) for frame in range(settings.frames)]
    cameras = cameras_around(visible_points(planes), sides, settings.distance)
    with Mp4Writer(path, settings.size, settings.size, settings.fps) as video:
        for frame, camera in enumerate(cameras):
            progress(frame, settings.frames, "turntable of the field")
            video.add(render_view(planes, camera, settings.size))


def render_view(planes: Triplanes, camera: Camera, size: int) -> Pixels:
    """Render the field over white as a camera sees it: (size, size, 3)."""
    field = _radiance_field(planes)
    device = planes.values.device
    to_world = torch.tensor(camera.camera_to_world, dtype=torch.float32, device=device)
    intrinsics = torch.tensor([camera.fx, camera.fy, camera.cx, camera.cy], device=device)
    origin, directions = camera_rays(to_world, intrinsics, size)
    # Half of the samples are coarse, half fine, as in training.
    samples = planes.sizes.rendering_samples_per_ray // 2
    with as_memory_error():
        colour = render_rays(field, origin.expand_as(directions), directions, samples).colour
    return np.rint(colour.clamp(0.0, 1.0).cpu().numpy() * 255.0).astype(np.uint8).reshape(size, size, 3)


def visible_points(planes: Triplanes) -> NDArray[np.float64]:
    """Points (N, 3) of a lattice over the field's box with visible density."""
    with as_memory_error():
        density = _radiance_field(planes).density(LATTICE_SIZE).cpu().numpy()
    axis = np.linspace(-BOX_HALF_SIZE, BOX_HALF_SIZE, LATTICE_SIZE)
    return axis[np.argwhere(density > VISIBLE_DENSITY)]


def estimate_frame_seconds(planes: Triplanes, size: int) -> float:
    """Estimate the seconds for a frame of this size from the time of a small one."""
    camera = orbit(0.0, 0.0)
    render_view(planes, camera, 8)  # warm-up
    start = time.perf_counter()
    render_view(planes, camera, PROBE_SIZE)
    return (time.perf_counter() - start) * (size / PROBE_SIZE) ** 2


def _radiance_field(planes: Triplanes) -> NerfField:
    if not isinstance(planes.decoder, NerfDecoder):
        raise TypeError("a signed-distance network has no radiance field")
    return NerfField(planes.decoder, planes.values)
