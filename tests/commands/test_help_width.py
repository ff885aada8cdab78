"""`--help` at 80 columns: the column of types leaves most of the line to what a flag does."""

import pytest

from meshcli.commands.cli import COMMANDS
from meshcli.commands.lazy_commands import load_command

WIDEST_TYPE = 22  # characters; half of what 80 columns leave beside the longest flag


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "models"])
def test_types_of_flags_are_short(name: str) -> None:
    command = load_command(name)
    context = command.make_context(name, ["desk"], resilient_parsing=True)
    wide = {
        each.opts[0]: each.metavar or each.display_type_rich(context)
        for each in command.params
        if len(each.metavar or each.display_type_rich(context) or "") > WIDEST_TYPE
    }
    wide.pop("--device", None)  # auto|cpu|cuda|cuda:1|mps, all of it needed
    assert not wide
