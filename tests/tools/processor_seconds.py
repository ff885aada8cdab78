"""Which tests are dear: PYTHONPATH=tests/tools python -m pytest -p processor_seconds [-m "not slow"] [-n 2].

Processor seconds of a test, its fixtures and the processes that it waited for: unlike those of `--durations` they are
hardly more on a busy machine. Ends with the sum, the dearest tests, and those whose mark `slow` is missing.
"""

import os

import pytest

DEAR = 5.0  # seconds, from which a test is marked slow
SHOWN = 40
spent: dict[str, tuple[float, bool]] = {}  # by name of the test; whether it is marked
started = pytest.StashKey[float]()


def now() -> float:
    """Of this process and of those that it has waited for."""
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
    dearest = sorted(spent, key=spent.__getitem__, reverse=True)
    terminalreporter.section(f"{sum(seconds for seconds, _ in spent.values()):.0f} processor seconds in all")
    for name in dearest[:SHOWN]:
        seconds, slow = spent[name]
        mark = "slow" if slow else "NOT MARKED SLOW" if seconds > DEAR else ""
        terminalreporter.write_line(f"{seconds:7.1f}  {name}  {mark}")
