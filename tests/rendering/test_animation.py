from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.painted_ball import ball
from meshcli.rendering.animation import gif_step, write_gif, write_webp
from meshcli.rendering.backdrop import Backdrop
from meshcli.rendering.turntable import MeshPictures
from meshcli.settings import RenderSettings


def frames(count: int, channels: int = 3) -> list[np.ndarray]:
    pictures = []
    for index in range(count):
        picture = np.full((30, 40, channels), 255, np.uint8)
        picture[5:20, index : index + 12, :3] = (200, 40, 20)
        if channels == 4:
            picture[..., 3] = 0
            picture[5:20, index : index + 12, 3] = 255
        pictures.append(picture)
    return pictures


def read(path: Path) -> tuple[list[np.ndarray], list[int]]:
    """Frames as RGBA, and milliseconds."""
    pictures, durations = [], []
    with Image.open(path) as file:
        for index in range(getattr(file, "n_frames", 1)):
            file.seek(index)
            file.load()
            durations.append(file.info.get("duration", 0))
            pictures.append(np.asarray(file.convert("RGBA")))
    return pictures, durations


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("ending", ["gif", "webp"])
def test_every_frame_comes_back_in_its_time(tmp_path: Path, ending: str, channels: int) -> None:
    path, shown = tmp_path / f"a.{ending}", frames(12, channels)
    if ending == "gif":
        write_gif(path, iter(shown), 12, 30, shown[:3])
    else:
        write_webp(path, iter(shown), 12, 30)
    pictures, durations = read(path)
    assert len(pictures) == 12
    assert sum(durations) == 400
    assert set(durations) <= {30, 40, 33, 34}
    for ours, theirs in zip(shown, pictures, strict=True):
        covered = ours[..., 3] > 0 if channels == 4 else np.ones(ours.shape[:2], bool)
        assert np.abs(theirs[covered][:, :3].astype(int) - ours[covered][:, :3]).mean() < 10  # chroma is halved
        assert (theirs[..., 3] == np.where(covered, 255, 0)).all()


def test_one_frame_is_a_picture(tmp_path: Path) -> None:
    write_gif(tmp_path / "a.gif", iter(frames(1)), 1, 30, frames(1))
    write_webp(tmp_path / "a.webp", iter(frames(1)), 1, 30)
    assert all(len(read(tmp_path / name)[0]) == 1 for name in ("a.gif", "a.webp"))


def test_a_gif_leaves_frames_out_that_come_too_fast(tmp_path: Path) -> None:
    assert [gif_step(fps) for fps in (1, 30, 50, 51, 60, 120, 240)] == [1, 1, 1, 2, 2, 3, 5]
    MeshPictures(ball(3), RenderSettings(size=32, frames=24, fps=60, samples=1)).gif(tmp_path / "a.gif")
    pictures, durations = read(tmp_path / "a.gif")
    assert (len(pictures), sum(durations)) == (12, 400)


@pytest.mark.parametrize("ending", ["gif", "webp"])
def test_animations_are_transparent_only_where_that_is_set(tmp_path: Path, ending: str) -> None:
    settings, path = RenderSettings(size=48, frames=4, samples=2), tmp_path / f"a.{ending}"
    for backdrop, alpha in ((Backdrop(), 255), (Backdrop(transparent=True), 0)):
        show = MeshPictures(ball(3), settings, backdrop=backdrop)
        (show.gif if ending == "gif" else show.webp)(path)
        picture = read(path)[0][2]
        assert picture[0, 0, 3] == alpha
        assert picture[24, 24, 3] == 255
