"""Projects that somebody else tampered with; bench/fuzz.py does the same ten thousand times."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from helpers.command_fuzzer import Bench, Case, cases, make_projects, quick_engines

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]  # a minute where nobody else is at work


def test_nothing_that_is_done_to_a_project_gets_through(tmp_path: Path) -> None:
    """Neither a traceback nor a hang, a file outside, a control character."""
    place = tmp_path / "place"
    place.mkdir()
    with quick_engines():
        projects = make_projects(tmp_path)
        bench = Bench(place, projects)

        @settings(max_examples=300, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
                  suppress_health_check=list(HealthCheck))  # fmt: skip
        @given(cases([(project / "manifest.json").read_bytes() for project in projects]))
        def attack(case: Case) -> None:
            assert bench.run(case) == [], case.to_json()

        attack()


def test_the_checks_find_violations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "place"
    place.mkdir()
    with quick_engines():
        projects = make_projects(tmp_path)
        bench = Bench(place, projects)
        fine = Case(0, (projects[0] / "manifest.json").read_bytes())
        assert bench.run(fine) == []
        whole = json.loads(fine.manifest)
        whole["stages"]["generate"]["error"] = "\x1b]0;owned\x07"
        whole["stages"]["generate"]["status"] = "failed"
        monkeypatch.setattr("meshcli.commands.console.escape_controls", str)
        assert any("reached the terminal" in each for each in bench.run(Case(0, json.dumps(whole).encode())))
        monkeypatch.setattr("meshcli.commands.status.print_status", lambda status: (bench.outside / "new").touch())
        assert any("outside was changed" in each for each in bench.run(fine))
        (bench.outside / "new").unlink()
        monkeypatch.setattr("meshcli.commands.status.print_status", lambda status: 1 / 0)
        assert any("ZeroDivisionError" in each for each in bench.run(fine))
