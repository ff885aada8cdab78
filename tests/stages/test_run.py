"""`run` and its children: real processes, with quick engines."""

import json
import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import trimesh

from helpers.cli_processes import FAKE_MESHCLI, alive, asleep_in_fit, error_lines, meshcli, until
from helpers.paths import REPOSITORY
from meshcli.commands.cli import main
from meshcli.config import override
from meshcli.errors import UsageError
from meshcli.project.manifest import STAGES
from meshcli.project.project import Project
from meshcli.settings import Settings
from meshcli.stages.generate import generate_views
from meshcli.stages.photo_set import CameraArguments
from meshcli.stages.run import RunArguments, run_stages
from meshcli.stages.select import select_views
from meshcli.stages.status import read_status

QUICK = ["--set", "render.size=64", "--set", "render.frames=3", "--set", "texture.size=64", "--seed", "3"]
RUN = ["run", "desk", "1.png", "2.png", "3.png", "--azimuth=-50,0,40", *QUICK]


@pytest.fixture(autouse=True)
def _at_home(
    default_signal_handlers: None, tmp_path: Path, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def asleep(tmp_path: Path) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """A `run` whose `reconstruct` sleeps, and the sleeper's process id."""
    with asleep_in_fit(RUN, tmp_path / "pid") as processes:
        yield processes


def states() -> dict[str, str]:
    return {status.stage: status.state for status in read_status(Project("desk")).stages}


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch, engine_calls: dict[str, int]) -> Callable[..., list[dict[str, Any]]]:
    """`run` whose children are no processes; the documents that it returns."""

    def child(line: Sequence[str], capture: bool = False) -> tuple[int, str]:
        with redirect_stdout(StringIO()) as output:
            code = main(line)
        return code, output.getvalue()

    def run(directory: str, *photos: str, **options: Any) -> list[dict[str, Any]]:
        flags = ["--set=texture.size=64", "--seed=3"]
        cameras = ["--azimuth=-50,0,40"] if photos else []
        arguments = RunArguments(
            flags, cameras, photos, reconstruct=flags, render=["--set=render.size=64", "--set=render.frames=3"]
        )
        return run_stages(Project(directory), replace(arguments, **options), capture=True)

    monkeypatch.setattr("meshcli.stages.run.run_child", child)
    return run


def test_a_range_of_stages(in_process: Callable[..., list[dict[str, Any]]], engine_calls: dict[str, int]) -> None:
    in_process("desk", "1.png", "2.png", "3.png", last="select", common=["--json"])
    assert states() == {"generate": "done", "select": "done", "reconstruct": "missing", "render": "missing"}
    in_process("desk", first="reconstruct", last="reconstruct", common=["--json"])
    assert states() == {"generate": "done", "select": "done", "reconstruct": "done", "render": "missing"}
    counts = dict(engine_calls)
    documents = in_process("desk", first="render", common=["--json"])
    assert [document["stage"] for document in documents] == ["render"]
    assert set(states().values()) == {"done"}
    assert engine_calls == counts
    documents = in_process("desk", first="select", last="reconstruct", force=True, common=["--json"])
    assert [document["skipped"] for document in documents] == [False, False]


def test_earlier_stages_of_a_range_must_be_done(in_process: Callable[..., list[dict[str, Any]]]) -> None:
    with pytest.raises(UsageError, match="meshcli generate"):
        in_process("desk", first="render")
    in_process("desk", "1.png", "2.png", "3.png", last="select", common=["--json"])
    with pytest.raises(
        UsageError, match=r"reconstruct is missing \(not run yet\); run `meshcli run desk --from reconst"
    ):
        in_process("desk", first="render")
    Path("desk/photos/b.png").write_bytes(Path("desk/photos/a.png").read_bytes())
    with pytest.raises(UsageError, match="generate is stale"):
        in_process("desk", first="reconstruct")
    with pytest.raises(UsageError, match="--from render comes after --to select"):
        in_process("desk", first="render", last="select")
    with pytest.raises(UsageError, match=r"photos and their cameras are for generate, which --from select"):
        in_process("desk", "1.png", first="select")
    with pytest.raises(UsageError, match=r"--views and --include-photos are for select"):
        in_process("desk", views="0-5", last="generate")


