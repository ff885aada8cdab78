"""Photos to six views each without network weights: model a mesh and render it from the generator's rig.

A single photo is inflated. Several photos from known sides are aligned, and a surface is fitted to them.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from meshcli.alignment.silhouettes import BODY_LEVEL, Alignment, align, recentre, silhouette_error
from meshcli.errors import InputError
from meshcli.generators.sculpt.assumptions import Assumptions
from meshcli.generators.sculpt.inflated_mesh import VOXELS_ACROSS, fine_grid, sculpt_one
from meshcli.generators.sculpt.reduced_photos import shrunk, with_contrast
from meshcli.generators.sculpt.shape_prior import inflated_prior, visual_hull_of
from meshcli.generators.sculpt.silhouette import medial_axis
from meshcli.generators.sculpt.warped_photos import warp_until_one_body_fits
from meshcli.meshes.colouring import NORMAL_RADIUS, ViewBlender, fill_unseen
from meshcli.meshes.mesh import Mesh, smooth_normals
from meshcli.meshes.mirror_plane import MirrorPlane, find_mirror_plane
from meshcli.meshes.raycasting import Scene
from meshcli.pictures.pixels import VIEW_SIZE
from meshcli.progress import Progress
from meshcli.reconstructors.fit import Evidence, fit_sdf
from meshcli.rendering.renderer import Renderer
from meshcli.sdf.extract import Faces, Vertices, extract_pieces, extract_surface, keep_parts, taubin_smooth
from meshcli.sdf.fit_level import LossWeights, Schedule, Tuning
from meshcli.sdf.grid import DistanceFunction, bounding_box, redistance_interior, rounded
from meshcli.sdf.lathed import find_lathed
from meshcli.sdf.lost_parts import Silhouette
from meshcli.sdf.phantoms import find_phantoms
from meshcli.sdf.plates import Plate, find_plate
from meshcli.sdf.revolution import find_revolution
from meshcli.sdf.straight_bars import StraightBars, straighten_bars
from meshcli.settings import FitSettings, SculptSettings
from meshcli.texturing.unseen import fill_unseen as fill_from_mirror_images
from meshcli.views.camera import DISTANCE, angular_distance, zero123plus_rig
from meshcli.views.view import View
from meshcli.views.viewpoints import viewing_distance

COLOUR_SIZE = 1024  # pixels along a photo's longer side for the colours
CALIBRATED_ERROR = 0.0002  # silhouette error below which cameras count as calibrated: 0.06 pixels of 320
MAX_UNSEEN_GAP = 179.0  # degrees between neighbouring photos from which their far side is unseen
MAX_OPEN_GAP = 75.0  # degrees, modulo 180, from which silhouettes leave the depth open; three photos all round leave 60
NOTABLE_MOVE = 0.05  # degrees: a smaller correction of an azimuth is not told
MAX_CONTRADICTION = 3.0  # reference pixels (see VIEW_SIZE) that outlines may have to grow by; other photos are warped
ROUGH_RESOLUTIONS, ROUGH_STEPS = (32, 64), (100, 60)  # of the bodies that photos are warped to
HULL_PADDING = 5  # voxels
TAUBIN_ROUNDS = 10
REVOLUTION_NOTE = (
    "the outlines are those of a body of revolution about an upright axis: it is made round, unless "
    "--set sculpt.revolution=false"
)
PARTS_NOTE = (
    "the outlines are those of a body of revolution about an upright axis with {parts} attached: it is made round, and "
    "what is attached lies in planes through the axis and is as thick as it is wide there, unless "
    "--set sculpt.revolution=false"
)
# Tuned on three photos of spot. Fewer pictures leave more to the smoothing, which must not shrink unseen regions.
CONTRADICTORY_PHOTOS = Tuning(
    Schedule(
        (0.35, 0.12),
        (2.2, 0.9),
        (1.2, 2.5),
        shrink=0.0,
        thin_plate=0.008,
        high_pass=0.35,
        edge_flow=0.05,
        prior_weight=0.012,
        may_pierce=True,
    ),
    Schedule(
        (0.04, 0.03),
        (1.6, 0.8),
        (1.5, 3.5),
        shrink=0.0,
        thin_plate=0.011,
        high_pass=0.35,
        edge_flow=0.0,
        prior_weight=0.07,
    ),
    LossWeights(rgb=3.0, mask=1.0, missing=1.0),
)
# Photos whose outlines agree: at grazing angles their colours mislead, and weigh less. On the coarsest grid seats and
# table tops are hardly thicker than a voxel: there nothing goes through what is thin.
FEW_PHOTOS = replace(
    CONTRADICTORY_PHOTOS,
    rough=replace(CONTRADICTORY_PHOTOS.first, may_pierce=False),
    weights=replace(CONTRADICTORY_PHOTOS.weights, rgb=1.3),
)
# Tuned on three photos of the desk and the cabinet: strong on coarse grids, where wedges that no outline forbids
# retract, weak on the last one, where thin parts are.
BOX = Tuning(
    replace(FEW_PHOTOS.first, thin_plate=0.002, high_pass=0.0, edge_flow=0.0, crystalline=0.72, rounding=0.12),
    replace(FEW_PHOTOS.last, thin_plate=0.002, high_pass=0.0, crystalline=0.18, rounding=0.06),
    replace(FEW_PHOTOS.weights, rgb=6.0),
)
# Where cameras were corrected, colours do not match to a pixel, and outlines in places only to a few.
CORRECTED_BOX = replace(BOX, weights=replace(BOX.weights, rgb=1.0))
CORRECTED_TOLERANCE = 3.0  # reference pixels


@dataclass(frozen=True)
class Sculpture:
    """The engine's result."""

    views: list[list[View]]  # six per photo, at the rig relative to the photo's azimuth
    photos: list[View]  # with refined cameras where they were not exact
    notes: list[str]  # one short sentence each, for the user
    mesh: Mesh | None  # that all views show, in the world of the cameras; none where each photo has one of its own
    planes: tuple[MirrorPlane, ...] = ()  # that its outlines tell, and across which its paint may be taken over


