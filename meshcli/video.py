"""Frames to an mp4 that plays in a browser: H.264, yuv420p, the index in front of the pictures.

imageio-ffmpeg brings the program; we start it ourselves, because its `write_frames` neither looks at ffmpeg's exit code
nor keeps what ffmpeg says off the terminal.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import imageio_ffmpeg
import numpy as np

from meshcli.errors import MeshcliError, MissingError, ResourceError
from meshcli.view import Pixels

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
        # In a session of its own, so that Ctrl-C reaches us alone and we decide how it ends.
        own: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            own = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._said, **own
        )

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
            if self._process.returncode:
                raise self._failure()
        finally:
            if self._process.poll() is None:  # interrupted while waiting
                self._process.kill()
                self._process.wait()
            self._said.close()

    def _failure(self) -> MeshcliError:
        """What ffmpeg said last, as an error."""
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        reason = lines[-1].strip() if lines else f"exit code {self._process.returncode}"
        if any("No space left" in line for line in lines):
            return ResourceError(f"the disk is full: {self.path} could not be written; free some space and try again")
        return MeshcliError(f"ffmpeg could not write {self.path}: {reason}")


def _even(size: int) -> int:
    return size + size % 2


def _program() -> str:
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise MissingError(
            "no ffmpeg for this machine in imageio-ffmpeg: install ffmpeg, or set IMAGEIO_FFMPEG_EXE to it"
        ) from error
