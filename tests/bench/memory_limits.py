"""Run every stage under growing memory limits: python tests/bench/memory_limits.py [CASE...] [--first MB] [--step MB].

At each limit, in steps, each case of tests/helpers/memory_limited.py (sculpt, zero123plus, fit, lrm, render) is called
in a new project until it succeeds or reports that no smaller setting is left; a case is finished when its first call
succeeds at two limits in a row. Prints a table of the outcomes; exits with 1 if there was anything but exit codes 0 and
75 with their records and messages.
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from helpers.memory_limited import CASES, Case, attempts, prepare, start


def main() -> None:
    """All cases, all limits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", default=[case.name for case in CASES])
    parser.add_argument("--first", type=int, default=200)
    parser.add_argument("--last", type=int, default=1500)
    parser.add_argument("--step", type=int, default=50)
    arguments = parser.parse_args()
    limits = range(arguments.first, arguments.last + 1, arguments.step)
    print("| stage | limit, MB | exit codes | last record | first message |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder))
        faults = [
            fault for case in CASES if case.name in arguments.cases for fault in sweep(Path(folder), case, limits)
        ]
    print(f"{len(faults)} faults", *faults, sep="\n")
    sys.exit(bool(faults))


def sweep(folder: Path, case: Case, limits: range) -> list[str]:
    """What should not have been."""
    faults: list[str] = []
    enough = 0
    for limit in limits:
        found = attempts(folder, start(folder, case, "sweep"), case, limit)
        codes = " ".join(str(each.code) for each in found)
        print(f"| {case.name} | {limit} | {codes} | {found[-1].status} | {found[0].error} |", flush=True)
        faults += [f"{case.name} at {limit} MB: {fault}" for each in found for fault in each.faults()]
        if not found[-1].last:
            faults.append(f"{case.name} at {limit} MB: no end")
        enough = enough + 1 if found[0].code == 0 else 0
        if enough == 2:
            break
    return faults


if __name__ == "__main__":
    main()