def sculpt(
    photos: Sequence[View],
    settings: SculptSettings,
    fit: FitSettings,
    seeds: Sequence[int],
    progress: Progress,
    unknown_elevations: Collection[str] = (),
) -> Sculpture:
    """Six views of each photo, of one common mesh.

    Calibrated cameras stay as they are, and the views are in their world; others are corrected where the silhouettes
    are inconsistent; `unknown_elevations` names photos. Raises InputError where the silhouettes have no common body.
    """
    planes: tuple[MirrorPlane, ...] = ()
    if len(photos) == 1:
        progress(0, 1, "inflating the silhouette")
        mesh, notes = sculpt_one(photos[0], settings)
        placed = list(photos)
        notes = ["depth and back are guessed from a single photo; a second one from the side helps most", *notes]
    else:
        progress(0, 1, "aligning the silhouettes")
        placed, notes = align_photos(photos, settings, unknown_elevations)
        if max(_gaps(sorted(photo.camera.azimuth for photo in placed), 360.0)) > MAX_UNSEEN_GAP:
            notes.append("no photo shows the far side: its shape and colours are guessed")
        agreeing, warping = _without_contradictions(placed, settings, fit, seeds[0], progress)
        mesh, assumptions, planes = _model(agreeing, settings, fit, seeds[0], progress)
        notes += warping + assumptions
    renderer = Renderer(mesh)
    views = []
    for index, photo in enumerate(placed):
        progress(index, len(placed), "rendering the views")
        views.append(_render_rig(renderer, photo, settings.view_size))
    return Sculpture(views, placed, notes, mesh, planes)


def sculpt_each(
    photos: Sequence[View], settings: SculptSettings, fit: FitSettings, seeds: Sequence[int], progress: Progress
) -> Sculpture:
    """Six views of each photo from a mesh of its own, for photos whose azimuths are not known yet."""
    each = [sculpt([photo], settings, fit, [seed], progress) for photo, seed in zip(photos, seeds, strict=True)]
    notes = ["each photo is sculpted by itself as long as their sides are not known"]
    return Sculpture([one.views[0] for one in each], list(photos), notes, None)


