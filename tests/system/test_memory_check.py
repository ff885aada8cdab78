import subprocess
import sys
from pathlib import Path

import pytest

from meshcli.system import memory_check

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="needs limits as Linux has them")
ASK = """
import resource, sys
from meshcli.system.memory_check import check_memory, library_bytes
limit = library_bytes("fit") + int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
check_memory("fit")
"""


@LINUX
def test_room_is_asked_for() -> None:
    """The interpreter itself has less than 100 MB and more than nothing."""
    asked = [subprocess.run([sys.executable, "-c", ASK, str(spare << 20)], check=False, capture_output=True)
             for spare in (100, 0)]  # fmt: skip
    assert asked[0].returncode == 0, asked[0].stderr
    assert b"MemoryError" in asked[1].stderr


@LINUX
def test_the_libraries_take_no_more() -> None:
    """What is asked for is what they map: so that they are not loaded where they cannot be."""
    script = ASK + "import meshcli.reconstructors.fit, meshcli.texturing.bake\n"
    script += "from meshcli.system.sparse_solve import ensure_openblas_buffer\n"
    script += "import numpy as np\nensure_openblas_buffer()\nnp.ones((300, 300)) @ np.ones((300, 300))\n"
    run = subprocess.run([sys.executable, "-c", script, str(60 << 20)], check=False, capture_output=True)
    assert run.returncode == 0, run.stderr


def test_more_for_networks_and_for_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    sizes = [memory_check.library_bytes(engine) for engine in ("embree", "instant-mesh-large", "zero123plus")]
    assert sizes == sorted(set(sizes))
    monkeypatch.delenv("OPENBLAS_NUM_THREADS")
    monkeypatch.setenv("OMP_NUM_THREADS", "no number")
    monkeypatch.setattr(memory_check, "available_cores", lambda: 200)
    assert memory_check.library_bytes("fit") == sizes[0] + 63 * memory_check.MB_PER_THREAD * memory_check.MEGABYTE


@LINUX
def test_memory_reserve_is_free_afterwards() -> None:
    def mapped() -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmData"))

    before = mapped()
    with memory_check.memory_reserve():
        assert mapped() - before >= memory_check.RESERVE_MB << 10
    assert mapped() - before < memory_check.RESERVE_MB << 10
