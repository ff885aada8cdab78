"""Pictures brought into agreement with a mesh, and with each other, before they colour it.

Cameras first (registration.py), then gains (exposure.py), then a small flow in a few rounds (flow.py), each view
towards what the other pictures show of the surface. Photos lead: their cameras are corrected, and the views follow
them. Photos are never bent: where two of them show a thing at different places the surface is wrong, and a bent photo
would be right from nowhere, its own camera included.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from meshcli.arrays import Float32Array, Float64Array
from meshcli.meshes.mesh import Mesh
from meshcli.pictures.pixels import Pixels
from meshcli.progress import Progress
from meshcli.texturing.agreement import Agreement, measure_agreement
from meshcli.texturing.exposure import find_gains
from meshcli.texturing.flow import find_flow, spread, warp_picture, warped
from meshcli.texturing.registration import Registration, register
from meshcli.texturing.sights import Sight, Surface, look, others_colours, working_colours
from meshcli.views.view import View

ROUNDS = 3  # of flows; each starts from the pictures of the one before
PHOTO_TRUST = 10.0  # of a photo's colours against a view's
CONFIDENT = 0.05  # weight of the others' colours from which on they count in full
MIN_IOU = 0.5  # of a photo's silhouette and the mesh's
MIN_SHARED = 0.1  # of the mesh in a photo that others must see for its details to be judged
# Correlation of a photo's details with the others'. Of the photos tried, those registered rightly have .43 or more
# (a thin chair; the others .92 or more), and two on a mesh turned wrongly and one of a chair not found .03 or less.
MIN_DETAIL = 0.2


@dataclass(frozen=True)
class PictureReport:
    """What was done to one picture. Pixels are those of a picture of 320 on its longer side."""

    name: str
    turn: float  # degrees by which its camera was turned
    shift: float  # pixels
    zoom: float  # 1 is none
    mean_flow: float  # pixels, over what it shows of the mesh
    largest_flow: float
    gains: tuple[float, float, float]
    before: Agreement
    after: Agreement


@dataclass(frozen=True)
class AlignedPictures:
    """Corrected pictures, those left out, and what was done."""

    pictures: list[View]  # of the same sizes as before, in the same order, without those left out
    left_out: list[str]
    report: Callable[[], list[PictureReport]]  # of all pictures, in the order given; measured when it is asked for


@dataclass
class _State:
    """One picture while it is being aligned."""

    view: View
    photo: bool
    fixed: bool
    original: Float32Array  # (h, w, 4) its colours at working size
    gained: Float32Array  # (h, w, 4) the same times its gains
    given: Sight  # by the given camera, with the original colours
    sight: Sight  # with colours as they are now: gains and flow applied
    flow: Float32Array  # (h, w, 2)
    gains: Float64Array  # (3,)
    registration: Registration | None = None
    out: bool = False


def align_pictures(
    mesh: Mesh,
    pictures: Sequence[View],
    progress: Progress,
    photos: Collection[str] = (),
    fixed: Collection[str] = (),
) -> AlignedPictures:
    """Bring pictures into agreement with a mesh.

    `photos`: names of the pictures that lead; `fixed`: names of those that stay as they are, and are only looked at.
    """
    total = ROUNDS + 3
    progress(0, total, "looking at the pictures")
    surface = Surface.of(mesh)
    states = [_state(surface, view, view.name in photos, view.name in fixed) for view in pictures]
    progress(1, total, "registering cameras")
    _apply_gains(states)
    for state, registration in [(state, _registration(surface, state, states)) for state in states]:
        if registration is not None:
            state.registration, state.sight = registration, registration.sight
    _leave_out(states)
    _apply_gains(states)
    for round_number in range(ROUNDS):
        progress(2 + round_number, total, "aligning pictures")
        _apply_flows(states, [_next_flow(state, states) for state in states])
    progress(2 + ROUNDS, total, "warping pictures")
    result = [_finished(state) for state in states if not state.out]
    progress(total, total, "warping pictures")
    left_out = [state.view.name for state in states if state.out]
    return AlignedPictures(result, left_out, lambda: _reports(states))


def _state(surface: Surface, view: View, photo: bool, fixed: bool) -> _State:
    colours = working_colours(view)
    flow = np.zeros((*colours.shape[:2], 2), np.float32)
    sight = look(surface, view.camera, colours)
    return _State(view, photo, fixed, colours, colours, sight, sight, flow, np.ones(3))


def _reference(state: _State, states: Sequence[_State], sight: Sight) -> tuple[Float32Array, Float32Array]:
    """The others' colours where a camera sees the surface, and their weights."""
    others = [other for other in states if other is not state and not other.out]
    trusts = [PHOTO_TRUST if other.photo else 1.0 for other in others]
    return others_colours(sight, [other.sight for other in others], trusts)


