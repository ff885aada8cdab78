"""What a batch of many objects costs its driver: python tests/bench/batch.py [--count 10000].

Plans a list of objects with three photos each, all of which exist; then makes that many finished projects, of which
each has the manifest and the files of a real one, lets the driver find them finished, and reads `batch status`, with
the records of the driver and without them. Prints seconds and the peak memory of the process.
"""

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from meshcli.batch.batch_folder import BatchFolder, stamp
from meshcli.batch.batch_state import ObjectState, asked_of, read_state, record_of, state_of_project
from meshcli.batch.object_list import BatchFlags, CheckedList, check_list
from meshcli.batch.summary import table_text
from meshcli.batch.tracker import plan_batch
from meshcli.project.manifest import ALL_STAGES, Manifest, Output, StageRecord

FILES = {  # of a finished project with three photos, by stage
    "generate": [*(f"photos/{name}.png" for name in "abc"), *(f"views/{number:02}.png" for number in range(18))],
    "select": ["selection.png"],
    "reconstruct": [f"mesh/{name}" for name in ("mesh.glb", "mesh.obj", "mesh.mtl", "mesh.png", "colours.obj")],
    "render": [f"renders/{name}" for name in ("turntable.mp4", "front.png", "back.png", "left.png", "right.png")],
}


def main() -> None:
    """All measurements, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--only", choices=("plan", "finished", "status", "without"))
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    if arguments.only:
        measure(arguments.only, arguments.folder, arguments.count)
        return
    with tempfile.TemporaryDirectory() as folder:
        write_list(Path(folder), arguments.count)
        make_projects(Path(folder))
        for what in ("plan", "finished", "status", "without"):
            line = [sys.executable, __file__, "--only", what, "--folder", folder, "--count", str(arguments.count)]
            subprocess.run(line, check=True)


def measure(what: str, folder: Path, count: int) -> None:
    """One measurement, and its line."""
    titles = {
        "plan": "planning", "finished": "found finished", "status": "status", "without": "status without records",
    }  # fmt: skip
    calls: dict[str, Callable[[], int]] = {
        "plan": lambda: len(read(folder).objects),
        "finished": lambda: len(plan_batch(BatchFolder(folder / "out"), read(folder).objects, False).finished),
        "status": lambda: len(list(states(folder))),
        "without": lambda: sum(state_of_project(item).state == "done" for item in read(folder).objects),
    }
    start, used = time.monotonic(), time.process_time()
    found = calls[what]()
    assert found == count, f"{what}: {found} of {count}"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    took, processor = time.monotonic() - start, time.process_time() - used
    print(
        f"{titles[what]:24} {count:,} objects  {took:6.1f} s, {processor:6.1f} s of processor, {peak / 1e6:.0f} MB",
        flush=True,
    )


def read(folder: Path) -> CheckedList:
    """The list, checked."""
    return check_list(folder / "list.csv", folder / "out", BatchFlags(("--config=quick",)))


def states(folder: Path) -> list[ObjectState]:
    """Where all objects stand, and the table of them."""
    batch = BatchFolder(folder / "out")
    found = [read_state(batch, item) for item in read(folder).objects]
    table_text(found)
    return [state for state in found if state.state == "done"]


def write_list(folder: Path, count: int) -> None:
    """A list in which no two rows have the same settings, and its photos in one folder."""
    (folder / "photos").mkdir()
    with (folder / "list.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["name", "photos", "azimuth", "engine", "settings", "height", "export"])
        for number in range(count):
            for photo in range(3):
                (folder / "photos" / f"{number:06}_{photo}.jpg").write_bytes(b"x")
            settings = f"fit.rays={1000 + number}"
            rows.writerow([f"{number:06}", f"photos/{number:06}_*.jpg", "0,90,180", "sculpt", settings, "", ""])


def make_projects(folder: Path) -> None:
    """Every project of the list, finished, with the record that a driver leaves."""
    batch = BatchFolder(folder / "out")
    objects = read(folder).objects
    batch.prepare(folder / "list.csv", objects)
    facts = {
        "seconds": {"total": 1.0},
        "peak_rss": 4e8,
        "versions": {f"library {number}": "1.0" for number in range(12)},
    }
    stages = {
        stage: StageRecord(
            "done", "fit", {"fit": {f"key {number}": number for number in range(40)}},
            {f"fit.key {number}": "0" * 64 for number in range(60)},
            tuple(Output(file, 1, "0" * 64) for file in FILES[stage]), facts,
        )
        for stage in ALL_STAGES if stage in FILES
    }  # fmt: skip
    manifest = json.dumps(Manifest(stages=stages).to_json(), indent=1)
    first = None
    for item in objects:
        for name in {os.path.dirname(file) for files in FILES.values() for file in files}:  # noqa: PTH120
            (item.project / name).mkdir(parents=True, exist_ok=True)
        for file in (file for files in FILES.values() for file in files):
            (item.project / file).write_bytes(b"x")
        (item.project / "manifest.json").write_text(manifest)
        first = first or record_of(item, "", {})
        seen = stamp(item.project / "manifest.json")
        batch.save_record(replace(first, name=item.name, asked=asked_of(item), manifest=seen))


if __name__ == "__main__":
    main()
