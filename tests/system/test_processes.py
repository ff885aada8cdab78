"""Signals at the moments when nobody is ready for them; what a whole `run` does about them is in stages/test_run.py."""

import os
import signal
import subprocess
import sys

import pytest

from meshcli.system import processes

pytestmark = pytest.mark.usefixtures("default_signal_handlers")

CHILD = """
import sys, time
print("born", flush=True)
time.sleep(0.5)  # like imports
from meshcli.system.processes import Interrupted, listen_to_signals
try:
    listen_to_signals()
    time.sleep(60)
except Interrupted as error:
    print("heard", flush=True)
    sys.exit(error.exit_code)
"""
PARENT = """
import sys
from meshcli.system import processes
processes.COMMAND[:] = [sys.executable, "-c", sys.argv[1]]
processes.listen_to_signals()
try:
    processes.run_child([])
except processes.Interrupted as error:
    sys.exit(error.exit_code)
"""
WAITED = """
import os, signal, sys
from meshcli.__main__ import main
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
os.kill(os.getpid(), signal.SIGTERM)
sys.exit(main())
"""
IMPORTED = """
import os, signal, sys

class Finder:
    def find_spec(self, name, *_):
        if name == "meshcli.commands.cli":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finder())
from meshcli.__main__ import main
sys.exit(main())
"""

SWALLOWED = """
import ctypes, os, signal, sys, time
from meshcli.system.processes import Interrupted, listen_to_signals

def interrupt(*_):
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0)

class Thing:
    __del__ = interrupt

try:
    listen_to_signals()
    call = ctypes.CFUNCTYPE(None)
    ctypes.CFUNCTYPE(None)(interrupt)() if sys.argv[1] == "callback" else Thing()
    time.sleep(60)
except Interrupted as error:
    sys.exit(error.exit_code)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_to_a_starting_child_takes_effect_once_it_listens(number: signal.Signals, code: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT, CHILD], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "born\n"
    os.killpg(process.pid, number)
    assert process.communicate() == ("heard\n", "")
    assert process.returncode == code


def test_a_pending_interruption_is_one_line() -> None:
    done = subprocess.run([sys.executable, "-c", WAITED], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (143, "")
    assert done.stderr == "error: interrupted; the same command goes on from what is finished\n"


def test_an_interruption_of_the_first_imports_is_one_line() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTED], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "error: interrupted; the same command goes on from what is finished\n"


@pytest.mark.parametrize("where", ["callback", "finaliser"])
def test_an_interruption_is_not_lost_where_python_cannot_raise(where: str) -> None:
    program = [sys.executable, "-c", SWALLOWED, where]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


TALKING_CHILD = """
import os, signal, sys
sys.stderr.write("one\\n" + 100_000 * "x" + "\\n")
sys.stderr.flush()
os.write(2, b"\\xff cut off")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_all_that_a_killed_child_wrote_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    monkeypatch.setattr(processes, "COMMAND", [sys.executable, "-c", TALKING_CHILD])
    assert processes.run_child([], read_line=lines.append) == (-signal.SIGKILL, "")
    assert lines == ["one", 100_000 * "x", r"\xff cut off"]


def test_a_child_without_standard_error_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "COMMAND", [sys.executable, "-c", "import os; os.close(2); print(1)"])
    assert processes.run_child([], capture=True, read_line=print) == (0, "1\n")
