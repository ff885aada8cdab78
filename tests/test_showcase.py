from itertools import pairwise
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from balls import ball, ball_views

from meshcli.settings import RenderSettings
from meshcli.showcase import STILLS, Showcase

SMALL = RenderSettings(size=48, frames=5, samples=1)


def test_the_turntable_goes_round_once(tmp_path: Path) -> None:
    Showcase(ball(3), SMALL).turntable(tmp_path / "t.mp4")
    reader = imageio_ffmpeg.read_frames(str(tmp_path / "t.mp4"))
    assert next(reader)["size"] == (48, 48)
    frames = [np.frombuffer(frame, np.uint8).astype(int) for frame in reader]
    assert len(frames) == 5
    assert min(np.abs(a - b).mean() for a, b in pairwise(frames)) > 2


def test_stills_have_transparent_backgrounds() -> None:
    stills = Showcase(ball(3), SMALL).stills()
    assert set(stills) == set(STILLS)
    assert all(
        still.shape == (48, 48, 4) and still[0, 0, 3] == 0 and still[24, 24, 3] == 255 for still in stills.values()
    )


def test_the_sheet_shows_the_mesh_under_its_views() -> None:
    sheet = Showcase(ball(5), SMALL).beside(ball_views()).astype(int)
    above, below = sheet[28 : 28 + 256], sheet[28 + 268 : 28 + 268 + 256]
    assert np.abs(above - below).mean() < 6