@pytest.mark.slow
def test_a_dry_run_tells_the_first_reason_and_what_follows_from_it(
    in_process: Callable[..., list[dict[str, Any]]],
) -> None:
    def plan(*photos: str, directory: str = "desk", **options: Any) -> list[str]:
        rows = in_process(directory, *photos, dry=True, **options)
        assert [row["stage"] for row in rows if row["stage"] != "align"] == list(options.get("stages", STAGES))
        return [row["reason"] if row["runs"] else "" for row in rows]

    three = ("1.png", "2.png", "3.png")
    assert plan(*three) == ["not run yet", *["generate runs before it"] * 3]
    assert not Path("desk").exists()
    in_process("desk", *three, last="select", common=["--json"])
    assert plan(*three) == ["", "", "not run yet", "reconstruct runs before it"]
    in_process("desk", common=["--json"])
    assert plan() == [""] * 4
    assert plan(views="0-5") == [
        "",
        "the views are chosen with --views, before automatically",
        *["select runs before it"] * 2,
    ]
    assert plan(force=True) == ["--force", *["generate runs before it"] * 3]
    select_views(Project("desk"), "0-5")
    assert plan() == ["", "", "another choice of views", "reconstruct runs before it"]
    generate_views(Project("unposed"), ["1.png", "2.png"], seed=3)
    unknown = "the azimuths of the photos are unknown"
    assert plan(directory="unposed", cameras=[]) == ["", unknown, *["align runs before it"] * 3]


@pytest.mark.slow
def test_everything_then_nothing() -> None:
    result = meshcli(*RUN)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split()[-2:] == ["desk/mesh/mesh.glb", "desk/renders/turntable.mp4"]
    assert set(states().values()) == {"done"}
    assert Project("desk").load().stages["reconstruct"].options["seed"] == 3
    again = meshcli(*RUN, "--json")
    assert again.stderr == ""
    assert [stage["skipped"] for stage in json.loads(again.stdout)["stages"]] == [True] * 4


def test_a_childs_exit_code_is_passed_on_and_reported_once() -> None:
    result = meshcli("run", "desk", "1.png", "2.png", "--azimuth=0")
    assert result.returncode == 2
    assert len(error_lines(result.stderr)) == 1
    assert meshcli("run", "desk", "9.png").returncode == 3
    assert not Path("desk").exists()


@pytest.mark.slow
def test_photos_of_unknown_sides_are_aligned_on_the_way() -> None:
    result = meshcli("run", "desk", "1.png", "2.png", "3.png", *QUICK)
    assert result.returncode == 0, result.stderr
    manifest = Project("desk").load()
    assert [round(photo.camera.azimuth) for photo in manifest.active_photos] == [0, 40, 80]
    assert manifest.stages["render"].status == "done"
    assert "unchanged" in meshcli("run", "desk", *QUICK).stderr
    assert "turning" not in meshcli("run", "desk", "1.png", "2.png", "3.png", *QUICK).stderr


@pytest.mark.slow
def test_guessed_sides_stop_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESHCLI_TEST_CHANCE", "0.34")
    words = ["run", "desk", "1.png", "2.png", "3.png", *QUICK]
    stopped = meshcli(*words)
    assert stopped.returncode == 6
    [line] = error_lines(stopped.stderr)
    assert "`meshcli run desk --azimuth 0,40,80`" in line
    assert "`meshcli run desk --guess`" in line
    assert "b chance 34%" in line
    assert Path("desk/photos/guesses.png").is_file()
    assert states()["select"] == "missing"
    for again in (words, ["run", "desk", *QUICK], ["run", "desk", "--dry-run", *QUICK], ["run", "desk", "--remove=c"]):
        result = meshcli(*again, "--json")
        assert result.returncode == 6, again
        document = json.loads(result.stdout)
        assert [row["confidence"] for row in document["guesses"]] == [0.34] * len(document["guesses"])
        assert document["exit_code"] == 6
    assert states()["generate"] == "stale"  # nothing was sculpted with the guesses
    went_on = meshcli("run", "desk", "--guess", *QUICK)
    assert went_on.returncode == 0, went_on.stderr
    assert "b 2.png azimuth 40 (guessed, chance 34%)" in meshcli("status", "desk").stdout
    assert "unchanged" in meshcli("run", "desk", *QUICK).stderr  # it was decided


