"""Typer commands that cost nothing until they are called, and a fast `--help`."""

import sys
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any, cast

from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from meshcli.errors import UsageError


class Group(TyperGroup):
    """A group with a fast `--help`, which says what to type instead of an unknown command."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help."""
        import_help_renderer()
        super().format_help(ctx, formatter)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the arguments begin with; UsageError where there is none of this name."""
        if args[0] in self.commands or args[0].startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        from meshcli.commands.hints import explain_unknown_command

        raise UsageError(explain_unknown_command(args, list(self.commands), ctx.command_path))


class Command(TyperCommand):
    """A command with a fast `--help`, in which a flag without a value has no type."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help."""
        import_help_renderer()
        for each in cast("list[Any]", self.get_params(ctx)):
            if getattr(each, "is_flag", False) or getattr(each, "count", False):
                each.display_type_rich = lambda ctx: None
        super().format_help(ctx, formatter)


class LazyCommand(Command):
    """Stands for a command in its group's help and is replaced by it when called: only then its module is imported."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Parse the arguments, as those of the command itself."""
        return load_command(self.name).make_context(info_name, args, parent, **extra)


@cache
def load_command(name: str | None) -> Any:
    """The command or group that `app` of the module `meshcli.commands.NAME` defines."""
    return get_command(import_module(f"meshcli.commands.{name}").app)


def import_help_renderer() -> None:
    """Import Typer's help renderer without rich.markdown and rich.traceback, which take most of its import time.

    It imports both by name and needs neither: help texts here are no Markdown, and tracebacks are plain
    (`pretty_exceptions_enable=False`). Placeholders stand in for them during the import only.
    """
    placeholders = {"rich.markdown": "Markdown", "rich.traceback": "Traceback"}
    added = [name for name in placeholders if name not in sys.modules]
    for name in added:
        sys.modules[name] = ModuleType(name)
        setattr(sys.modules[name], placeholders[name], None)
    try:
        import_module("typer.rich_utils")
    finally:
        for name in added:
            del sys.modules[name]