def _registration(surface: Surface, state: _State, states: Sequence[_State]) -> Registration | None:
    """A photo's camera, corrected; None for views, and where nothing may change."""
    if not state.photo or state.fixed:
        return None
    return register(surface, state.sight, lambda sight: _reference(state, states, sight))


def _apply_gains(states: Sequence[_State]) -> None:
    """Find the gains of all pictures by their original colours."""
    kept = [state for state in states if not state.out]
    sights = [replace(state.sight, colours=warped(state.original, state.flow)) for state in kept]
    gains = find_gains(sights, [state.photo for state in kept], [state.fixed for state in kept])
    for state, sight, gain in zip(kept, sights, gains, strict=True):
        state.gains, state.gained = gain, _with_gains(state.original, gain)
        state.sight = replace(sight, colours=warped(state.gained, state.flow))


def _with_gains(colours: Float32Array, gains: Float64Array) -> Float32Array:
    """Premultiplied colours (h, w, 4) times gains, clipped."""
    result = colours.copy()
    result[..., :3] = np.minimum(result[..., :3] * gains.astype(np.float32), result[..., 3:])
    return result


def _next_flow(state: _State, states: Sequence[_State]) -> Float32Array:
    """A view's flow after another round; it moves the less, the more it weighs against the others."""
    if state.photo or state.fixed or state.out:
        return state.flow
    colours, weight = _reference(state, states, state.sight)
    own = state.sight.quality**2
    comparable: Float32Array = (np.minimum(weight / CONFIDENT, 1.0) * state.sight.quality).astype(np.float32)
    found = find_flow(state.gained, colours, comparable, state.flow)
    share: Float32Array = (weight / np.maximum(weight + own, 1e-9)).astype(np.float32)
    result: Float32Array = state.flow + spread(share, comparable)[..., None] * (found - state.flow)
    return result


def _apply_flows(states: Sequence[_State], flows: Sequence[Float32Array]) -> None:
    """Take new flows, all at once, so that no picture's result depends on their order."""
    for state, flow in zip(states, flows, strict=True):
        if flow is not state.flow:
            state.flow = flow
            state.sight = replace(state.sight, colours=warped(state.gained, flow))


def _agreement(state: _State, states: Sequence[_State]) -> Agreement:
    return measure_agreement(state.sight, _reference(state, states, state.sight))


def _leave_out(states: Sequence[_State]) -> None:
    """Mark the photos that do not fit the mesh."""
    doubtful = [state for state in states if state.photo and not state.fixed]
    for state, agreement in [(state, _agreement(state, states)) for state in doubtful]:
        state.out = not fits(agreement)


def fits(agreement: Agreement) -> bool:
    """Whether a photo may colour the mesh."""
    return agreement.iou >= MIN_IOU and (agreement.shared < MIN_SHARED or agreement.detail >= MIN_DETAIL)


def _finished(state: _State) -> View:
    """The picture at its own size, corrected; the very same one where nothing changed."""
    if state.fixed:
        return state.view
    pixels = warp_picture(state.view.pixels, state.flow)
    return View(state.view.name, _gained(pixels, state.gains), state.sight.camera)


def _gained(pixels: Pixels, gains: Float64Array) -> Pixels:
    """Pixels (H, W, 4) whose colours are multiplied by gains."""
    table = np.rint(np.clip(np.arange(256)[:, None] * gains, 0.0, 255.0)).astype(np.uint8)
    result = pixels.copy()
    for channel in range(3):
        result[..., channel] = table[pixels[..., channel], channel]
    return result


def _reports(states: Sequence[_State]) -> list[PictureReport]:
    given = [replace(state, sight=state.given, out=False) for state in states]
    return [
        _report(now, _agreement(before, given), _agreement(now, states))
        for before, now in zip(given, states, strict=True)
    ]


def _report(state: _State, before: Agreement, after: Agreement) -> PictureReport:
    lengths = np.linalg.norm(state.flow, axis=-1)[state.sight.covered]
    found = state.registration
    return PictureReport(
        state.view.name,
        turn=found.turn if found else 0.0,
        shift=found.shift if found else 0.0,
        zoom=found.zoom if found else 1.0,
        mean_flow=float(lengths.mean()) if len(lengths) else 0.0,
        largest_flow=float(lengths.max()) if len(lengths) else 0.0,
        gains=(float(state.gains[0]), float(state.gains[1]), float(state.gains[2])),
        before=before,
        after=after,
    )
