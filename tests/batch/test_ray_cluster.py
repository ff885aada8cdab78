"""A Ray cluster of several nodes on this machine: every object once, whatever is lost on the way."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from helpers import counted_stages
from helpers.counted_stages import lines, needs, objects, run_counted
from helpers.s3_server import missing_for_s3, s3_server
from meshcli.batch import ray_connection
from meshcli.batch.ray_cluster import RayRunner
from meshcli.batch.storage import Storage
from meshcli.batch.tasks import BatchObject, StageResult, StageStarted
from meshcli.errors import MissingError, UsageError
from meshcli.project.project import Project
from meshcli.system.processes import run_child

pytest.importorskip("ray", reason="Ray is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("default_signal_handlers")]
STORE = 80 * 2**20  # bytes of each node's object store: the least that Ray takes is 75 MiB
TESTS = str(Path(counted_stages.__file__).parents[1])


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head that runs nothing and two nodes of two cores, on paper."""
    before = dict(os.environ)
    os.environ.update(ray_connection.ENVIRONMENT, PYTHONPATH=TESTS, RAY_memory_monitor_refresh_ms="0")
    os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"  # for the server of clients: docs/ray.md
    from ray.cluster_utils import Cluster

    with ExitStack() as stack:
        if not missing_for_s3():
            os.environ.update(stack.enter_context(s3_server()))
        head = {"num_cpus": 0, "object_store_memory": STORE, "include_dashboard": False}
        running = Cluster(initialize_head=True, head_node_args=head)
        for _ in range(2):
            running.add_node(num_cpus=2, object_store_memory=STORE)
        yield running
        running.shutdown()
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def batch(cluster: Any) -> "Batch":
    return Batch(cluster.address)


