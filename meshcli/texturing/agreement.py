"""How well a picture agrees with a mesh and with what other pictures show of it."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt, find_objects

from meshcli.arrays import Float32Array
from meshcli.texturing.detail import flattened
from meshcli.texturing.registration import rim
from meshcli.texturing.sights import Sight

MAX_DISTANCE = 10.0  # pixels: farther outlines count as much
BLUR, LIGHTING = 1, 12  # pixels: radii between which detail is compared
CONFIDENT = 0.05  # weight of the others' colours from which on they count in full


@dataclass(frozen=True)
class Agreement:
    """Measures at working size. Colours are compared where others see the surface that the picture shows."""

    outline: float  # mean pixels between the mesh's outline and the picture's, both ways
    iou: float  # of the silhouettes
    shared: float  # share of the mesh in the picture where colours can be compared
    psnr: float  # decibels between the picture's colours and the others'; 0 where nothing is shared
    detail: float  # correlation of their details, -1 to 1: how well edges coincide; 0 where nothing is shared


def measure_agreement(sight: Sight, reference: tuple[Float32Array, Float32Array]) -> Agreement:
    """Compare a picture with the mesh's outline and the colours (h, w, 3) of weights (h, w) that others have."""
    colours, weight = reference
    covered, opaque = sight.covered, sight.opaque
    both = np.minimum(weight / CONFIDENT, 1.0) * sight.quality * opaque
    total = float(both.sum())
    iou = float((covered & opaque).sum() / max((covered | opaque).sum(), 1))
    outline = _outline_distance(sight)
    if total < 1.0:
        return Agreement(outline, iou, 0.0, 0.0, 0.0)
    own = sight.colours[..., :3] / np.maximum(sight.colours[..., 3:], np.float32(1e-3))
    error = float(np.einsum("hw,hwc->", both, np.square(own - colours))) / (3.0 * total)
    detail = flattened(np.concatenate([own, colours], axis=-1), both, BLUR, LIGHTING)
    ours, theirs = detail[..., :3], detail[..., 3:]
    energy = [float(np.einsum("hw,hwc->", both, np.square(each))) for each in (ours, theirs)]
    product = float(np.einsum("hw,hwc->", both, ours * theirs))
    return Agreement(
        outline,
        iou,
        shared=total / max(float(sight.quality.sum()), 1e-9),
        psnr=-10.0 * float(np.log10(max(error, 1e-10))),
        detail=product / max(float(np.sqrt(energy[0] * energy[1])), 1e-9),
    )


def _outline_distance(sight: Sight) -> float:
    """Mean pixels from the rim of either silhouette to the other's; MAX_DISTANCE where one is empty."""
    edges = rim(sight.covered), rim(sight.opaque)
    if not (edges[0].any() and edges[1].any()):
        return MAX_DISTANCE
    box = find_objects((edges[0] | edges[1]).astype(np.int8))[0]
    a, b = edges[0][box], edges[1][box]
    means = [distance_transform_edt(~to)[of].clip(0.0, MAX_DISTANCE).mean() for of, to in ((a, b), (b, a))]
    return float(np.mean(means))
