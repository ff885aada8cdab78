"""What follows a try that was lost on a cluster, and what is said where there is none. No Ray is started."""

import importlib.util
import json
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

from meshcli.batch.claims import is_taken, take
from meshcli.batch.ray_cluster import RayRunner, on_any_node, paths_among
from meshcli.batch.ray_connection import NodeAnswer, Versions, check_nodes
from meshcli.batch.ray_jobs import Job
from meshcli.batch.ray_tasks import ClusterNeeds
from meshcli.batch.stage_needs import Needs
from meshcli.batch.storage import Storage
from meshcli.batch.stored_projects import stage_record
from meshcli.batch.tasks import BatchObject, StageResult
from meshcli.errors import MissingError, UsageError
from meshcli.project.manifest import Manifest, Stage, StageRecord
from meshcli.project.project import Project

RUNNING = StageRecord("running", tries=1, next_reduction={"fit.steps": 9})
OWN = Versions("2.60.0", "3.12", "0.1.0")


def job(project: Project, record: StageRecord | None = RUNNING) -> Job:
    """A job whose stage began, or failed before it could."""
    begun = Job(BatchObject("desk", project.root), ("reconstruct", "render"), Needs(1, 1))
    begun.begin()
    if record:
        put(project, record)
    return begun


def put(project: Project, record: StageRecord) -> None:
    project.create()
    project.save(Manifest().with_record("reconstruct", record))


def record(project: Project) -> StageRecord:
    return project.load().stages["reconstruct"]


def test_memory_takes_the_smaller_setting_at_once(project: Project) -> None:
    assert job(project).lose("memory") is None
    assert (record(project).status, record(project).reduced_settings) == ("failed", {"fit.steps": 9})
    assert "memory monitor" in record(project).error


def test_a_lost_worker_takes_it_the_second_time(project: Project) -> None:
    first = job(project)
    assert first.lose("crash") is None
    assert record(project).reduced_settings == {}
    first.begin()
    put(project, StageRecord("running", tries=2, next_reduction={"fit.steps": 9}))
    assert first.lose("crash") is None
    assert record(project).reduced_settings == {"fit.steps": 9}


def test_a_lost_node_says_nothing_about_settings(project: Project) -> None:
    first = job(project)
    assert first.lose("node") is None
    assert record(project) == RUNNING, "it reads as interrupted"


def test_the_third_loss_is_the_last_though_the_stage_never_began(project: Project) -> None:
    first = job(project, None)
    assert [first.lose("node"), first.lose("node")] == [None, None]
    last = first.lose("node")
    assert last
    assert (last.exit_code, last.tries, last.stage) == (75, 3, "reconstruct")
    assert last.error == "reconstruct was lost with its node; tried 3 times"


def test_tries_of_earlier_drivers_count(project: Project) -> None:
    put(project, StageRecord("running", tries=2))
    third = job(project, StageRecord("running", tries=3, next_reduction={"fit.steps": 9}))
    assert third.lose("node")
    assert record(project).status == "failed"


def test_what_had_failed_for_good_and_is_asked_for_again_gets_three_new_tries(project: Project) -> None:
    put(project, StageRecord("failed", tries=3))
    again = Job(BatchObject("desk", project.root), ("reconstruct",), Needs(1, 1))
    again.begin()
    assert again.may_try_again(StageResult("desk", "reconstruct", 75, tries=5))
    assert not again.may_try_again(StageResult("desk", "reconstruct", 75, tries=6))
    assert not again.may_try_again(StageResult("desk", "reconstruct", 3, tries=4))
    assert not again.may_try_again(StageResult("desk", "reconstruct", 75, tries=4, disk_full=True))


def test_a_locked_project_is_waited_for_only_after_a_loss(project: Project) -> None:
    first = job(project)
    assert not first.waits_for_lock(), "another driver works on it"
    first.lose("node")
    assert first.waits_for_lock(), "the lost worker may hold it"


def test_paths_among_words(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.yaml"):
        (tmp_path / name).touch()
    words = (f"{tmp_path}/a.png", f"{tmp_path}/b.png@45", f"--config={tmp_path}/c.yaml", "--steps=9", "/no/such@1", "x")
    assert paths_among(words) == tuple(f"{tmp_path}/{name}" for name in ("a.png", "b.png", "c.yaml"))


def test_relative_paths_mean_the_same_on_every_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "c.yaml", "plain"):
        (tmp_path / name).touch()
    words = (
        "a.png@45",
        "--config=c.yaml",
        "--cutout=plain",
        "b.png",
        "--set=texture.size=512",
        "--",
        f"{tmp_path}/a.png",
    )
    found = on_any_node(BatchObject("desk", Path("out/desk"), words))
    assert found.project == tmp_path / "out" / "desk"
    assert found.words[:2] == (f"{tmp_path}/a.png@45", f"--config={tmp_path}/c.yaml")
    assert found.words[2:] == words[2:]


@pytest.mark.parametrize(
    ("stage", "words", "gpus"),
    [
        ("generate", ("--generator=sculpt",), 0),
        ("generate", ("--generator=zero123plus",), 1),
        ("generate", ("--generator=zero123plus", "--device=cpu"), 0),
        ("reconstruct", ("--reconstructor=instant-mesh-base", "--device=cuda"), 1),
        ("render", ("--generator=zero123plus",), 0),
    ],
)
def test_networks_ask_for_a_gpu(stage: Stage, words: tuple[str, ...], gpus: int, tmp_path: Path) -> None:
    assert ClusterNeeds()(BatchObject("desk", tmp_path / "desk", words), stage).gpus == gpus


