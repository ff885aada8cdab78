"""Encodes frames as an mp4 that plays in browsers: H.264, yuv420p, index first (faststart).

imageio-ffmpeg provides the binary; we start it ourselves, because its `write_frames` neither checks ffmpeg's exit code
nor keeps its output off the terminal.
"""

import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from meshcli.errors import MissingError, ResourceError
from meshcli.out_of_memory import OOM_KILLER_SIGNAL, PROCESS_START_ERRNOS
from meshcli.pictures.pixels import Pixels
from meshcli.rendering.ffmpeg import ADVICE, ENCODER, ffmpeg_program, start_error

CRF = 17  # of 51, smaller is better; 18 is usually taken for visually lossless
PRESET = "veryfast"  # half the time of "medium" with 18, as good in luma (44 dB), and files 2 to 11 % larger
MOTION = "subme=1"  # a coarse search between pixels: a fifth of the time less, as good, files 9 to 13 % larger
# sRGB in, BT.709 out, and tagged so in the file: players make different guesses about untagged files.
COLOUR_FILTER = ["-vf", "scale=out_color_matrix=bt709:out_range=tv,setparams=colorspace=bt709:range=tv"]
COLOUR_TAGS = ["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv"]


class Mp4Writer:
    """Context manager that encodes frames as they are added.

    The file may have any name. If the block ends with an exception, ffmpeg is killed, and the caller deletes the
    partial file.
    """

    def __init__(self, path: Path, width: int, height: int, fps: int) -> None:
        self.path = path
        self.width, self.height = width, height
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 (closed in __exit__; a full pipe would block ffmpeg)
        size = f"{_even(width)}x{_even(height)}"
        command = [
            ffmpeg_program(), "-y", "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-r", str(fps),
            "-i", "-", "-an", *COLOUR_FILTER, "-c:v", ENCODER, "-pix_fmt", "yuv420p",
            "-crf", str(CRF), "-preset", PRESET, "-x264-params", MOTION, *COLOUR_TAGS,
            "-movflags", "+faststart", "-f", "mp4", str(path.absolute()),
        ]  # fmt: skip
        try:
            # In its own session, so that Ctrl-C reaches only us and we decide how ffmpeg ends.
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._stderr, start_new_session=True
            )
        except OSError as error:
            self._stderr.close()
            if error.errno in PROCESS_START_ERRNOS:
                raise MemoryError from error
            raise start_error(command[0], error) from error

    def add(self, frame: Pixels) -> None:
        """Append a frame (height, width, 3) RGB; odd sides repeat their last line, since yuv420p halves both."""
        if frame.shape != (self.height, self.width, 3):
            raise ValueError(f"a frame of {frame.shape}, not {(self.height, self.width, 3)}")
        if self.height % 2 or self.width % 2:
            frame = np.pad(frame, ((0, self.height % 2), (0, self.width % 2), (0, 0)), mode="edge")
        assert self._process.stdin is not None  # noqa: S101 (for the type checker: stdin is a pipe)
        try:
            self._process.stdin.write(np.ascontiguousarray(frame, np.uint8).data)
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
            if self._process.returncode or not self._is_mp4():
                raise self._failure()
        finally:
            if self._process.poll() is None:  # interrupted while waiting
                self._process.kill()
                self._process.wait()
            self._stderr.close()

    def _is_mp4(self) -> bool:
        """Whether the file is an mp4: a program that is not ffmpeg may exit with 0."""
        if not self.path.is_file():
            return False
        with self.path.open("rb") as file:
            return file.read(8)[4:] == b"ftyp"

    def _failure(self) -> Exception:
        """The last line of ffmpeg's output as an error; MemoryError if the system killed it."""
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").strip().splitlines()
        code = self._process.returncode
        if code == -OOM_KILLER_SIGNAL:
            return MemoryError()
        if any("No space left" in line for line in lines):
            return ResourceError(f"the disk is full: {self.path} could not be written; free some space and try again")
        ended = f"signal {-code} ended it" if code < 0 else f"exit code {code}" if code else "it wrote no video"
        return MissingError(f"ffmpeg could not write {self.path}: {lines[-1].strip() if lines else ended}; {ADVICE}")


def _even(size: int) -> int:
    """The size, rounded up to an even number."""
    return size + size % 2
