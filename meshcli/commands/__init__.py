"""The command line: commands, flags, tables, progress and the picker. Only this package uses Typer and Rich. Light."""
