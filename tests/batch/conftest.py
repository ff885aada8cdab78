"""`meshcli batch` called as on a command line, with a runner that copies finished projects."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from jsonschema import Draft202012Validator

from helpers.finished_project import finish
from helpers.paths import REPOSITORY
from helpers.project_templates import ProjectTemplates
from meshcli.commands import batch as command
from meshcli.commands import cli
from meshcli.project.project import Project

Call = Callable[..., tuple[int, str, str]]
Runner = TypeVar("Runner")
SCHEMA = json.loads((REPOSITORY / "docs/json-schema.json").read_text(encoding="utf-8"))
KINDS = {  # event -> its description in the schema
    table["properties"]["event"]["const"]: name for name, table in SCHEMA["$defs"].items() if name.startswith("batch_")
}


@pytest.fixture
def made(
    tmp_path: Path, templates: ProjectTemplates, photos: list[Path], engine_calls: dict[str, int]
) -> Path:  # fmt: skip
    """A finished project."""
    folder = tmp_path / "made"
    templates.make("finished", folder, lambda: finish(Project(folder), photos))
    return folder


@pytest.fixture
def called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Runner], Runner]:
    """Lets `meshcli batch` run its objects by a runner, in a folder with a list of three."""

    def use(runner: Runner) -> Runner:
        monkeypatch.setattr(command, "make_runner", lambda *_: runner)
        return runner

    for module in ("cli", "batch"):
        monkeypatch.setattr(f"meshcli.commands.{module}.listen_to_signals", lambda: None)
    monkeypatch.chdir(tmp_path)
    Path("list.csv").write_text("name,photos\none,1.png\ntwo,2.png\nDrei ü,3.png\n", encoding="utf-8")
    return use


@pytest.fixture
def meshcli(capsys: pytest.CaptureFixture[str]) -> Call:
    def call(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.main(words)
        printed, said = capsys.readouterr()
        for line in printed.splitlines() if "--json" in words else ():
            check_line(line)
        return code, printed, said

    return call


def check_line(line: str) -> None:
    """A line of JSON is as the schema describes its event."""
    found = json.loads(line)
    Draft202012Validator({**SCHEMA, "$ref": f"#/$defs/{KINDS[found['event']]}", "anyOf": [{}]}).validate(found)
    Draft202012Validator(SCHEMA).validate(found)
