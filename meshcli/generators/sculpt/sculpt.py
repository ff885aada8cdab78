"""Photos to six views each without any weights: sculpt a body and photograph it from the generator's rig.

One photo is inflated. Several photos from known sides are brought into one world and a surface is fitted to them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from meshcli.alignment.silhouettes import NEAR, Alignment, align, misfit, recentred
from meshcli.errors import InputError
from meshcli.generators.sculpt.inflate import pixel_size
from meshcli.generators.sculpt.inflated_mesh import THICK, fine_grid, sculpt_one
from meshcli.generators.sculpt.shape_prior import hull_of, pillow_prior
from meshcli.generators.sculpt.silhouette import middle_lines
from meshcli.meshes.colouring import colour_vertices
from meshcli.meshes.mesh import Mesh
from meshcli.pictures.image import resize
from meshcli.progress import Progress
from meshcli.reconstructors.fit import fit_shape
from meshcli.rendering.renderer import Renderer
from meshcli.sdf.extract import Faces, Vertices, extract_pieces, extract_surface, keep_parts, taubin
from meshcli.sdf.fit_level import Schedule, Tuning, Weights
from meshcli.sdf.grid import Field, Grid, blur, redistance
from meshcli.settings import FitSettings, SculptSettings
from meshcli.views.camera import DISTANCE, zero123plus_rig
from meshcli.views.view import View
from meshcli.views.viewpoints import viewing_distance

FIT_SIZE = 320  # pixels along a photo's longer side that the surface is fitted to
COLOUR_SIZE = 1024  # and from which its colours are taken
EXACT = 0.0002  # misfit of the silhouettes under which the cameras are as good as calibrated
# Tuned on three photos of spot. Fewer pictures leave more to the smoothing, which must not shrink what nobody sees.
FEW_PHOTOS = Tuning(
    Schedule(
        (0.35, 0.12),
        (2.2, 0.9),
        (1.2, 2.5),
        shrink=0.0,
        thin_plate=0.008,
        band=0.35,
        along=0.05,
        pull=0.012,
        pierce=True,
    ),
    Schedule((0.04, 0.03), (1.6, 0.8), (1.5, 3.5), shrink=0.0, thin_plate=0.011, band=0.35, along=0.0, pull=0.07),
    Weights(rgb=3.0, mask=1.0, missing=1.0),
)


@dataclass(frozen=True)
class Sculpture:
    """What the engine made of the photos."""

    views: list[list[View]]  # six per photo, at the rig relative to the photo's azimuth
    photos: list[View]  # with refined cameras where they were not exact
    notes: list[str]  # one short sentence each, for the user
    mesh: Mesh  # what the views show, in the world of the cameras


def sculpt(
    photos: Sequence[View], settings: SculptSettings, fit: FitSettings, seeds: Sequence[int], progress: Progress
) -> Sculpture:
    """Six views of each photo.

    Photos with calibrated cameras keep them, and the views are in their world; other cameras are corrected when the
    silhouettes contradict each other. Raises InputError when the silhouettes have no common body.
    """
    if len(photos) == 1:
        mesh, notes = sculpt_one(photos[0], settings)
        placed = list(photos)
        notes = ["depth and back are guessed from a single photo; a second one from the side helps most", *notes]
    else:
        placed, notes = place(photos, settings)
        if max(_gaps(sorted(photo.camera.azimuth for photo in placed), 360.0)) > 179.0:
            notes.append("no photo shows the far side: its shape and colours are guessed")
        mesh = _body(placed, settings, fit, seeds[0], progress)
    renderer = Renderer(mesh)
    views = []
    for index, photo in enumerate(placed):
        progress(index, len(placed), "photographing the sculpture")
        views.append(_photograph(renderer, photo, settings.view_size))
    return Sculpture(views, placed, notes, mesh)


def sculpt_each(
    photos: Sequence[View], settings: SculptSettings, fit: FitSettings, seeds: Sequence[int], progress: Progress
) -> Sculpture:
    """Six views of each photo by itself, as when nobody knows yet how the photos stand to each other."""
    each = [sculpt([photo], settings, fit, [seed], progress) for photo, seed in zip(photos, seeds, strict=True)]
    notes = ["each photo is sculpted by itself as long as their sides are not known"]
    return Sculpture([one.views[0] for one in each], list(photos), notes, each[0].mesh)


def leaves_open(photos: Sequence[View]) -> bool:
    """Whether the silhouettes leave the depth open: seen from opposite sides they are the same."""
    azimuths = sorted(photo.camera.azimuth % 180.0 for photo in photos)
    return max(_gaps(azimuths, 180.0)) > 75.0


def place(photos: Sequence[View], settings: SculptSettings) -> tuple[list[View], list[str]]:
    """Several photos in one world, and what was done to their cameras."""
    alignment = align(photos)
    placed = alignment.photos
    if all(photo.camera.known == "aligned" for photo in placed):
        placed = recentred(placed, pillow_prior(placed, settings) or hull_of(placed))
    return placed, _alignment_notes(photos, alignment)


def _alignment_notes(photos: Sequence[View], alignment: Alignment) -> list[str]:
    if alignment.photos == list(photos):
        return []
    moves = ", ".join(
        f"{after.name} {before.camera.azimuth:.0f} -> {after.camera.azimuth:.0f}"
        for before, after in zip(photos, alignment.photos, strict=True)
        if before.camera != after.camera
    )
    return [
        f"the silhouettes missed each other by {alignment.before:.1%} of the object's size, after alignment by "
        f"{alignment.after:.1%} (azimuths {moves})"
    ]


def _body(photos: Sequence[View], settings: SculptSettings, fit: FitSettings, seed: int, progress: Progress) -> Mesh:
    """A surface made from the photos' silhouettes and, if the cameras are good enough for that, from their textures."""
    prior = pillow_prior(photos, settings)
    if prior is None and any(photo.camera.known == "aligned" for photo in photos):
        # Aligned outlines match to a pixel, the textures between them do not: fitting to those tears flat panels.
        surface = _outlined(hull_of(photos), _thickness(photos) / THICK, settings.hull_resolution)
        vertices, faces = keep_parts(*surface)
    else:
        prior = prior if leaves_open(photos) else None
        corrected = any(photo.camera.known == "aligned" for photo in photos)
        contrast = settings.contrast if corrected or misfit(photos) > EXACT else 1.0
        views = [_faded(_shrunk(photo, FIT_SIZE), contrast) for photo in photos]
        levels = replace(
            fit,
            resolutions=tuple(min(size, max(fit.resolutions)) for size in settings.fit_resolutions),
            steps=settings.fit_steps,
        )
        shape = fit_shape(views, levels, seed, progress, prior, FEW_PHOTOS)
        vertices, faces = extract_pieces(shape.distance, shape.grid)
    mesh = Mesh(taubin(vertices, faces, 10).astype(np.float32), faces)
    return colour_vertices(mesh, [_shrunk(photo, COLOUR_SIZE) for photo in photos])