@pytest.mark.slow
def test_said_sides_are_no_guesses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESHCLI_TEST_CHANCE", "0.34")
    assert meshcli("run", "desk", "1.png", "2.png", *QUICK).returncode == 6
    result = meshcli("run", "desk", "--azimuth=0,135", *QUICK)
    assert result.returncode == 0, result.stderr
    assert "guess" not in meshcli("status", "desk").stdout


@pytest.mark.slow
def test_single_steps_warn_of_guesses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESHCLI_TEST_CHANCE", "0.34")
    assert meshcli("generate", "desk", "1.png", "2.png", *QUICK[-2:]).returncode == 0
    assert "next: meshcli align desk" in meshcli("status", "desk").stdout
    aligned = meshcli("align", "desk")
    assert aligned.returncode == 0
    assert "b: a guess" in aligned.stdout
    assert meshcli("generate", "desk", *QUICK[-2:]).returncode == 0
    assert "the azimuths of some photos are guesses: b chance 34%" in meshcli("select", "desk", "--auto", "2").stderr


@pytest.mark.slow
@pytest.mark.parametrize("more", [["2.png", "3.png", "--add"], ["1.png", "2.png", "--force"]])
def test_generating_after_alignment_does_not_add_photos_again(more: list[str]) -> None:
    assert meshcli("generate", "desk", "1.png", *QUICK[-2:]).returncode == 0
    result = meshcli("run", "desk", *more, *QUICK, "--json")
    assert result.returncode == 0, result.stderr
    photos = Project("desk").load().active_photos
    assert [round(photo.camera.azimuth) for photo in photos] == [0, 40, 80][: len(photos)]
    stages = json.loads(result.stdout)["stages"]
    assert not any(stage.get("skipped") for stage in stages)
    done = [stage.get("stage", "align") for stage in stages]
    assert done == ["generate", "align", "generate", "select", "reconstruct", "render"]


@pytest.mark.slow
def test_run_leaves_unusable_photos_out_and_does_the_others() -> None:
    Path("bad.png").write_text("no picture")
    words = ["run", "desk", "1.png", "bad.png", "2.png", "--azimuth=0,1,90", *QUICK]
    stopped = meshcli(*words)
    assert (stopped.returncode, Path("desk").exists()) == (3, False)
    assert meshcli(*words, "--dry-run").returncode == 3
    result = meshcli(*words, "--keep-going")
    assert result.returncode == 3
    assert len(error_lines(result.stderr)) == 1
    assert result.stdout.split()[0] == "desk/views/sheet.png"
    assert result.stdout.split()[-1] == "desk/renders/turntable.mp4"
    assert set(states().values()) == {"done"}
    assert [round(photo.camera.azimuth) for photo in Project("desk").load().active_photos] == [0, 90]
    again = meshcli(*words, "--keep-going", "--json")
    assert again.returncode == 3
    stages = json.loads(again.stdout)["stages"]
    assert [stage["skipped"] for stage in stages] == [True] * 4
    assert [left["photo"] for left in stages[0]["left_out"]] == ["bad.png"]
    hopeless = meshcli("run", "desk", "bad.png", "--keep-going", *QUICK)
    assert hopeless.returncode == 3
    assert hopeless.stdout == ""
    assert "none of 1 photo can be used" in hopeless.stderr


