"""What the dataclass of a group of flags is turned into."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.main import get_command

from meshcli.commands.flag_groups import FlagGroup, Only, Overrides, expand_flag_groups
from meshcli.errors import UsageError


@dataclass(frozen=True)
class SizeFlags(FlagGroup, title="Size"):
    """Numbers with the range of a setting, and a switch that turns settings off."""

    width: Annotated[int | None, Overrides("render.size"), typer.Option(help="Pixels.")] = None
    height: Annotated[float | None, Overrides("render.elevation"), typer.Option("-h", "--high")] = None
    flat: Annotated[bool, Overrides("fit.texture", "lrm.texture", value=False), typer.Option("--flat")] = False


@dataclass(frozen=True)
class OtherFlags(FlagGroup, title="Others"):
    """Every other kind."""

    files: Annotated[list[Path] | None, typer.Argument()] = None
    several: Annotated[list[str] | None, typer.Option("--one")] = None
    loud: Annotated[int, typer.Option("-l", "--loud", count=True)] = 0
    name: Annotated[str, typer.Option()] = "auto"
    width: Annotated[int, typer.Option("--other-width")] = 7


@dataclass(frozen=True)
class BothFlags:
    """A group of groups."""

    size: Annotated[SizeFlags, Only("height")]
    others: OtherFlags


def build(function: Any) -> Any:
    app = typer.Typer(add_completion=False)
    app.command()(expand_flag_groups(function))
    return get_command(app)


def call(function: Any, *line: str) -> Any:
    return build(function)(list(line), standalone_mode=False)


def test_a_command_gets_one_object_a_group() -> None:
    def command(directory: Path, size: SizeFlags, others: Annotated[OtherFlags, Only("name")]) -> list[object]:
        return [directory, size, others]

    assert call(command, "desk", "--width=64", "--name", "x") == [
        Path("desk"), SizeFlags(width=64), OtherFlags(name="x"),
    ]  # fmt: skip


def test_flags_stand_in_the_order_of_the_groups_and_in_their_panels() -> None:
    def command(others: Annotated[OtherFlags, Only("loud", "name")], size: SizeFlags) -> None:
        pass

    options = [(each.opts[-1], each.rich_help_panel) for each in build(command).params]
    assert options == [
        ("--loud", "Others"), ("--name", "Others"), ("--width", "Size"), ("--high", "Size"), ("--flat", "Size"),
    ]  # fmt: skip


def test_groups_may_hold_groups_and_names_of_another_group_do_not_get_mixed_up() -> None:
    def command(both: BothFlags) -> object:
        return both

    found = call(command, "--other-width=3", "--high=4.5", "a.png")
    assert found == BothFlags(SizeFlags(height=4.5), OtherFlags(width=3, files=[Path("a.png")]))
    with pytest.raises(typer.exceptions.TyperException, match="--width"):
        call(command, "--width=64")


def test_two_flags_of_one_name_are_refused() -> None:
    def command(size: SizeFlags, others: OtherFlags) -> None:
        pass

    with pytest.raises(ValueError, match="duplicate parameter name: 'width'"):
        expand_flag_groups(command)


def test_only_what_is_typed_becomes_words() -> None:
    assert OtherFlags(files=[Path("a")], several=[]).words() == []
    typed = OtherFlags(several=["a", "b=c"], loud=2, name="-x", width=0)
    assert typed.words() == ["--one=a", "--one=b=c", "--loud", "--loud", "--name=-x", "--other-width=0"]
    assert typed.words("name", "loud") == ["--loud", "--loud", "--name=-x"]
    assert SizeFlags(height=2.0, flat=True).words() == ["--high=2.0", "--flat"]


def test_only_what_is_typed_overrides_settings() -> None:
    assert SizeFlags().overrides() == {}
    assert SizeFlags(width=64, flat=True).overrides() == {
        "render.size": 64, "fit.texture": False, "lrm.texture": False,
    }  # fmt: skip


@pytest.mark.parametrize("text", ["1", "9999999", "many", "64.5"])
def test_a_number_is_checked_against_its_setting_when_it_is_parsed(text: str) -> None:
    def command(size: SizeFlags) -> None:
        pass

    with pytest.raises(UsageError, match=f"^--width {text}: render.size must be "):
        call(command, f"--width={text}")
