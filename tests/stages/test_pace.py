"""Recorded times of this machine: what they are kept for, and files that are damaged or not writable."""

from pathlib import Path

import pytest

from meshcli.stages.pace import MAX_RATES, expected_seconds, record_seconds, stage_work

WORK = stage_work("generate", "sculpt", "auto", {"steps": 3}, 2)


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MESHCLI_STATE", str(tmp_path / "state"))
    return tmp_path / "state" / "pace.json"


def test_a_time_holds_for_the_same_work_and_grows_with_its_units() -> None:
    assert expected_seconds(WORK) is None
    record_seconds(WORK, 20.0)
    assert expected_seconds(stage_work("generate", "sculpt", "auto", {"steps": 3}, 5)) == 50.0
    for other in (
        stage_work("generate", "zero123plus", "auto", {"steps": 3}),
        stage_work("generate", "sculpt", "cuda", {"steps": 3}),
        stage_work("generate", "sculpt", "auto", {"steps": 4}),
        WORK.of("align"),
    ):
        assert expected_seconds(other) is None
    record_seconds(WORK, 8.0)
    assert expected_seconds(WORK) == 8.0


def test_the_file_stays_small(file: Path) -> None:
    for number in range(MAX_RATES + 5):
        record_seconds(stage_work("render", "", "auto", number), 1.0)
    assert file.read_text().count(":") == MAX_RATES
    assert expected_seconds(stage_work("render", "", "auto", 0)) is None


@pytest.mark.parametrize("text", ["", "[1]", "[" * 100_000, '{"a": 1', "\udcff"])
def test_a_damaged_file_is_no_error(text: str, file: Path) -> None:
    file.parent.mkdir()
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert expected_seconds(WORK) is None
    record_seconds(WORK, 2.0)
    assert expected_seconds(WORK) == 2.0


@pytest.mark.parametrize("rate", ["true", '"3"', "-1", "NaN", "Infinity", "null", "[]"])
def test_values_that_are_no_times_are_left_out(rate: str, file: Path) -> None:
    file.parent.mkdir()
    file.write_text(f'{{"{WORK.key}": {rate}}}')
    assert expected_seconds(WORK) is None


def test_a_place_that_cannot_be_written_is_no_error(file: Path) -> None:
    file.parent.write_text("a file where the directory belongs")
    record_seconds(WORK, 2.0)
    assert expected_seconds(WORK) is None