@pytest.mark.slow
def test_a_list_is_read_once_by_the_parent() -> None:
    line = [*FAKE_MESHCLI, "run", "desk", "-", "--azimuth=0,90", *QUICK]
    result = subprocess.run(line, input="1.png\n./2.png\n", capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("2 photos on standard input") == 1
    assert len(Project("desk").load().active_photos) == 2


@pytest.mark.slow
def test_names_that_look_like_flags() -> None:
    Path("1.png").rename("-v.png")
    result = meshcli("run", *QUICK, "--", "-desk", "-v.png")
    assert result.returncode == 0, result.stderr
    assert Path("-desk/mesh/mesh.glb").is_file()


@pytest.mark.slow
def test_a_standing_choice_is_kept(engine_calls: dict[str, int], photos: list[Path]) -> None:
    generate_views(Project("desk"), photos, CameraArguments([-50, 0, 40]), seed=3)
    select_views(Project("desk"), "0-2")
    result = meshcli("run", "desk", *QUICK)
    assert "the selection is kept" in result.stderr
    assert Project("desk").load().stages["reconstruct"].facts["views"] == 3
    assert states() == dict.fromkeys(states(), "done")


@pytest.mark.slow
def test_children_die_with_a_killed_parent(asleep: tuple["subprocess.Popen[str]", int]) -> None:
    process, child = asleep
    assert states()["reconstruct"] == "running"
    process.kill()
    until(lambda: not alive(child))
    assert states() == {"generate": "done", "select": "done", "reconstruct": "interrupted", "render": "missing"}
    assert meshcli(*RUN).returncode == 0
    assert set(states().values()) == {"done"}
    assert not [path for path in Path("desk").rglob(".*") if path.name != ".lock"]


@pytest.mark.parametrize(
    ("number", "code", "group"),
    [pytest.param(signal.SIGTERM, 143, False, marks=pytest.mark.slow), (signal.SIGINT, 130, True)],
)
def test_signals_end_both_cleanly(
    asleep: tuple["subprocess.Popen[str]", int], number: signal.Signals, code: int, group: bool
) -> None:
    process, child = asleep
    (os.killpg if group else os.kill)(process.pid, number)
    assert process.wait() == code
    assert not alive(child)
    assert states()["reconstruct"] == "interrupted"
    assert not [path for path in Path("desk").rglob(".*") if path.name != ".lock"]


@pytest.mark.slow
def test_a_second_writer_exits_with_5_or_waits(asleep: tuple["subprocess.Popen[str]", int]) -> None:
    process, _ = asleep
    result = meshcli("select", "desk", "--auto")
    assert result.returncode == 5
    assert "--wait" in result.stderr
    assert meshcli("status", "desk").returncode == 0
    waiting = subprocess.Popen([*FAKE_MESHCLI, "select", "desk", "--views=0-5", "--wait"], stdout=subprocess.DEVNULL)
    time.sleep(1.0)
    assert waiting.poll() is None
    process.terminate()
    assert waiting.wait() == 0


@pytest.mark.slow
@pytest.mark.parametrize("more", [[], ["--wait"]])
def test_two_runs_at_once(more: list[str]) -> None:
    assert meshcli(*RUN).returncode == 0
    alone = {path.name: path.read_bytes() for path in Path("desk/mesh").iterdir()}
    Path("desk").rename("before")
    both = [subprocess.Popen([*FAKE_MESHCLI, *RUN, *more], stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate()[1] for process in both]
    codes = [process.returncode for process in both]
    assert codes == [0, 0] if more else 0 in codes
    assert set(codes) <= {0, 5}
    assert [len(error_lines(text)) for text in said] == [int(code == 5) for code in codes]
    assert set(states().values()) == {"done"}
    assert {path.name: path.read_bytes() for path in Path("desk/mesh").iterdir()} == alone


@pytest.mark.slow
def test_a_child_that_the_system_kills_counts_as_memory(engine_calls: dict[str, int], photos: list[Path]) -> None:
    settings = override(Settings(), {"fit.resolutions": [60], "fit.steps": [9]}, "test")
    generate_views(Project("desk"), photos[:1], settings=settings, seed=3)
    words = ["run", "desk", *QUICK, "--set", "fit.resolutions=[60]", "--set", "fit.steps=[9]"]
    result = meshcli(*words, trouble="fit:killed")
    assert result.returncode == 75
    assert len(error_lines(result.stderr)) == 1
    assert "the same command will now take fit.resolutions=[40]" in result.stderr
    assert states()["reconstruct"] == "failed"
    assert meshcli(*words, trouble="fit:killed").returncode == 0
    assert Project("desk").load().stages["reconstruct"].options["fit"]["resolutions"] == [40]


@pytest.fixture
def loop(tmp_path: Path) -> Callable[[str], tuple[list[int], str]]:
    """The loop of docs/scripting.md with the fakes: the exit codes of all runs, and what was said."""
    page = (REPOSITORY / "docs" / "scripting.md").read_text()
    (script,) = re.findall(r"```sh\n(.*?until meshcli run.*?)```", page, re.DOTALL)
    script = script.replace(
        "1.jpg 2.jpg 3.jpg", f"1.png --seed=3 {' '.join(QUICK)} --set=fit.resolutions=[60,90] --set=fit.steps=[9,9]"
    )
    assert "-lt 20" in script
    script = script.replace("-lt 20", "-lt 6")  # to be done sooner
    command, codes = tmp_path / "bin" / "meshcli", tmp_path / "codes"
    command.parent.mkdir()
    called, noted = shlex.join(FAKE_MESHCLI), shlex.quote(str(codes))
    command.write_text(f'#!/bin/sh\n{called} "$@"\ncode=$?\necho $code >> {noted}\nexit $code\n')
    command.chmod(0o755)

    def go(trouble: str) -> tuple[list[int], str]:
        environment = {**os.environ, "MESHCLI_TEST": trouble, "PATH": f"{command.parent}:{os.environ['PATH']}"}
        done = subprocess.run(
            ["sh", "-c", script],  # noqa: S607
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return [int(code) for code in codes.read_text().split()], done.stderr

    return go


@pytest.mark.slow
def test_the_documented_loop_ends_with_smaller_settings(loop: Callable[[str], tuple[list[int], str]]) -> None:
    codes, said = loop("fit:memory")
    assert codes == [75, 75, 0]
    assert said.count("the same command will now take") == 2
    assert set(states().values()) == {"done"}
    assert max(Project("desk").load().stages["reconstruct"].options["fit"]["resolutions"]) <= 50


@pytest.mark.slow
def test_the_documented_loop_ends_when_nothing_smaller_is_left(
    loop: Callable[[str], tuple[list[int], str]],
) -> None:
    codes, said = loop("fit:exhausted")
    assert codes == [75] * 6
    assert "there is no smaller setting left to try" in said.splitlines()[-1]
    assert states()["reconstruct"] == "failed"


@pytest.mark.slow
def test_the_documented_loop_stops_for_any_other_reason(loop: Callable[[str], tuple[list[int], str]]) -> None:
    assert loop("fit:bug")[0] == [1]


def test_a_run_exports_at_its_end_and_only_when_asked(
    monkeypatch: pytest.MonkeyPatch, engine_calls: dict[str, int], capfd: pytest.CaptureFixture[str]
) -> None:
    def child(line: Sequence[str], capture: bool = False, *_: object, **__: object) -> tuple[int, str]:
        with redirect_stdout(StringIO()) as output:
            code = main(line)
        return code, output.getvalue()

    monkeypatch.setattr("meshcli.stages.run.run_child", child)
    assert main([*RUN, "--height", "0.45m"]) == 2
    assert "--export" in error_lines(capfd.readouterr().err)[0]
    assert main(RUN) == 0
    assert not Path("desk/export").exists()
    assert main([*RUN, "--export", "glb,ply", "--height", "0.45m"]) == 0
    bounds = trimesh.load(Path("desk/export/desk.ply")).bounds
    assert (bounds[0][2], bounds[1][2]) == pytest.approx((0.0, 0.45), abs=1e-5)
    before = Path("desk/export/desk.glb").stat().st_mtime_ns
    assert main([*RUN, "--export", "glb,ply"]) == 0  # the height stays in force
    assert Path("desk/export/desk.glb").stat().st_mtime_ns == before
