"""What a batch on this machine runs when, how much at a time and by whom, with workers that do nothing."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from meshcli.batch.batch_state import asked_of
from meshcli.batch.capacity import Capacity
from meshcli.batch.local import LocalRunner
from meshcli.batch.machine import Machine
from meshcli.batch.stage_needs import NETWORK, Needs, StageKinds, needs_of, word_value
from meshcli.batch.tasks import BatchObject, StageResult, StageStarted
from meshcli.errors import UsageError
from meshcli.project.manifest import STAGES

GB = 2**30
WORKER = (sys.executable, str(Path(__file__).parents[1] / "helpers" / "instant_worker.py"))
EMBEDDED = ("--generator=sculpt", "--reconstructor=fit")
PAINTED = ("--generator", "zero123plus", "--reconstructor=instant-mesh-large")


def listed(folder: Path, words: tuple[str, ...], count: int) -> Iterator[BatchObject]:
    return (BatchObject(f"{number}", folder / f"{number}", words) for number in range(count))


class Heard:
    """The events of a batch, and how many objects were at work at a time."""

    def __init__(self) -> None:
        self.events: list[StageStarted | StageResult] = []
        self.at_work: set[str] = set()
        self.most = 0

    def __call__(self, said: StageStarted | StageResult) -> None:
        self.events.append(said)
        if isinstance(said, StageStarted):
            self.at_work.add(said.name)
        else:
            self.at_work.discard(said.name)
        self.most = max(self.most, len(self.at_work))

    @property
    def results(self) -> list[StageResult]:
        return [said for said in self.events if isinstance(said, StageResult)]

    def workers(self, *stages: str) -> set[str]:
        """Who ran these stages: process, threads and GPU."""
        return {result.error for result in self.results if result.stage in stages}


def networks_order(heard: Heard) -> list[str]:
    order = [said.stage for said in heard.events if isinstance(said, StageStarted)]
    return [stage for stage in order if stage in ("generate", "reconstruct")]


def test_all_are_painted_then_all_reconstructed_by_one_worker(tmp_path: Path) -> None:
    heard = Heard()
    LocalRunner(Machine(3, 64 * GB), command=WORKER).run(listed(tmp_path, PAINTED, 12), heard)
    assert len(heard.results) == 12 * len(STAGES)
    assert networks_order(heard) == ["generate"] * 12 + ["reconstruct"] * 12
    assert "select" in [said.stage for said in heard.events if isinstance(said, StageStarted)][:20]  # beside them
    (network,) = heard.workers("generate", "reconstruct")
    assert network.split()[1:] == ["2"]  # of three cores
    assert not heard.workers("select", "render") & {network}


@pytest.mark.slow
def test_all_are_painted_first_even_if_the_stages_between_take_longer(tmp_path: Path) -> None:
    heard = Heard()
    words = (*PAINTED, "--seed=1")
    LocalRunner(Machine(2, 64 * GB), command=WORKER).run(listed(tmp_path, words, 60), heard)
    assert networks_order(heard) == ["generate"] * 60 + ["reconstruct"] * 60


def test_a_gpu_has_a_worker_of_its_own(tmp_path: Path) -> None:
    heard = Heard()
    runner = LocalRunner(Machine(5, 64 * GB, ("0", "1")), command=WORKER)
    runner.run(listed(tmp_path, PAINTED, 6), heard)
    networks = heard.workers("generate", "reconstruct")
    assert sorted(who.split()[2] for who in networks) == ["0", "1"]
    assert {tuple(who.split()[2:]) for who in heard.workers("select")} == {()}
    named = Heard()
    runner.run(
        (replace(item, stages=("generate",)) for item in listed(tmp_path, (*PAINTED, "--device=cuda:1"), 1)), named
    )
    assert {tuple(who.split()[2:]) for who in named.workers("generate")} == {()}  # its own words decide


def test_objects_are_taken_when_they_can_begin_and_finished_first(tmp_path: Path) -> None:
    taken: list[str] = []
    most = 0

    def source() -> Iterator[BatchObject]:
        for item in listed(tmp_path, EMBEDDED, 60):
            taken.append(item.name)
            yield item

    heard = Heard()

    def report(said: StageStarted | StageResult) -> None:
        nonlocal most
        heard(said)
        finished = sum(result.stage == "render" for result in heard.results)
        most = max(most, len(taken) - finished)

    LocalRunner(Machine(2, 64 * GB), command=WORKER).run(source(), report)
    assert len(heard.results) == 60 * len(STAGES)
    assert heard.most == 2
    assert most <= 6
    assert {who.split()[1] for who in heard.workers(*STAGES)} == {"1"}


def test_memory_limits_how_many_work_at_a_time_until_it_is_measured(tmp_path: Path) -> None:
    heard = Heard()
    words = (*EMBEDDED, *(f"--set=needs.{kind}_memory=2" for kind in ("sculpt", "select", "fit", "render")))
    LocalRunner(Machine(3, 2 * GB), WORKER).run(listed(tmp_path, words, 12), heard)
    first = [said for said in heard.events if isinstance(said, StageStarted)][:2]
    assert [said.stage for said in first] == ["generate", "select"]  # one at a time by the table
    assert heard.most == 3  # 400 MB are the measured peak
    assert {who.split()[1] for who in heard.workers("render")} >= {"1"}


def test_a_dead_worker_is_a_failed_try_of_its_object(tmp_path: Path) -> None:
    heard = Heard()
    good = list(listed(tmp_path, EMBEDDED, 3))
    objects = [good[0], BatchObject("dies", tmp_path / "dies", EMBEDDED), *good[1:]]
    LocalRunner(Machine(2, 8 * GB), command=WORKER).run(objects, heard)
    (failed,) = [result for result in heard.results if result.name == "dies"]
    assert (failed.stage, failed.exit_code, failed.tries) == ("generate", 75, 3)
    assert "its worker ended with exit code 3" in failed.error
    assert sum(said == StageStarted("dies", "generate") for said in heard.events) == 3
    assert len(heard.results) == 1 + 3 * len(STAGES)


def test_a_worker_that_was_killed_while_it_waited_costs_no_try(tmp_path: Path) -> None:
    heard = Heard()

    def report(said: StageStarted | StageResult) -> None:
        heard(said)
        if isinstance(said, StageResult) and said.stage == "generate":
            pid = int(said.error.split()[0])
            os.kill(pid, signal.SIGKILL)
            while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                time.sleep(0.01)

    LocalRunner(Machine(1, GB), command=WORKER).run(listed(tmp_path, EMBEDDED, 1), report)
    assert sum(isinstance(said, StageStarted) for said in heard.events) == len(STAGES)
    assert not any(result.failed for result in heard.results)


def test_a_worker_that_cannot_start_is_a_failed_try_that_says_why(tmp_path: Path) -> None:
    heard = Heard()
    broken = (sys.executable, "-c", "raise SystemExit('there is no module named so')")
    LocalRunner(Machine(1, GB), command=broken).run(listed(tmp_path, EMBEDDED, 1), heard)
    assert [result.tries for result in heard.results] == [3]
    assert heard.results[0].error.endswith("there is no module named so")


def test_a_full_disk_costs_one_try_and_no_memory(tmp_path: Path) -> None:
    heard = Heard()
    objects = [BatchObject("no room", tmp_path / "no room", EMBEDDED), *listed(tmp_path, EMBEDDED, 4)]
    LocalRunner(Machine(2, 2 * GB), command=WORKER).run(objects, heard)
    (failed,) = [result for result in heard.results if result.name == "no room"]
    assert (failed.exit_code, failed.disk_full, failed.tries) == (75, True, 0)
    assert sum(said == StageStarted("no room", "generate") for said in heard.events) == 1
    assert heard.most == 2


def test_a_locked_project_is_passed_on_and_looked_at_again(tmp_path: Path) -> None:
    objects = list(listed(tmp_path, EMBEDDED, 2))
    locked = BatchObject("locked once", tmp_path / "locked once", EMBEDDED)
    heard = Heard()
    LocalRunner(Machine(1, GB), command=WORKER).run([locked, *objects], heard)
    assert [result.name for result in heard.results] == ["0"] * 4 + ["1"] * 4 + ["locked once"] * 4
    assert heard.results[-1].tries == 0


def test_needs_are_settings(tmp_path: Path) -> None:
    assert needs_of(())["zero123plus"] == Needs(2, int(5.5 * GB), 1)
    (tmp_path / "farm.yaml").write_text("needs: {fit_memory: 3, network_gpus: 0}\n")
    words = (f"--config={tmp_path / 'farm.yaml'}", "--set=needs.fit_cores=4", "--set=fit.rays=2000")
    assert needs_of(words)["fit"] == Needs(4, 3 * GB)
    assert needs_of(words)[NETWORK].gpus == 0
    item = BatchObject("a", tmp_path / "a", words)
    assert StageKinds().needs(item, "fit") == Needs(4, 3 * GB)
    assert asked_of(item) == asked_of(replace(item, words=(words[0], words[2])))  # the result is the same
    assert asked_of(item) != asked_of(replace(item, words=words[:2]))
    with pytest.raises(UsageError, match=r"did you mean needs\.fit_memory\?"):
        needs_of(("--set=needs.fit_memori=4",))
    with pytest.raises(UsageError, match=r"between 0\.05 and 4096"):
        needs_of(("--set=needs.fit_memory=0",))


def test_capacity() -> None:
    network = Needs(2, 4 * GB, 1)
    capacity = Capacity(Machine(8, 10 * GB))
    capacity.expect(NETWORK, network)
    capacity.expect("fit", Needs(3, 2 * GB))
    assert (capacity.slots(()), capacity.threads((), 2)) == (2, 4)  # by cores
    capacity = Capacity(Machine(8, 10 * GB))
    capacity.expect(NETWORK, network)
    capacity.expect("fit", Needs(1, 2 * GB))
    assert (capacity.slots(()), capacity.threads((), 5)) == (5, 1)  # by memory
    capacity.measured("fit", 5 * GB)
    assert (capacity.slots(()), capacity.threads((), 2)) == (2, 4)
    assert capacity.slots([NETWORK]) == 1
    capacity.ran_out("fit")
    assert capacity.memory("fit") == 7.5 * GB
    assert capacity.slots([NETWORK]) == 0  # the network goes first
    assert capacity.slots(()) == 1
    assert capacity.has_room(NETWORK, [])
    assert not capacity.has_room(NETWORK, ["fit"])
    small = Capacity(Machine(1, GB))
    small.expect("fit", Needs(1, 2 * GB))
    small.expect(NETWORK, network)
    assert (small.slots(()), small.threads((), 1), small.network_threads(NETWORK)) == (1, 1, 1)


@pytest.mark.parametrize(
    ("words", "stage", "kind"),
    [
        (("--generator=zero123plus",), "generate", "zero123plus"),
        (("--generator=zero123plus", "--generator", "sculpt"), "generate", "sculpt"),
        (("--from-sheet=a.png",), "generate", "photos"),
        (("--reconstructor=instant-nerf-base",), "reconstruct", NETWORK),
        (("--from-mesh", "a.obj"), "reconstruct", "import"),
        (("--reconstructor=fit",), "reconstruct", "fit"),
        (("--generator=wrong",), "generate", "sculpt"),
        ((), "select", "select"),
        ((), "export", "export"),
    ],
)  # fmt: skip
def test_kinds(words: tuple[str, ...], stage: str, kind: str, tmp_path: Path) -> None:
    assert StageKinds().kind(BatchObject("a", tmp_path / "a", words), stage) == kind  # type: ignore[arg-type]


def test_auto_is_what_this_machine_can_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    item = BatchObject("a", tmp_path / "a", ("photo.png",))
    monkeypatch.setattr("meshcli.batch.stage_needs.lacking", lambda *_: "")
    monkeypatch.setattr(
        "meshcli.batch.stage_needs.missing_requirement", lambda engine, _: "" if "base" in engine else "no"
    )
    kinds = StageKinds()
    assert (kinds.kind(item, "generate"), kinds.kind(item, "reconstruct")) == ("zero123plus", NETWORK)
    monkeypatch.setattr("meshcli.batch.stage_needs.lacking", lambda *_: "weights")
    assert kinds.kind(item, "generate") == "zero123plus"  # looked up once
    assert StageKinds().kind(item, "generate") == "sculpt"


def test_values_of_words() -> None:
    words = ("a.png", "--weights", "w", "--device=cpu", "--device=cuda")
    assert (word_value(words, "--weights"), word_value(words, "--device"), word_value(words, "--seed")) == (
        "w",
        "cuda",
        "",
    )
    assert word_value(("--weights",), "--weights") == ""
