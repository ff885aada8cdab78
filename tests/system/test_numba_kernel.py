import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numba
import pytest

from meshcli.system.numba_kernel import kernel

PROGRAM = (
    "from meshcli.system.numba_kernel import kernel\n@kernel()\ndef double(x):\n    return 2 * x\nprint(double(21))"
)

RESAMPLED = """
import sys
import numpy as np
from meshcli.sdf.grid import resample

field = np.random.default_rng(0).random((15, 15, 15), dtype=np.float32)
sys.stdout.buffer.write(resample(field, np.full(3, 0.3), 0.6, (20, 20, 20)).tobytes())
"""


def double(x: float) -> float:
    return 2 * x


def test_a_kernel_computes() -> None:
    assert kernel()(double)(21) == 42


@pytest.mark.slow
def test_kept_machine_code_rounds_as_the_compiling_process_does(tmp_path: Path) -> None:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", RESAMPLED]
    fresh, kept = (subprocess.run(command, env=environment, capture_output=True, check=True).stdout for _ in range(2))
    assert list(tmp_path.rglob("*.nbc"))
    assert len(fresh) == 4 * 20**3
    assert fresh == kept


def test_without_a_cache_it_is_compiled_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    original = numba.njit

    def without_cache(cache: bool = False, **options: Any) -> Any:
        def decorate(function: Any) -> Any:
            if cache:
                raise RuntimeError("cannot cache function: no locator available")
            return original(**options)(function)

        return decorate

    monkeypatch.setattr(numba, "njit", without_cache)
    assert kernel()(double)(21) == 42


def test_no_place_for_a_cache_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "file").write_text("")
    nowhere = str(tmp_path / "file" / "below")
    environment = {"NUMBA_CACHE_DIR": nowhere, "HOME": nowhere, "XDG_CACHE_HOME": nowhere, "PATH": ""}
    result = subprocess.run(
        [sys.executable, tmp_path / "program.py"], env=environment, capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout.strip()) == (0, "42"), result.stderr


LISTENING = """
from meshcli.system import compilation
from meshcli.system.numba_kernel import kernel

@kernel()
def triple(x):
    return 3 * x

heard = []
with compilation.listening(lambda begins, seconds: heard.append(begins)):
    print(triple(7), triple(8), heard)
"""


def test_listeners_hear_of_a_compilation_and_not_of_kept_machine_code(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(LISTENING)
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    command = [sys.executable, str(tmp_path / "program.py")]
    fresh, kept = (
        subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout for _ in range(2)
    )
    assert fresh == "21 24 [True, False]\n"
    assert kept == "21 24 []\n"
