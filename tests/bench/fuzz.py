"""Run commands on randomly tampered projects and count failures: python tests/bench/fuzz.py [COUNT] [--seed N].

Each case is a project of meshcli with a few values, bytes or files changed, on which up to nine commands are run. None
may end with a traceback, hang, write outside the project, or print raw control characters. Prints the seed, each kind
of failure once with its case, and the number of failures per kind.
"""

import argparse
import secrets
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from helpers.command_fuzzer import Bench, Case, cases, make_projects, quick_engines


def main() -> int:
    """Run so many cases; 1 when something went wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int, nargs="?", default=10_000)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    arguments = parser.parse_args()
    print(f"{arguments.count} cases, seed {arguments.seed}", flush=True)
    problems: Counter[str] = Counter()
    done, start = 0, time.monotonic()
    memory = Path("/dev/shm")  # noqa: S108 (a folder of our own is made in it)
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder, quick_engines():
        projects = make_projects(Path(folder))
        place = Path(folder) / "place"
        place.mkdir()
        bench = Bench(place, projects)

        @seed(arguments.seed)
        @settings(max_examples=arguments.count, deadline=None, database=None, phases=[Phase.generate],
                  suppress_health_check=list(HealthCheck))  # fmt: skip
        @given(cases([(project / "manifest.json").read_bytes() for project in projects]))
        def attack(case: Case) -> None:
            nonlocal done
            done += 1
            for problem in bench.run(case):
                kind = f"{problem.split(':')[0].split()[0]}: {problem.rstrip().splitlines()[-1][:160]}"
                problems[kind] += 1
                if problems[kind] == 1:
                    print(f"{problem}\n  case {case.to_json()}", flush=True)
            if done % 250 == 0:
                print(f"{done} cases, {time.monotonic() - start:.0f} s, {problems.total()} problems", flush=True)

        attack()
    print(f"{done} cases in {time.monotonic() - start:.0f} s, {problems.total()} problems")
    print("commands by exit code: " + ", ".join(f"{code}: {count}" for code, count in sorted(bench.codes.items())))
    for kind, count in problems.most_common():
        print(f"{count:6} {kind}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
