"""Measure generation with Zero123++ at full size: python tests/bench/zero123plus.py WEIGHTS [--steps N] [--limit GB].

WEIGHTS is a folder as `--weights` takes it; tests/tools/synthetic_weights.py writes one. One photo, in a process of its
own with a limited data segment. Prints a table: seconds of each part, seconds per step, the extrapolation to 75 steps,
and the peak memory of the process. The first step is slower than the others and is included.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from machine import processor

PHOTO = Path(__file__).parents[2] / "examples" / "desk" / "1.png"
USUAL = 75  # steps


def main() -> None:
    """Run it once and print what its record says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument(
        "--limit", type=float, default=3.8, help="of the data segment, GB; other flags are `generate`'s"
    )
    parser.add_argument("--photo", type=Path, default=PHOTO)
    arguments, more = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        record, cpu = run(Path(folder, "desk"), arguments, more)
    seconds, facts = record["facts"]["seconds"], record["facts"]
    step = seconds["denoise"] / arguments.steps
    rest = seconds["total"] - seconds["denoise"]
    print(
        f"{processor()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {facts['dtype']} on {facts['device']}"
    )
    print("| encode | a step | decode | reading weights | 75 steps, in all | peak RSS | limit | CPU seconds |")
    print("|---|---|---|---|---|---|---|---|")
    print(
        f"| {seconds['encode']:.0f} s | {step:.1f} s | {seconds['decode']:.0f} s | {facts['loading']:.0f} s "
        f"| {(rest + USUAL * step) / 60:.1f} min | {facts['peak_rss'] / 1e9:.2f} GB "
        f"| {arguments.limit} GB | {cpu:.0f} |"
    )


def run(project: Path, arguments: argparse.Namespace, more: list[str]) -> tuple[dict, float]:
    """The record of `generate`, and the processor's seconds; exits as it does when it fails."""
    line = [sys.executable, "-m", "meshcli", "generate", str(project), str(arguments.photo), "--engine", "zero123plus"]
    line += ["--weights", str(arguments.weights), "--steps", str(arguments.steps), *more]
    limit = (int(arguments.limit * 1e9),) * 2
    code = subprocess.run(
        line, check=False, preexec_fn=partial(resource.setrlimit, resource.RLIMIT_DATA, limit)
    ).returncode
    if code:
        sys.exit(code)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    manifest = json.loads((project / "manifest.json").read_text(encoding="utf-8"))
    return manifest["stages"]["generate"], used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
