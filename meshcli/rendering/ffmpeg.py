"""The ffmpeg that encodes videos: imageio-ffmpeg's, or the user's own. Light: no numpy."""

import subprocess

import imageio_ffmpeg

from meshcli.errors import MissingError
from meshcli.out_of_memory import PROCESS_START_ERRNOS

ADVICE = "set IMAGEIO_FFMPEG_EXE to one that works, or unset it"
ENCODER = "libx264"


def ffmpeg_program() -> str:
    """Path of the ffmpeg binary; MissingError where there is none for this platform."""
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise MissingError(
            "no ffmpeg for this machine in imageio-ffmpeg; install ffmpeg, or set IMAGEIO_FFMPEG_EXE to it"
        ) from error


def check_encoder() -> None:
    """MissingError when ffmpeg cannot be started on this machine or has no H.264; takes a tenth of a second."""
    program = ffmpeg_program()
    try:
        listed = subprocess.run(
            [program, "-hide_banner", "-encoders"], capture_output=True, text=True, errors="replace", check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except OSError as error:
        if error.errno in PROCESS_START_ERRNOS:
            raise MemoryError from error
        raise start_error(program, error) from error
    if listed.returncode or ENCODER not in listed.stdout:
        reason = f"exit code {listed.returncode}" if listed.returncode else f"it has no {ENCODER}"
        raise MissingError(f"ffmpeg cannot write a video ({program}: {reason}); {ADVICE}")


def start_error(program: str, error: OSError) -> MissingError:
    """The error for a program that the system does not start."""
    return MissingError(f"ffmpeg cannot be started ({program}: {error.strerror}); {ADVICE}")
