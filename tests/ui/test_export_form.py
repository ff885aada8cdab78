"""What the page asks an export for, as options of a command line."""

from dataclasses import replace

import pytest

from meshcli.errors import UsageError
from meshcli.project.manifest import StageRecord
from meshcli.ui.export_form import ExportForm

PLAIN = ExportForm()


def recorded(**settings: object) -> ExportForm:
    return ExportForm.recorded(
        StageRecord("done", "export", settings={f"export.{key}": value for key, value in settings.items()})
    )


def test_without_a_record_the_form_holds_the_defaults_and_says_nothing() -> None:
    assert ExportForm.recorded(None) == PLAIN
    assert PLAIN.options(PLAIN) == []


@pytest.mark.parametrize(
    ("form", "options"),
    [
        (ExportForm(("obj", "stl", "blender", "web")), ["--to=obj,stl", "--for=blender", "--for=web"]),
        (ExportForm(("print",)), ["--for=print"]),
        (ExportForm(size_by="height", size=" 45 cm "), ["--height=45 cm"]),
        (ExportForm(size_by="scale", size="0.5"), ["--scale=0.5"]),
        (ExportForm(size_by="like-rig"), ["--like-rig"]),
        (ExportForm(pivot="centre", up="z"), ["--pivot=centre", "--up=z"]),
        (ExportForm(faces="500", texture_size="256"), ["--faces=500", "--texture-size=256"]),
    ],
)
def test_only_what_differs_is_said(form: ExportForm, options: list[str]) -> None:
    assert form.options(PLAIN) == options
    assert form.options(form) == []


def test_what_is_on_record_is_shown_and_can_be_taken_back() -> None:
    before = recorded(to="stl,unreal", size_by="longest", size=0.45, pivot="base", up="z", faces=900, texture_size=512)
    assert before == ExportForm(("stl", "unreal"), "longest", "0.45m", "base", "z", "900", "512")
    assert PLAIN.options(before) == [
        *("--to=glb", "--set=export.size_by=none", "--pivot=auto", "--up=auto", "--faces=0", "--texture-size=0")
    ]
    assert replace(before, size=" 45 cm").options(before) == []
    assert replace(before, size_by="width").options(before) == ["--width=0.45m"]


def test_all_is_every_format() -> None:
    assert recorded(to="all").targets == ("glb", "obj", "ply", "stl", "3mf", "usd", "usdz")


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (ExportForm(()), "choose a format or a program"),
        (ExportForm(size_by="height"), "type the height: 0.45m"),
        (ExportForm(size_by="height", size="45"), "^height 45 has no unit; write one of .*: height 45m, height 45cm$"),
        (ExportForm(size_by="width", size="-1m"), "^width -1m: a length must be above 0"),
        (ExportForm(size_by="scale", size="0"), "^scale 0: a scale must be above 0"),
        (ExportForm(size_by="scale", size="1m"), "^scale 1m: write a number without a unit"),
        (ExportForm(faces="many"), "faces many: type a whole number"),
    ],
)
def test_what_cannot_be_is_said(form: ExportForm, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        form.options(PLAIN)