def depth_is_open(photos: Sequence[View]) -> bool:
    """Whether silhouettes leave the depth unconstrained; opposite sides have the same silhouette."""
    azimuths = sorted(photo.camera.azimuth % 180.0 for photo in photos)
    return max(_gaps(azimuths, 180.0)) > MAX_OPEN_GAP


def align_photos(
    photos: Sequence[View], settings: SculptSettings, unknown_elevations: Collection[str] = ()
) -> tuple[list[View], list[str]]:
    """Several photos in one world, and notes on the changes to their cameras.

    `unknown_elevations` names the photos whose elevations are to be found.
    """
    alignment = align(photos, settings.adjust, unknown_elevations)
    placed = alignment.photos
    if all(photo.camera.known == "aligned" for photo in placed):
        placed = recentre(placed, inflated_prior(placed, settings) or visual_hull_of(placed))
    return placed, [
        *_alignment_notes(photos, alignment),
        *_elevation_notes(placed, alignment.found, unknown_elevations),
    ]


def _elevation_notes(placed: Sequence[View], found: Collection[str], unknown: Collection[str]) -> list[str]:
    """What became of elevations that nobody stated."""
    if found:
        listed = ", ".join(f"{photo.name} {photo.camera.elevation:.0f}" for photo in placed if photo.name in found)
        return [f"elevations in degrees, as the outlines tell them: {listed}; --elevation states them"]
    if unknown:
        return [
            "the outlines do not tell from how far above the horizon the photos were taken: 0 degrees are assumed, "
            "unless --elevation says more"
        ]
    return []


def _alignment_notes(photos: Sequence[View], alignment: Alignment) -> list[str]:
    """A note on the errors before and after and the changed azimuths; none where nothing was changed."""
    if alignment.photos == list(photos):
        return []
    moves = ", ".join(
        f"{after.name} {before.camera.azimuth:.1f} -> {after.camera.azimuth:.1f}"
        for before, after in zip(photos, alignment.photos, strict=True)
        if angular_distance(before.camera.azimuth, after.camera.azimuth) >= NOTABLE_MOVE
    )
    return [
        f"the outlines of the photos fit one body to {alignment.after:.1%} of its size, after small corrections of "
        f"the cameras ({alignment.before:.1%} before; {f'azimuths adjusted: {moves}' if moves else 'azimuths kept'})"
    ]


def _without_contradictions(
    photos: Sequence[View], settings: SculptSettings, fit: FitSettings, seed: int, progress: Progress
) -> tuple[list[View], list[str]]:
    """The photos, warped where their outlines contradict each other by more than a few pixels; and a note on that."""

    def evidence(now: Sequence[View]) -> Evidence:
        return Evidence.of([with_contrast(shrunk(photo, VIEW_SIZE), settings.contrast) for photo in now])

    def body_of(now: Sequence[View]) -> Mesh:
        prior = inflated_prior(now, settings) if depth_is_open(now) else None
        shape = fit_sdf(evidence(now), levels, seed, progress, prior, CONTRADICTORY_PHOTOS)
        vertices, faces = extract_pieces(shape.distance, shape.grid)
        return Mesh(taubin_smooth(vertices, faces, TAUBIN_ROUNDS).astype(np.float32), faces)

    contradiction = 0.0
    if settings.warp and silhouette_error(photos) > CALIBRATED_ERROR:
        contradiction = evidence(photos).tolerance
    if contradiction <= MAX_CONTRADICTION:
        return list(photos), []
    levels = _levels(fit, ROUGH_RESOLUTIONS, ROUGH_STEPS)
    progress(0, 1, "warping the photos")
    warped = warp_until_one_body_fits(photos, body_of, lambda now: evidence(now).tolerance == 0)
    return warped.photos, [
        f"the outlines of the photos contradict each other: they were warped, by up to {warped.farthest:.0%} of a "
        f"picture's height, {'until one body fits' if warped.fit else 'and still no body has all of them'}; "
        "--set sculpt.warp=false builds it from the photos as they are"
    ]


def _levels(fit: FitSettings, resolutions: Sequence[int], steps: Sequence[int]) -> FitSettings:
    """The settings of a fit with other levels, none finer than its own."""
    return replace(fit, resolutions=tuple(min(size, max(fit.resolutions)) for size in resolutions), steps=tuple(steps))


