"""The terminal: commands, flags, tables, progress and the picker; Typer and Rich are used here alone. Light."""
