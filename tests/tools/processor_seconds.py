"""List the slowest tests by CPU time: PYTHONPATH=tests/tools python -m pytest -p processor_seconds [-m "not slow"].

Counts CPU seconds of a test, its fixtures and the processes that it waited for, which hardly depend on how busy the
machine is (those of `--durations` do). Prints the sum, the slowest tests, those that lack the mark `slow`, and the most
costly files.
"""

import os
from collections import Counter

import pytest

SLOW = 5.0  # seconds, from which a test is to be marked slow
SHOWN = 40
spent: dict[str, tuple[float, bool]] = {}  # by name of the test; whether it is marked
started = pytest.StashKey[float]()


def now() -> float:
    """CPU seconds of this process and of those that it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    item.stash[started] = now()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    if call.when == "teardown":
        used = now() - item.stash[started]
        item.user_properties.append(("spent", (used, item.get_closest_marker("slow") is not None)))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Here the reports of all workers arrive."""
    if report.when == "teardown":
        spent[report.nodeid] = tuple(dict(report.user_properties)["spent"])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    slowest = sorted(spent, key=spent.__getitem__, reverse=True)
    terminalreporter.section(f"{sum(seconds for seconds, _ in spent.values()):.0f} processor seconds in all")
    for name in slowest[:SHOWN]:
        seconds, slow = spent[name]
        mark = "slow" if slow else "NOT MARKED SLOW" if seconds > SLOW else ""
        terminalreporter.write_line(f"{seconds:7.1f}  {name}  {mark}")
    files: Counter[str] = Counter()
    for name, (seconds, _) in spent.items():
        files[name.partition("::")[0]] += seconds
    terminalreporter.section("by file")
    for name, seconds in files.most_common(SHOWN):
        terminalreporter.write_line(f"{seconds:7.1f}  {name}")