def _thickness(photos: Sequence[View]) -> float:
    """Of the body's thin parts, in the photo that shows them thinnest; world units."""
    return min(middle_lines(photo).width * photo.height * pixel_size(photo) for photo in photos)


def _outlined(body: Callable[[Grid], Field], voxel: float, resolution: int) -> tuple[Vertices, Faces]:
    """The surface of a body that follows from outlines alone, its edges rounded by a voxel.

    `resolution` voxels along its longest side; where thin parts ask for smaller ones, this size, as far as they fit.
    """
    coarse = Grid.around(np.full(3, -1.15), np.full(3, 1.15), 64, 1)
    inside = np.argwhere(body(coarse) < NEAR).astype(np.float64)
    if not len(inside):
        raise InputError("the silhouettes of the photos have no common body: are the azimuths right?")
    low, high = coarse.to_world(inside.min(axis=0) - 1), coarse.to_world(inside.max(axis=0) + 1)
    grid = fine_grid(low, high, voxel, resolution, 5)
    field = blur(np.clip(body(grid), -6.0, 6.0) - 6.0, min(1.0, voxel / grid.voxel)) + 6.0
    inner = np.zeros(grid.shape, bool)
    inner[1:-1, 1:-1, 1:-1] = True
    return extract_surface(redistance(field, np.flatnonzero(inner)), grid)


def _shrunk(photo: View, size: int) -> View:
    scale = min(1.0, size / max(photo.width, photo.height))
    return replace(
        photo, pixels=resize(photo.pixels, max(1, round(photo.width * scale)), max(1, round(photo.height * scale)))
    )


def _faded(photo: View, contrast: float) -> View:
    """The photo with less contrast inside the silhouette, so that the outline has more to say than the texture."""
    seen = photo.pixels[..., 3] >= 128
    mean = photo.pixels[seen][:, :3].mean(axis=0)
    colours = mean + contrast * (photo.pixels[..., :3] - mean)
    return replace(photo, pixels=np.concatenate([colours.round().astype(np.uint8), photo.pixels[..., 3:]], axis=-1))


def _gaps(angles: Sequence[float], turn: float) -> list[float]:
    """Between neighbours of a sorted circle of angles."""
    return [after - before for before, after in zip(angles, [*angles[1:], angles[0] + turn], strict=True)]


def _photograph(renderer: Renderer, photo: View, size: int) -> list[View]:
    """The sculpture as the rig's cameras see it, unlit: light is in the photos' colours.

    They stand farther away than the rig where the body would not fit into their pictures.
    """
    azimuth, known = photo.camera.azimuth, photo.camera.known
    distance = viewing_distance(renderer.mesh.vertices, zero123plus_rig(azimuth))
    cameras = zero123plus_rig(azimuth, DISTANCE / distance, known)
    return [
        View(f"{photo.name}{tile}", renderer.render(camera, size, size), camera) for tile, camera in enumerate(cameras)
    ]
