"""A loop over a few objects leaves nothing behind but their projects."""

import os
import subprocess
import sys
from pathlib import Path

import many
import pytest

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are looked for in /proc")


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_eight_objects_leave_nothing_behind(tmp_path: Path) -> None:
    """With quick engines; the bench has real ones too."""
    done = many.loop(tmp_path / "loop", 8, 0)
    assert done.faults == []
    assert "desk/renders/turntable.mp4" in done.files[False]


def test_leftovers_are_found(tmp_path: Path) -> None:
    for name in ("home", "tmp", "objects/1"):
        (tmp_path / name).mkdir(parents=True)
    done = many.Loop(tmp_path)
    done.compare(0, False, tmp_path / "objects" / "1")
    assert done.faults == []
    for name in ("home/code.nbc", "tmp/a", "objects/1/desk/.tmp-1-a"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("more")
    done.compare(1, False, tmp_path / "objects" / "1")
    assert [words in " ".join(done.faults) for words in ("temporary", "not in every", "is left", "grew")] == [True] * 4


def test_a_process_that_stays_is_found() -> None:
    sleeper = subprocess.Popen([sys.executable, "-c", "input()"], env={**os.environ, many.TOKEN: "some"},
                               stdin=subprocess.PIPE)  # fmt: skip
    try:
        assert sleeper.pid in many.marked("some")
        assert many.marked("none such") == []
    finally:
        sleeper.kill()
        sleeper.communicate()