@pytest.fixture
def client_address(cluster: Any) -> Iterator[str]:
    """The address of a server for clients of the cluster, as `ray start --head` starts one."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    line = ["-m", "ray.util.client.server", f"--address={cluster.address}", "--host=127.0.0.1", f"--port={port}"]
    server = subprocess.Popen([sys.executable, *line, "--mode=proxy"], stderr=subprocess.DEVNULL)

    def listens() -> bool:
        with socket.socket() as trial:
            return trial.connect_ex(("127.0.0.1", port)) == 0

    wait_for(listens)
    yield f"ray://127.0.0.1:{port}"
    server.terminate()
    server.wait()


class Batch:
    """Runs objects and keeps what is reported."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.events: list[StageStarted | StageResult] = []

    def run(self, items: list[BatchObject], stage: Callable[..., StageResult] = run_counted) -> list[StageResult]:
        RayRunner(stage, self.address, needs).run(items, self.events.append)
        return [event for event in self.events if isinstance(event, StageResult)]

    def driver(self, folder: Path, count: int, *words: str) -> "subprocess.Popen[str]":
        """A driver in a process of its own."""
        return subprocess.Popen(
            [sys.executable, counted_stages.__file__, self.address, str(folder), str(count), *words],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip


def wait_for(what: Callable[[], object], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.05)


def finished(folder: Path) -> set[tuple[str, str]]:
    """Objects and stages that were finished: written down or, where the worker was ended just before that, recorded."""
    written = {(line["name"], line["stage"]) for line in lines(folder, "done")}
    projects = [Project(folder / name) for name in {line["name"] for line in lines(folder, "began")}]
    recorded = {
        (project.root.name, stage)
        for project in projects if project.exists
        for stage, record in project.load().stages.items() if record.status == "done"
    }  # fmt: skip
    return written | recorded


def once(folder: Path, count: int) -> bool:
    """Whether every stage of every object was finished, and finished once."""
    done = Counter((line["name"], line["stage"]) for line in lines(folder, "done"))
    return len(finished(folder)) == count * len(counted_stages.STAGES) and set(done.values()) == {1}


def test_of_200_objects_each_is_finished_once_though_nodes_and_workers_are_lost(
    cluster: Any, batch: Batch, tmp_path: Path
) -> None:
    weak = cluster.add_node(num_cpus=2, object_store_memory=STORE)
    for name in ("060.generate", "060.render", "120.generate"):
        (tmp_path / name).write_text("x", encoding="ascii")

    def lose_a_node() -> None:
        wait_for(lambda: len(lines(tmp_path, "done")) > 150)
        cluster.remove_node(weak, allow_graceful=False)

    loss = threading.Thread(target=lose_a_node)
    loss.start()
    results = batch.run(objects(tmp_path, 200, "sleep=0.05", "die={name}.{stage}"))
    loss.join()
    assert once(tmp_path, 200)
    assert len(lines(tmp_path, "began")) >= 403, "three workers were lost, each at work"
    assert not weak.any_processes_alive()
    assert {result.exit_code for result in results} == {0}
    assert Counter(result.stage for result in results) == {"generate": 200, "render": 200}


def test_a_worker_that_is_lost_three_times_fails_its_object_alone(batch: Batch, tmp_path: Path) -> None:
    (tmp_path / "001.generate").write_text("xxxx", encoding="ascii")
    (tmp_path / "002.render").write_text("x", encoding="ascii")
    results = batch.run(objects(tmp_path, 4, "die={name}.{stage}"))
    failed = [result for result in results if result.failed]
    assert [(each.name, each.stage, each.exit_code, each.tries) for each in failed] == [("001", "generate", 75, 3)]
    assert "lost with its worker" in failed[0].error
    assert sorted(each.name for each in results if each.stage == "render" and not each.failed) == ["000", "002", "003"]
    record = Project(tmp_path / "001").load().stages["generate"]
    assert (record.status, record.tries) == ("failed", 3)
    assert record.reduced_settings == {"fit.steps": 3}, "the second and third loss count as a lack of memory"
    assert next(each.tries for each in results if (each.name, each.stage) == ("002", "render")) == 2


def test_a_stage_without_memory_is_tried_three_times(batch: Batch, tmp_path: Path) -> None:
    (tmp_path / "000.generate").write_text("xx", encoding="ascii")
    (tmp_path / "001.generate").write_text("xxxx", encoding="ascii")
    results = batch.run(objects(tmp_path, 2, "full={name}.{stage}"))
    found = sorted((each.name, each.stage, each.exit_code, each.tries) for each in results)
    assert found == [("000", "generate", 0, 3), ("000", "render", 0, 1), ("001", "generate", 75, 3)]


def test_a_stage_that_the_memory_monitor_ends_takes_less_the_next_time(
    cluster: Any, batch: Batch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node finds its memory used up from the start, and looks every three seconds: whatever runs then is ended."""
    monkeypatch.setattr("meshcli.batch.ray_cluster.check_nodes", lambda *_: None)  # it would be ended too
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "3000")
    monkeypatch.setenv("RAY_memory_usage_threshold", "0.01")
    full = cluster.add_node(num_cpus=8, object_store_memory=STORE)
    try:
        results = batch.run(objects(tmp_path, 1, "sleep=20", "cpus=8"))
    finally:
        cluster.remove_node(full)
    assert [(each.exit_code, each.tries) for each in results] == [(75, 3)]
    assert "memory monitor" in results[0].error
    if began := len(lines(tmp_path, "began")):  # it may have been ended each time before it did
        assert Project(tmp_path / "000").load().stages["generate"].reduced_settings == {"fit.steps": 10 // began}


def test_a_driver_that_is_killed_leaves_nothing_running_and_the_next_goes_on(batch: Batch, tmp_path: Path) -> None:
    driver = batch.driver(tmp_path, 30, "sleep=0.3")
    wait_for(lambda: len(lines(tmp_path, "done")) > 10)
    driver.kill()
    driver.communicate()
    wait_for(lambda: not [line for line in _open(tmp_path) if _lives(line["pid"])], 30)
    before = len(finished(tmp_path))
    assert before < 60
    results = batch.run(objects(tmp_path, 30, "sleep=0.3"))
    assert once(tmp_path, 30)
    assert sum(each.skipped for each in results) == before


def test_ctrl_c_ends_what_runs_and_nothing_is_printed_but_results(batch: Batch, tmp_path: Path) -> None:
    (tmp_path / "000.generate").write_text("x", encoding="ascii")
    driver = batch.driver(tmp_path, 6, "die={name}.{stage}", "sleep=1")
    wait_for(lambda: len(lines(tmp_path, "done")) > 3)
    driver.send_signal(signal.SIGINT)
    printed, told = driver.communicate(timeout=60)
    assert driver.returncode == 130
    assert not [line for line in _open(tmp_path) if _lives(line["pid"])], "something still runs"
    assert all(len(line.split()) == 4 for line in printed.splitlines()), printed
    assert told == ""
    batch.run(objects(tmp_path, 6))
    assert once(tmp_path, 6)


def test_two_drivers_do_nothing_twice(batch: Batch, tmp_path: Path) -> None:
    drivers = [batch.driver(tmp_path, 20, "sleep=0.1") for _ in range(2)]
    for driver in drivers:
        _, told = driver.communicate(timeout=120)
        assert (driver.returncode, told) == (0, "")
    assert once(tmp_path, 20)


def test_a_client_of_the_cluster_runs_a_batch(
    client_address: str, batch: Batch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through ray:// workers may be lost too, Ctrl-C ends what runs, and so does the end of the driver."""
    batch.address = client_address
    with monkeypatch.context() as patched:
        patched.setattr("meshcli.__version__", "0.0.1")
        with pytest.raises(MissingError, match=r"meshcli .*, this machine 0\.0\.1"):
            batch.run(objects(tmp_path, 2))
    assert not lines(tmp_path, "began")
    for name in ("002.generate", "003.render"):
        (tmp_path / name).write_text("x", encoding="ascii")
    driver = batch.driver(tmp_path, 6, "die={name}.{stage}")
    printed, told = driver.communicate(timeout=120)
    assert (driver.returncode, told) == (0, "")
    assert {line.split()[2] for line in printed.splitlines()} == {"0"}
    assert once(tmp_path, 6)
    for number, code in ((signal.SIGINT, 130), (signal.SIGKILL, -9)):
        folder = tmp_path / str(code)
        folder.mkdir()
        driver = batch.driver(folder, 30, "sleep=0.5")
        wait_for(lambda folder=folder: len(lines(folder, "done")) > 3)
        driver.send_signal(number)
        driver.communicate(timeout=60)
        assert driver.returncode == code
        wait_for(lambda folder=folder: not [line for line in _open(folder) if _lives(line["pid"])], 60)
        assert len(lines(folder, "done")) < 60
    batch.run(objects(folder, 30))
    assert once(folder, 30)


@pytest.mark.skipif(bool(missing_for_s3()), reason="an S3 server needs moto and s3fs")
def test_two_drivers_on_object_storage_do_nothing_twice(batch: Batch, tmp_path: Path) -> None:
    (tmp_path / "002.generate").write_text("x", encoding="ascii")
    words = ("storage=s3://farm/counted", "die={name}.{stage}", "sleep=0.1")
    drivers = [batch.driver(tmp_path, 8, *words) for _ in range(2)]
    for driver in drivers:
        _, told = driver.communicate(timeout=300)
        assert (driver.returncode, told) == (0, "")
    assert once(tmp_path, 8)
    batch.run(objects(tmp_path, 8, *words))
    assert once(tmp_path, 8)
    left = Storage("s3://farm/counted").files()
    assert sorted(left) == [f"{number:03}/manifest.json" for number in range(8)], "no claim and no marker is left"


def test_networks_stay_loaded_in_actors_on_gpus_of_their_own(cluster: Any, batch: Batch, tmp_path: Path) -> None:
    node = cluster.add_node(num_cpus=1, num_gpus=1, object_store_memory=STORE)
    words = ("gpu=generate", "gpu=reconstruct", "--device=cuda")
    try:
        batch.run(objects(tmp_path, 4, *words, stages=("generate", "select", "reconstruct")))
    finally:
        cluster.remove_node(node)
    done = lines(tmp_path, "done")
    pids = {stage: {line["pid"] for line in done if line["stage"] == stage} for stage in ("generate", "reconstruct")}
    assert [len(each) for each in pids.values()] == [1, 1], "one process for each network"
    assert not pids["generate"] & pids["reconstruct"], "CUDA memory is given back"
    order = [line["stage"] for line in done if line["stage"] != "select"]
    assert order == ["generate"] * 4 + ["reconstruct"] * 4
    assert {line["gpu"] for line in done if line["stage"] != "select"} == {"0"}
    assert {line["gpu"] for line in done if line["stage"] == "select"} == {""}


def test_a_cluster_without_gpus_is_said_before_work_starts(batch: Batch, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the cluster has none"):
        batch.run(objects(tmp_path, 2, "gpu=generate", "--device=cuda"))
    assert not lines(tmp_path, "began")
    batch.run(objects(tmp_path, 1, "gpu=generate"))
    assert once(tmp_path, 1), "a stage that only prefers a GPU runs without"


def test_another_version_is_said_before_work_starts(
    batch: Batch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meshcli.__version__", "0.0.1")
    with pytest.raises(MissingError, match=r"meshcli .*, this machine 0\.0\.1"):
        batch.run(objects(tmp_path, 2))
    assert not lines(tmp_path, "began")


def test_photos_that_the_nodes_do_not_see_are_said_before_work_starts(
    cluster: Any, batch: Batch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meshcli.batch.ray_cluster.paths_among", lambda _: ("/nowhere/a.png",))
    with pytest.raises(UsageError, match=r"does not see /nowhere/a\.png"):
        batch.run(objects(tmp_path, 2))
    assert not list(tmp_path.iterdir()), "the marker is gone too"


def test_real_stages_leave_the_same_files_as_run(batch: Batch, tmp_path: Path, photos: list[Path]) -> None:
    """Byte for byte, but for clocks and memory in the records; by the command, with relative paths, in storage too."""
    flags = ("--config", "quick", "--set", "fit.resolutions=[24,32]", "--set", "fit.steps=[10,10]", "--frames=4")
    engines = ("--generator", "sculpt", "--reconstructor", "fit")
    (tmp_path / "list.csv").write_text("name,photos\na,1.png\nb,2.png\n", encoding="ascii")
    outs = ["there", *([] if missing_for_s3() else ["s3://farm/real"])]
    for out in outs:
        line = ["batch", "list.csv", "--out", out, "--on", "ray", "--address", batch.address, "--json"]
        done = subprocess.run(
            [sys.executable, "-m", "meshcli", *line, *flags, *engines],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert [json.loads(line) for line in done.stdout.splitlines()][-1]["done"] == 2
    copies = [tmp_path / "there", tmp_path / "copy"][: len(outs)]
    if outs[1:]:
        stored = Storage(outs[1])
        stored.get({name: copies[1] / name for name in stored.files()})
        assert {path.name for path in copies[1].iterdir()} == {path.name for path in copies[0].iterdir()}
    for name, photo in zip("ab", photos, strict=False):
        here = tmp_path / "here" / name
        assert run_child(["run", "--quiet", str(here), str(photo), *flags, *engines], capture=True)[0] == 0
        files = {stage: record.outputs for stage, record in Project(here).load().stages.items()}
        for there in (copy / name for copy in copies):
            assert {stage: record.outputs for stage, record in Project(there).load().stages.items()} == files
            for output in (each for outputs in files.values() for each in outputs):
                assert (there / output.file).read_bytes() == (here / output.file).read_bytes(), output.file


def _open(folder: Path) -> list[dict[str, Any]]:
    """Stages that began and were not finished."""
    done = [(line["name"], line["stage"]) for line in lines(folder, "done")]
    return [line for line in lines(folder, "began") if (line["name"], line["stage"]) not in done]


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
