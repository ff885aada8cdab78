import signal
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest

from meshcli.errors import MeshcliError, MissingError
from meshcli.rendering.ffmpeg import ADVICE
from meshcli.rendering.video import Mp4Writer


def frame(index: int, width: int = 64, height: int = 48) -> np.ndarray:
    picture = np.full((height, width, 3), (30, 200, 90), np.uint8)
    picture[:, : 8 * index] = (220, 40, 60)
    return picture


def read(path: Path) -> tuple[dict, list[np.ndarray]]:
    reader = imageio_ffmpeg.read_frames(str(path))
    meta = next(reader)
    width, height = meta["size"]
    return meta, [np.frombuffer(data, np.uint8).reshape(height, width, 3) for data in reader]


def test_frames_come_back(tmp_path: Path) -> None:
    path = tmp_path / "some.temporary-name"
    with Mp4Writer(path, 64, 48, 25) as video:
        for index in range(6):
            video.add(frame(index))
    meta, frames = read(path)
    assert (meta["codec"], meta["fps"], len(frames)) == ("h264", 25.0, 6)
    assert "yuv420p" in meta["pix_fmt"]
    for index, picture in enumerate(frames):
        assert np.abs(picture.astype(int) - frame(index)).mean() < 6


def test_the_index_comes_first(tmp_path: Path) -> None:
    with Mp4Writer(tmp_path / "a.mp4", 64, 48, 25) as video:
        video.add(frame(1))
    data = (tmp_path / "a.mp4").read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


def test_odd_sizes_grow_by_a_line(tmp_path: Path) -> None:
    with Mp4Writer(tmp_path / "a.mp4", 33, 21, 25) as video:
        video.add(frame(1, 33, 21))
    meta, _ = read(tmp_path / "a.mp4")
    assert meta["size"] == (34, 22)


def write(writer: Mp4Writer, frames: int, error: type[BaseException] | None = None) -> None:
    with writer as video:
        for _ in range(frames):
            video.add(frame(1))
        if error:
            raise error


@pytest.mark.parametrize("frames", [1, 2000])  # ffmpeg leaves at once; the pipe holds a few frames
def test_a_file_that_cannot_be_written_is_one_clear_line(tmp_path: Path, frames: int) -> None:
    path = tmp_path / "missing" / "a.mp4"
    with pytest.raises(MeshcliError, match="No such file") as caught:
        write(Mp4Writer(path, 64, 48, 25), frames)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


PROGRAMS = {
    "false": "exit 1",
    "true": "exit 0",
    "silent": "cat > /dev/null",  # reads everything, writes nothing
    "junk": "cat > /dev/null; for last; do :; done; echo junk > $last",
    "words": "echo 'Unknown encoder' >&2; exit 1",
    "crash": "head -c 10000 > /dev/null; kill -SEGV $$",
}


@pytest.mark.parametrize("frames", [1, 100])  # the pipe holds a few of them
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_that_is_no_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, frames: int) -> None:
    program = tmp_path / name
    program.write_text(f"#!/bin/sh\n{PROGRAMS[name]}\n")
    program.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(program))
    with pytest.raises(MissingError) as caught:
        write(Mp4Writer(tmp_path / "a.mp4", 64, 48, 25), frames)
    says = {"false": "exit code 1", "words": "Unknown encoder", "crash": "signal 11 ended it"}
    reason = says.get(name, "it wrote no video")
    assert str(caught.value) == f"ffmpeg could not write {tmp_path / 'a.mp4'}: {reason}; {ADVICE}"


def test_an_ffmpeg_that_the_system_kills_counts_as_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\nkill -KILL $$\n")
    program.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(program))
    with pytest.raises(MemoryError):
        write(Mp4Writer(tmp_path / "a.mp4", 64, 48, 25), 100)


@pytest.mark.parametrize("kind", ["missing", "in no folder", "a folder", "not executable", "no program", "in no path"])
def test_an_ffmpeg_that_cannot_be_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    program = tmp_path / "ffmpeg"
    if kind == "a folder":
        program.mkdir()
    elif kind == "in no folder":
        program.touch()
        program /= "ffmpeg"
    elif kind in ("not executable", "no program"):
        program.write_bytes(b"\x7fELF of another machine")
        program.chmod(0o755 if kind == "no program" else 0o644)
    name = "ffmpeg-of-nobody" if kind == "in no path" else str(program)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", name)
    with pytest.raises(MissingError) as caught:
        write(Mp4Writer(tmp_path / "a.mp4", 64, 48, 25), 1)
    assert str(caught.value).startswith(f"ffmpeg cannot be started ({name}: ")
    assert str(caught.value).endswith(ADVICE)


def test_a_frame_of_another_size_is_refused(tmp_path: Path) -> None:
    with Mp4Writer(tmp_path / "a.mp4", 64, 48, 25) as video, pytest.raises(ValueError, match="a frame of"):
        video.add(frame(1, 32, 32))


def test_an_exception_ends_ffmpeg(tmp_path: Path) -> None:
    writer = Mp4Writer(tmp_path / "a.mp4", 64, 48, 25)
    with pytest.raises(KeyboardInterrupt):
        write(writer, 3, KeyboardInterrupt)
    assert writer._process.returncode == -signal.SIGKILL
    path = tmp_path / "a.mp4"
    assert not path.exists() or b"moov" not in path.read_bytes()  # not finished behind our back
