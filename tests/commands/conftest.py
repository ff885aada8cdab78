"""The command line in this process, with quick engines."""

from collections.abc import Callable
from pathlib import Path

import pytest

from meshcli.commands import cli


@pytest.fixture
def command_line(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    engine_calls: dict[str, int],
    photos: list[Path],
) -> Callable[..., tuple[int, str, str]]:
    """Calls a command line beside the three photos; returns its exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("meshcli.commands.cli.listen_to_signals", lambda: None)

    def call(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.main(words)
        return code, *capsys.readouterr()

    return call