def _model(
    photos: Sequence[View], settings: SculptSettings, fit: FitSettings, seed: int, progress: Progress
) -> tuple[Mesh, list[str], tuple[MirrorPlane, ...]]:
    """A coloured mesh from the photos' silhouettes and, if the cameras are accurate enough, from their textures.

    And notes on what was assumed of its shape, and the planes across which its paint may be taken over.
    """
    progress(0, 1, "carving the body")
    small = [shrunk(photo, VIEW_SIZE) for photo in photos]
    turned, turned_note = _turned(small, settings)
    prior = None if turned else inflated_prior(photos, settings)
    corrected = any(photo.camera.known == "aligned" for photo in photos)
    boxlike = prior is None and turned is None
    assumed = Assumptions.of(photos, settings, boxlike)
    # Aligned outlines match to a pixel, but textures do not: fitting to them tears flat panels.
    outlines_only = boxlike and corrected and not assumed.frame
    notes = assumed.notes() + turned_note
    told: list[View] = []  # photos whose outlines tell how bars run
    if turned or outlines_only:
        surface = _outline_surface(
            turned or assumed.body(photos), _thickness(photos) / VOXELS_ACROSS, settings.hull_resolution
        )
        vertices, faces = keep_parts(*surface)
    else:
        contrast = settings.contrast if corrected or silhouette_error(photos) > CALIBRATED_ERROR else 1.0
        views = [with_contrast(photo, contrast) for photo in small]
        levels = _levels(fit, settings.fit_resolutions, settings.fit_steps)
        evidence, cut = _evidence(views, assumed, prior, settings, corrected)
        notes += cut
        agree = evidence.tolerance == 0
        prior = prior if depth_is_open([*photos, *assumed.images]) else None
        round_body = FEW_PHOTOS if agree else CONTRADICTORY_PHOTOS
        box = CORRECTED_BOX if corrected else BOX
        tuning, yaw = (box, assumed.frame.yaw) if assumed.frame else (round_body, 0.0)
        shape = fit_sdf(evidence, levels, seed, progress, prior, tuning, yaw, note=notes.append)
        vertices, faces = extract_pieces(shape.distance, shape.grid)
        told = small if settings.bars and agree else []
    mesh, sentences = _smooth(vertices, faces, told)
    notes += sentences
    progress(0, 1, "colouring the body")
    mirrored = bool(assumed.planes) and not assumed.frame
    # The outlines of a box say nothing of its paint: front and back of furniture differ in doors and handles.
    planes = () if boxlike else assumed.planes
    return _coloured(mesh, [shrunk(photo, COLOUR_SIZE) for photo in photos], mirrored, planes), notes, planes


def _evidence(
    views: Sequence[View],
    assumed: Assumptions,
    prior: DistanceFunction | None,
    settings: SculptSettings,
    corrected: bool,
) -> tuple[Evidence, list[str]]:
    """What a body is fitted to, with phantoms and plates where the outlines agree; and notes on these."""
    evidence = assumed.evidence(views)
    notes = []
    if assumed.frame and corrected:  # slivers of the hull far behind a box are no lost parts of it
        evidence = replace(evidence, tolerance=max(evidence.tolerance, CORRECTED_TOLERANCE))
    agree = evidence.tolerance == 0
    if prior and agree:
        seen = [*evidence.silhouettes, *map(Silhouette.of, assumed.images)]
        evidence = replace(evidence, phantoms=find_phantoms(evidence.hull, prior, seen))
        notes += [_phantoms_note(evidence.phantoms.count)] if evidence.phantoms else []
    if settings.plates and agree and not assumed.frame:
        evidence = replace(evidence, plate=find_plate(views, evidence.hull, assumed.yaws))
        notes += [_plate_note(evidence.plate)] if evidence.plate else []
    return evidence, notes


def _turned(photos: Sequence[View], settings: SculptSettings) -> tuple[DistanceFunction | None, list[str]]:
    """The body of revolution that small photos show, with what is attached to it, and a note on it."""
    if not settings.revolution:
        return None, []
    if revolution := find_revolution(photos, settings.ground):
        return revolution.solid, [REVOLUTION_NOTE]
    if lathed := find_lathed(photos, visual_hull_of(photos), settings.ground):
        count = len(lathed.parts.azimuths)
        return lathed.solid, [PARTS_NOTE.format(parts="one part" if count == 1 else f"{count} parts")]
    return None, []