def test_a_numbered_gpu_is_refused(tmp_path: Path) -> None:
    words = ("--generator=zero123plus", "--device=cuda:1")
    with pytest.raises(UsageError, match="on a cluster write --device cuda"):
        ClusterNeeds()(BatchObject("desk", tmp_path / "desk", words), "generate")


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (
            NodeAnswer("n7", Versions("2.59.0", "3.12", "0.1.0"), (), "x"),
            MissingError,
            "n7 .* Ray 2.59.0, this .* 2.60.0",
        ),
        (NodeAnswer("n7", Versions("2.60.0", "3.11", "0.1.0"), (), "x"), MissingError, "Python 3.11, this .* 3.12"),
        (NodeAnswer("n7", Versions("2.60.0", "3.12", ""), (), "x"), MissingError, "n7 of the cluster has no meshcli"),
        (NodeAnswer("n7", OWN, (), ""), UsageError, "n7 of the cluster does not see"),
        (NodeAnswer("n7", OWN, ("/p/a.png",), "x"), UsageError, "does not see /p/a.png"),
    ],
)
def test_nodes_that_are_not_as_they_should_be(
    answer: NodeAnswer, error: type[Exception], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meshcli.batch.ray_connection.own_versions", lambda _: OWN)
    monkeypatch.setattr("meshcli.batch.ray_connection._ask_nodes", lambda *_: [answer])
    monkeypatch.setattr("meshcli.batch.ray_connection.uuid", SimpleNamespace(uuid4=lambda: SimpleNamespace(hex="x")))
    with pytest.raises(error, match=said):
        check_nodes(None, tmp_path, ())
    assert not list(tmp_path.iterdir()), "the marker is gone"


def test_a_node_that_does_not_reach_the_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fsspec", reason="fsspec is not installed")
    asked: list[str] = []

    def answers(_: object, marker: str, paths: object) -> list[NodeAnswer]:
        asked.append(marker)
        return [NodeAnswer("n7", OWN, (), "")]

    monkeypatch.setattr("meshcli.batch.ray_connection.own_versions", lambda _: OWN)
    monkeypatch.setattr("meshcli.batch.ray_connection._ask_nodes", answers)
    storage = Storage(f"memory://{tmp_path}/out")
    with pytest.raises(UsageError, match=r"n7 of the cluster does not see memory://.*; it lacks the package"):
        check_nodes(None, storage.url, ())
    assert asked[0].startswith(f"{storage.url}/.meshcli-")
    assert not storage.files(), "the marker is gone"


def test_a_worker_that_is_lost_with_a_project_in_storage(tmp_path: Path) -> None:
    """What it has on record there counts, and its claim is taken back."""
    pytest.importorskip("fsspec", reason="fsspec is not installed")
    storage = Storage(f"memory://{tmp_path}/out")
    item = BatchObject("desk", tmp_path / "desk", storage=storage.url, driver="driver")
    begun = Job(item, ("reconstruct",), Needs(1, 1))
    begun.begin()
    assert take(storage, "desk", "driver")
    text = json.dumps(Manifest().with_record("reconstruct", RUNNING).to_json())
    storage.write("desk/manifest.json", text.encode())
    assert begun.lose("memory") is None
    found = stage_record(item, "reconstruct")
    assert found
    assert (found.status, found.tries, found.reduced_settings) == ("failed", 1, {"fit.steps": 9})
    assert not is_taken(storage, "desk")
    assert not item.project.exists(), "no copy is left here"


def test_results_that_cannot_be_sent_are_tries(project: Project) -> None:
    first = job(project, None)
    unsent = StageResult("desk", "reconstruct", 75, tries=1)
    assert [first.may_try_again(unsent) for _ in range(3)] == [True, True, False]


def run_at(address: str, folder: Path) -> None:
    RayRunner(lambda item, stage: StageResult(item.name, stage), address).run(
        [BatchObject("desk", folder / "desk")], lambda _: None
    )


def test_without_ray_the_line_to_type_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "meshcli.batch.ray_connection.find_spec", lambda name: None if name in ("ray", "grpc") else found(name)
    )
    with pytest.raises(MissingError, match=r"pip install 'meshcli\[ray\]'"):
        run_at("auto", tmp_path)


def test_an_address_without_a_cluster_or_that_is_none(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="needs the extra ray")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}"):
        with pytest.raises(UsageError, match=f"no Ray cluster answers at {address}"):
            run_at(address, tmp_path)
    for address in ("head", "head:x", "http://"):
        with pytest.raises(UsageError, match="write auto, HOST:PORT or ray://HOST:PORT"):
            run_at(address, tmp_path)


def test_what_answers_and_is_no_ray_is_said_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    monkeypatch.setattr("meshcli.batch.ray_connection.CONNECT_SECONDS", 0.1)
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(UsageError, match="is no Ray head for clients"),
    ):
        run_at(f"ray://127.0.0.1:{silent.getsockname()[1]}", tmp_path)
