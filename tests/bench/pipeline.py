"""Measure time and memory of `meshcli run` from three photos to the turntable: python tests/bench/pipeline.py [--cold].

Also compares the desk's mesh with the true one. `--cold` lets numba compile into an empty cache first.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import trimesh
from measure import shape, visible_samples

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))
from desk_model import FOLDER, true_mesh

PHOTOS = [str(FOLDER / f"{number}.png") for number in (1, 2, 3)]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cold", action="store_true", help="with an empty numba cache")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.cold:
            os.environ["NUMBA_CACHE_DIR"] = str(Path(folder) / "numba")
        project = Path(folder) / "desk"
        print("| what | seconds |\n|---|---|")
        print(f"| meshcli --help | {min(seconds('--help') for _ in range(3)):.2f} |")
        print(f"| run, three photos to turntable | {seconds('run', str(project), *PHOTOS):.1f} |")
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
        for stage, record in json.loads((project / "manifest.json").read_text())["stages"].items():
            steps = record["facts"]["seconds"]
            print(f"| - {stage} | {', '.join(f'{step} {taken:.1f}' for step, taken in steps.items())} |")
        print(f"| run again, everything unchanged | {seconds('run', str(project)):.2f} |")
        print(f"| reconstruct again, unchanged | {seconds('reconstruct', str(project)):.2f} |")
        print(f"\npeak memory of a process: {peak:.2f} GB")
        print("the desk beside the truth: CD {:.4f}, F {:.2f}".format(*compare(project / "mesh" / "mesh.obj")))


def seconds(*arguments: str) -> float:
    """Wall time of a command."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "meshcli", *arguments], check=True, capture_output=True)
    return time.perf_counter() - start


def compare(path: Path) -> tuple[float, float]:
    """Chamfer distance and F of a mesh that `reconstruct` wrote: y up back to z up, metres as they are."""
    mesh = trimesh.load_mesh(path, process=False)
    truth = true_mesh()
    return shape(mesh.vertices[:, [2, 0, 1]], mesh.faces, visible_samples(truth.vertices, truth.faces))


if __name__ == "__main__":
    main()