def _smooth(vertices: Vertices, faces: Faces, photos: Sequence[View]) -> tuple[Mesh, list[str]]:
    """A mesh without the grain of its grid and, where there are photos, with bars as smooth as their outlines allow.

    And notes on these.
    """
    vertices = taubin_smooth(vertices, faces, TAUBIN_ROUNDS)
    straight = straighten_bars(vertices, faces, photos) if photos else StraightBars(vertices, 0)
    notes = [f"{straight.sentence}, unless --set sculpt.bars=false"] if straight.sentence else []
    return Mesh(straight.vertices.astype(np.float32), faces), notes


def _coloured(mesh: Mesh, photos: Sequence[View], mirrored: bool, planes: Sequence[MirrorPlane]) -> Mesh:
    """The mesh with the photos' colours.

    What they do not show takes, where it may be `mirrored`, those of its mirror image, if colours agree on a plane too;
    the outlines tell of `planes` that they may be trusted where hardly any paint can be compared.
    """
    blender = ViewBlender(photos, Scene(mesh.vertices, mesh.faces))
    found = blender.colours(mesh.vertices, smooth_normals(mesh.vertices, mesh.faces, NORMAL_RADIUS))
    plane = find_mirror_plane(mesh, photos, found, planes).plane if mirrored else None
    if plane is None:
        values = fill_unseen(mesh.vertices, mesh.faces, found)
    else:
        values = fill_from_mirror_images(mesh.vertices, mesh.faces, found, plane).values
    return Mesh(mesh.vertices, mesh.faces, np.rint(values.clip(0.0, 255.0)).astype(np.uint8))


def _plate_note(plate: Plate) -> str:
    """What the user reads about a plate."""
    return f"the outlines are those of a level {plate.kind} on top: it is made flat, unless --set sculpt.plates=false"


def _phantoms_note(count: int) -> str:
    """What the user reads about parts of the hull that were cut off."""
    parts = "1 part that no photo needs was" if count == 1 else f"{count} parts that no photo needs were"
    return f"{parts} left out: outlines cross there, and nothing else speaks for {'it' if count == 1 else 'them'}"


def _thickness(photos: Sequence[View]) -> float:
    """Thickness of the object's thin parts in the photo that shows them thinnest, in world units."""
    return min(medial_axis(photo).width * photo.height * photo.pixel_size for photo in photos)


def _outline_surface(body: DistanceFunction, voxel: float, resolution: int) -> tuple[Vertices, Faces]:
    """The surface of a body, its edges rounded by a voxel.

    `resolution` voxels along its longest side, or finer ones of size `voxel` as far as the node budget allows.
    """
    box = bounding_box(body, BODY_LEVEL)
    if box is None:
        raise InputError("the silhouettes of the photos have no common body: are the azimuths right?")
    grid = fine_grid(*box, voxel, resolution, HULL_PADDING)
    field = rounded(body(grid), min(1.0, voxel / grid.voxel))
    return extract_surface(redistance_interior(field, 1), grid)


def _gaps(angles: Sequence[float], turn: float) -> list[float]:
    """Differences between neighbours of sorted angles on a circle of `turn` degrees."""
    return [after - before for before, after in zip(angles, [*angles[1:], angles[0] + turn], strict=True)]


def _render_rig(renderer: Renderer, photo: View, size: int) -> list[View]:
    """Unlit views from the rig's cameras; lighting is part of the photos' colours.

    The cameras are farther away than the rig's where the mesh would not fit into the pictures.
    """
    azimuth, known = photo.camera.azimuth, photo.camera.known
    distance = viewing_distance(renderer.mesh.vertices, zero123plus_rig(azimuth))
    cameras = zero123plus_rig(azimuth, DISTANCE / distance, known)
    return [
        View(f"{photo.name}{tile}", renderer.render(camera, size, size), camera) for tile, camera in enumerate(cameras)
    ]
