"""Frames to an mp4 that plays in a browser: H.264, yuv420p, the index in front of the pictures.

imageio-ffmpeg brings the program; we start it ourselves, because its `write_frames` neither looks at ffmpeg's exit code
nor keeps what ffmpeg says off the terminal.
"""

import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import imageio_ffmpeg
import numpy as np

from meshcli.errors import MissingError, ResourceError
from meshcli.out_of_memory import OOM_KILLER_SIGNAL, PROCESS_START_ERRNOS
from meshcli.pictures.pixels import Pixels

ADVICE = "set IMAGEIO_FFMPEG_EXE to one that works, or unset it"
CRF = 18  # of 51, smaller is better: no visible loss
PRESET = "medium"
# sRGB in, BT.709 out, and said so in the file: players guess differently when nothing is said.
COLOURS = ["-vf", "scale=out_color_matrix=bt709:out_range=tv,setparams=colorspace=bt709:range=tv"]
TAGS = ["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv"]


class Mp4Writer:
    """Encodes frames as they come.

    Any name will do for the file. When the block ends by an exception, ffmpeg is killed and what it has written so far
    is left behind for the caller to delete.
    """

    def __init__(self, path: Path, width: int, height: int, fps: int) -> None:
        self.path = path
        self.width, self.height = width, height
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 (closed in __exit__; a full pipe would stop ffmpeg)
        size = f"{_even(width)}x{_even(height)}"
        command = [
            _program(), "-y", "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-r", str(fps),
            "-i", "-", "-an", *COLOURS, "-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", str(CRF), "-preset", PRESET,
            *TAGS, "-movflags", "+faststart", "-f", "mp4", str(path.absolute()),
        ]  # fmt: skip
        try:
            # In a session of its own, so that Ctrl-C reaches us alone and we decide how it ends.
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._said, start_new_session=True
            )
        except OSError as error:
            self._said.close()
            if error.errno in PROCESS_START_ERRNOS:
                raise MemoryError from error
            raise MissingError(f"ffmpeg cannot be started ({command[0]}: {error.strerror}); {ADVICE}") from error

    def add(self, frame: Pixels) -> None:
        """One picture (height, width, 3) RGB; an odd side gets its last line twice, for yuv420p halves both."""
        if frame.shape != (self.height, self.width, 3):
            raise ValueError(f"a frame of {frame.shape}, not {(self.height, self.width, 3)}")
        padded = np.pad(frame, ((0, self.height % 2), (0, self.width % 2), (0, 0)), mode="edge")
        assert self._process.stdin is not None  # noqa: S101 (for the type checker: we asked for a pipe)
        try:
            self._process.stdin.write(np.ascontiguousarray(padded, np.uint8).tobytes())
        except OSError as error:
            self._process.wait()
            raise self._failure() from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is not None:
                self._process.kill()
                self._process.wait()
                return
            self._process.communicate()
            if self._process.returncode or not self._written():
                raise self._failure()
        finally:
            if self._process.poll() is None:  # interrupted while waiting
                self._process.kill()
                self._process.wait()
            self._said.close()

    def _written(self) -> bool:
        """Whether there is an mp4: a program that is no ffmpeg may leave without a word."""
        if not self.path.is_file():
            return False
        with self.path.open("rb") as file:
            return file.read(8)[4:] == b"ftyp"

    def _failure(self) -> Exception:
        """What ffmpeg said last, as an error; a MemoryError when the system killed it."""
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        code = self._process.returncode
        if code == -OOM_KILLER_SIGNAL:
            return MemoryError()
        if any("No space left" in line for line in lines):
            return ResourceError(f"the disk is full: {self.path} could not be written; free some space and try again")
        ended = f"signal {-code} ended it" if code < 0 else f"exit code {code}" if code else "it wrote no video"
        return MissingError(f"ffmpeg could not write {self.path}: {lines[-1].strip() if lines else ended}; {ADVICE}")


def _even(size: int) -> int:
    return size + size % 2


def _program() -> str:
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise MissingError(
            "no ffmpeg for this machine in imageio-ffmpeg; install ffmpeg, or set IMAGEIO_FFMPEG_EXE to it"
        ) from error
