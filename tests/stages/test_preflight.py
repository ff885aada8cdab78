"""A run that would fail at a later stage fails before the first one starts; a dry run says the same."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from helpers import fake_engines
from meshcli.commands import cli
from meshcli.config import override
from meshcli.project.artefacts import FIXED_ARTEFACTS
from meshcli.settings import Settings
from meshcli.stages.disk_room import estimate_bytes
from meshcli.system.fork_call import call_in_fork

RUN = ("run", "desk", "1.png", "--set", "texture.size=64", "--set", "render.size=64", "--set", "render.frames=3")


@pytest.fixture
def call(
    tmp_path: Path,
    photos: list[Path],
    engine_calls: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Callable[..., tuple[int, str, str]]:
    """A command line in this process, and its children too; returns exit code, stdout and stderr."""
    import sys
    from contextlib import redirect_stdout
    from io import StringIO

    def child(line: list[str], capture: bool = False) -> tuple[int, str]:
        with redirect_stdout(StringIO()) as output:
            code = cli.main(line)
        return code, output.getvalue()

    def call(*words: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = cli.main(words)
        return code, *capfd.readouterr()

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr("meshcli.commands.cli.listen_to_signals", lambda: None)
    monkeypatch.setattr("meshcli.stages.run.run_child", child)
    for name, module in fake_engines.modules(exports=True).items():
        monkeypatch.setitem(sys.modules, name, module)
    return call


def damaged_weights() -> None:
    folder = Path("ckpts")
    folder.mkdir()
    (folder / "instant_mesh_large.safetensors").write_bytes(b"cut off")


CASES: dict[str, tuple[list[str], Callable[[], object], int, str]] = {
    "no weights": (
        ["--reconstructor", "instant-mesh-large", "--offline"], lambda: None, 4,
        "the weights of instant-mesh-large are not on this machine: `meshcli models pull instant-mesh-large`",
    ),
    "damaged weights": (
        ["--reconstructor", "instant-mesh-large", "--device", "cpu"], damaged_weights, 4,
        "instant_mesh_large.safetensors is damaged",
    ),
    "no such GPU": (
        ["--reconstructor", "instant-mesh-large", "--device", "cuda:99"], damaged_weights, 2, "--device cuda:99",
    ),
    "a texture that is not made": (
        ["--texture-size", "64", "--set", "fit.texture=false"], lambda: None, 2, "there is no texture",
    ),
    "views that will not exist": (["--views", "0,1,6"], lambda: None, 2, "there is no view 6"),
    "a radiance field that is not made": (
        ["--set", "render.source=field"], lambda: None, 2, "--source field needs a radiance field",
    ),
}  # fmt: skip


@pytest.mark.parametrize("dry", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_what_a_later_stage_lacks_is_said_before_the_first_one_starts(
    case: str, dry: bool, call: Callable[..., tuple[int, str, str]], engine_calls: dict[str, int]
) -> None:
    words, prepare, code, message = CASES[case]
    prepare()
    found, _, said = call(*RUN, *words, *(["--dry-run"] if dry else []))
    assert found == code
    (line,) = [line for line in said.splitlines() if line.startswith("error:")]
    assert message in line
    assert not Path("desk").exists()
    assert not any(engine_calls.values())


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_a_video_that_cannot_be_made(
    dry: list[str], call: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", shutil.which("true") or "")
    code, _, said = call(*RUN, *dry)
    assert (code, "ffmpeg cannot write a video" in said) == (4, True)
    assert not Path("desk").exists()
    assert call(*RUN, *dry, "--to", "reconstruct")[0] == 0


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_files_of_the_user_in_the_places_of_later_stages(
    dry: list[str], call: Callable[..., tuple[int, str, str]], engine_calls: dict[str, int]
) -> None:
    assert call(*RUN, "--to", "select")[0] == 0
    Path("desk/renders").mkdir()
    Path("desk/renders/top.png").write_bytes(b"the user's")
    before = dict(engine_calls)
    code, _, said = call("run", "desk", "2.png", *RUN[3:], *dry)
    assert (code, "renders/top.png" in said) == (2, True)
    assert engine_calls == before
    assert call("run", "desk", "2.png", *RUN[3:], *dry, "--to", "reconstruct")[0] == 0


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_a_disk_without_room(
    dry: list[str], call: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=1_000_000))
    code, _, said = call(*RUN, *dry)
    assert code == 75
    assert "the disk of desk has 1 MB left, and about " in said
    assert "reconstruct 4 MB" in said
    assert not Path("desk").exists()


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_a_directory_that_cannot_be_written_to(
    dry: list[str], call: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Path().absolute()
    monkeypatch.setattr("os.access", lambda path, mode: Path(path) != place)
    code, _, said = call(*RUN, *dry)
    assert (code, f"{place} cannot be written to" in said) == (5, True)
    assert not Path("desk").exists()


def test_stages_that_are_done_are_not_checked(
    call: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call(*RUN)[0] == 0
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", shutil.which("true") or "")
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=10))
    for words in (RUN, ("run", "desk"), (*RUN, "--dry-run")):
        code, _, said = call(*words)
        assert code == 0, said
    assert call(*RUN, "--force")[0] == 4


def test_weights_are_fetched_before_anything_is_painted(
    call: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[Any] = []

    def child(line: list[str], capture: bool = False) -> tuple[int, str]:
        lines.append(line)
        return (
            (4, "") if line[0] == "models" else (0, json.dumps({"stage": line[0], "runs": True, "reason": ""} | ENGINE))
        )

    ENGINE = {"engine": ""}  # noqa: N806
    monkeypatch.setattr("meshcli.stages.run.run_child", child)
    code, _, _ = call(*RUN, "--reconstructor", "instant-mesh-large", "--device", "cpu")
    assert code == 4
    assert [(line[0], "--dry-run" in line) for line in lines] == [("generate", True), ("models", False)]
    assert lines[-1] == ["models", "pull", "instant-mesh-large"]


def test_a_plan_is_complete(call: Callable[..., tuple[int, str, str]]) -> None:
    code, printed, _ = call(*RUN, "--dry-run", "--json")
    assert code == 0
    document = json.loads(printed)
    rows = {row["stage"]: row for row in document["stages"]}
    assert [(row["engine"], bool(row["why"])) for row in rows.values()] == [
        ("sculpt", True), ("", False), ("fit", True), ("embree", False)
    ]  # fmt: skip
    assert rows["render"]["writes"] == list(FIXED_ARTEFACTS["render"])
    assert document["bytes"] == sum(row["bytes"] for row in rows.values()) < document["free"]
    assert all(row["bytes"] for row in rows.values())


def test_what_the_example_wrote_is_about_what_is_estimated() -> None:
    """The example desk as measured: bytes of photos, views, mesh and renders."""
    settings = Settings()
    photos = (203_306, 138_858, 261_195)
    for stage, views, measured in (
        ("generate", 0, 2_810_000),
        ("reconstruct", 18, 5_210_000),
        ("render", 18, 1_750_000),
    ):
        estimate = estimate_bytes(stage, "fit", settings, photos, views)  # type: ignore[arg-type]
        assert measured < estimate < 3 * measured
    small = override(settings, {"texture.size": 64, "texture.faces": 100}, "")
    assert estimate_bytes("reconstruct", "fit", small, photos, 18) < 100_000


def test_a_call_in_a_fork_returns_and_raises() -> None:
    assert call_in_fork(lambda: [1, "two"]) == [1, "two"]
    with pytest.raises(KeyError, match="three"):
        call_in_fork(lambda: {}["three"])
