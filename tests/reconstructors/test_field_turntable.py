"""Films of radiance fields that are known, in the place of a network's."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from helpers.recorded_frames import record_frames
from helpers.tiny_lrm import tiny_sizes
from meshcli.lrm.nerf_field import NerfDecoder
from meshcli.progress import silent
from meshcli.reconstructors import field_turntable
from meshcli.reconstructors.instantmesh import Triplanes
from meshcli.settings import RenderSettings
from meshcli.views.camera import orbit

SIZE = 40
Box = tuple[tuple[float, float, float], tuple[float, float, float]]


def film_of(low_high: Box, haze: float, monkeypatch: pytest.MonkeyPatch, count: int = 6) -> list[np.ndarray]:
    """The frames of a film of a dark box in thin haze."""
    low, high = (torch.tensor(corner) for corner in low_high)

    class Field:
        def __init__(self, *_: Any) -> None:
            pass

        def evaluate_raw(self, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            inside = ((points >= low) & (points <= high)).all(dim=1)
            thin = float(np.log(np.expm1(haze))) + 1.0 if haze else -40.0  # softplus(raw - 1) is the haze's density
            return torch.where(inside, 60.0, thin), torch.full((len(points), 3), 0.1)

        def density(self, resolution: int) -> torch.Tensor:
            axis = torch.linspace(-1, 1, resolution)
            lattice = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1)
            raw = self.evaluate_raw(lattice.view(-1, 3))[0]
            return torch.nn.functional.softplus(raw - 1.0).view(resolution, resolution, resolution)

    monkeypatch.setattr(field_turntable, "NerfField", Field)
    frames = record_frames(monkeypatch, field_turntable)
    sizes = tiny_sizes("nerf")
    planes = Triplanes(sizes, torch.zeros(3, 4, 12, 12), NerfDecoder(sizes))
    field_turntable.render_field_turntable(planes, RenderSettings(size=SIZE, frames=count), Path(), silent)
    return frames


@pytest.mark.parametrize(
    ("low_high", "haze"),
    [
        (((-1, -1, -1), (1, 1, 1)), 0.0),  # the corners of the whole box are at 1.73
        (((-1, -0.1, -0.1), (1, 0.1, 0.1)), 1e-3),
        (((-0.1, -0.1, -1), (0.1, 0.1, 1)), 1e-3),
        (((0.5, 0.5, 0.5), (1, 1, 1)), 0.0),
        (((-0.3, -0.3, -0.3), (0.3, 0.3, 0.3)), 0.2),  # haze that is seen counts
    ],
)
def test_no_frame_is_cut(low_high: Box, haze: float, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = film_of(low_high, haze, monkeypatch)
    assert len(frames) == 6
    for frame in frames:
        assert np.concatenate([frame[0], frame[-1], frame[:, 0], frame[:, -1]]).min() >= 254
        assert frame.min() < 60


def test_objects_that_fit_are_seen_from_the_views_distance(monkeypatch: pytest.MonkeyPatch) -> None:
    [frame] = film_of(((-0.5, -0.5, -0.5), (0.5, 0.5, 0.5)), 0.0, monkeypatch, count=1)
    camera = orbit(0.0, RenderSettings().elevation)
    sizes = tiny_sizes("nerf")
    planes = Triplanes(sizes, torch.zeros(3, 4, 12, 12), NerfDecoder(sizes))
    assert np.array_equal(frame, field_turntable.render_view(planes, camera, SIZE))
