"""Every document that --json prints is as docs/json-schema.json describes it."""

import json
import struct
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from helpers import fake_engines
from helpers.paths import REPOSITORY
from meshcli.commands import cli

SCHEMA = json.loads((REPOSITORY / "docs/json-schema.json").read_text(encoding="utf-8"))
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def document(command_line: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Any]:
    """The document of a command line with --json, after comparing it with its description."""

    def child(line: Sequence[str], capture: bool = False) -> tuple[int, str]:
        with redirect_stdout(StringIO()) as output:
            code = cli.main(line)
        return code, output.getvalue()

    def document(kind: str, line: str, code: int = 0) -> Any:
        found, printed, said = command_line(*line.split(), "--json")
        assert found == code, said
        answer = json.loads(printed)
        Draft202012Validator({**SCHEMA, "$ref": f"#/$defs/{kind}", "anyOf": [{}]}).validate(answer)
        Draft202012Validator(SCHEMA).validate(answer)
        return answer

    monkeypatch.setattr("meshcli.stages.run.run_child", child)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name, module in fake_engines.modules(exports=True).items():
        monkeypatch.setitem(sys.modules, name, module)
    return document


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    tables = [table for table in SCHEMA["$defs"].values() if table.get("properties")]
    assert len(tables) == len(SCHEMA["$defs"])
    assert all(table["additionalProperties"] is False and table["description"] for table in tables)


def test_documents_of_the_stages(document: Callable[..., Any]) -> None:
    Path("bad.png").write_text("no picture")
    document("plan", "generate desk 1.png 2.png --dry-run")
    document("plan", "generate desk 1.png 2.png bad.png --keep-going --dry-run", 3)
    document("run_plan", "run desk 1.png 2.png bad.png --azimuth=0,90,180 --keep-going --dry-run", 3)
    document("stage", "generate desk 1.png 2.png bad.png --keep-going", 3)
    document("status", "status desk")
    document("report", "report desk")
    document("align", "align desk")
    document("stage", "generate desk")
    document("views", "select desk --list")
    document("stage", "select desk --auto")
    document("views", "select desk --list")
    document("plan", "reconstruct desk --dry-run")
    document("stage", "reconstruct desk --set texture.size=64")
    document("stage", "render desk --size 64 --frames 3")
    assert document("stage", "render desk")["skipped"]
    document("plan", "export desk --dry-run")
    document("error", "export desk --height 0.45", 2)
    assert document("status", "status desk")["next"] == ""


def test_documents_of_a_run(document: Callable[..., Any]) -> None:
    small = "--set texture.size=64 --size 64 --frames 3"
    planned = document("run_plan", f"run desk 1.png 2.png --dry-run {small}")
    assert [row["stage"] for row in planned["stages"] if row["runs"]] == ["generate", "select", "reconstruct", "render"]
    document("run", f"run desk 1.png 2.png {small}")
    document("run_plan", "run desk --dry-run")
    document("run", "run desk")


def test_documents_of_failures(document: Callable[..., Any]) -> None:
    document("error", "status desk", 2)
    document("error", "generate desk nowhere.png", 3)
    document("error", "run desk 1.png --reconstructor instant-mesh-large --offline", 4)
    document("error", "run desk 1.png --reconstructor instant-mesh-large --offline --dry-run", 4)
    document("error", "models path instant-mesh-large", 4)
    document("stage", "generate desk 1.png")
    document("error", "reconstruct desk --bogus", 2)
    assert document("status", "status desk")["last_failure"]["exit_code"] == 2


def test_documents_of_models(document: Callable[..., Any]) -> None:
    header = b'{"weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    Path("ckpts").mkdir()
    Path("ckpts/instant_mesh_base.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    document("models_list", "models list")
    document("models_located", "models pull instant-mesh-base")
    document("models_located", "models path instant-mesh-base")
    document("models_verify", "models verify instant-mesh-base", 4)
    document("models_convert", "models convert instant-mesh-base")
