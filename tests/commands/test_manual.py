"""The man page names every command and every flag, and renders."""

import shutil
import subprocess

import pytest

from meshcli.commands.cli import COMMANDS
from meshcli.commands.lazy_commands import load_command
from meshcli.commands.manual import manual


def test_it_has_every_command_and_flag() -> None:
    page = manual().replace("\\-", "-")
    for name in COMMANDS:
        command = load_command(name)
        for each in (command, *getattr(command, "commands", {}).values()):
            for flag in each.params:
                assert getattr(flag, "hidden", False) or f".B {', '.join(flag.opts)}" in page or flag.metavar in page
        assert f'"meshcli {name}"' in page


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_it_renders_without_warnings() -> None:
    done = subprocess.run(
        ["groff", "-man", "-Tascii", "-wall", "-z"],  # noqa: S607
        input=manual(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == ""
