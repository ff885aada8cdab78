import re

import pytest

from meshcli.commands.picker.compass import LEGEND, Marker, plan_view
from meshcli.views.camera import zero123plus_rig


def lines(azimuths: list[float], rows: int, columns: int) -> list[str]:
    """The map with these views chosen in this order."""
    labels = [Marker(azimuth, str(place), "") for place, azimuth in enumerate(azimuths, 1)]
    return ["".join(sign for sign, _ in line) for line in plan_view([], labels, rows, columns)]


def numbers(text: list[str]) -> list[int]:
    return sorted(int(word) for word in re.findall(r"\d+", " ".join(text).replace(LEGEND[1], " ")))


@pytest.mark.parametrize(
    ("azimuth", "place"), [(0, (6, 6)), (90, (3, 12)), (180, (0, 6)), (270, (3, 0)), (-90, (3, 0)), (360, (6, 6))]
)
def test_the_front_is_below_and_angles_grow_counter_clockwise(azimuth: float, place: tuple[int, int]) -> None:
    cells = plan_view([Marker(azimuth, "X", "")], [], 7, 13)
    assert [len(line) for line in cells] == [13] * 7
    assert [(r, c) for r, line in enumerate(cells) for c, (sign, _) in enumerate(line) if sign == "X"] == [place]


def test_places_in_the_same_direction_are_joined() -> None:
    assert [line.strip(" ·") for line in lines([90, 0, 90, 270], 7, 15)][3] == "4     ■    1,3"
    cells = plan_view([Marker(0, "o", "dim")], [Marker(0, "1", "bold"), Marker(0, "2", "green")], 11, 21)
    assert cells[10][9:12] == [("1", "bold"), (",", "dim"), ("2", "green")]


@pytest.mark.parametrize(("rows", "columns"), [(7, 15), (7, 21), (11, 29), (15, 37)])
@pytest.mark.parametrize("turns", [[0], [0, 40, -50], [0, 90, 180, 270], [0, 15, 30, 45], [0, 45], [0, 0, 0]])
def test_every_place_can_be_read(rows: int, columns: int, turns: list[float]) -> None:
    azimuths = [camera.azimuth for turn in turns for camera in zero123plus_rig(turn)]
    text = lines(azimuths, rows, columns)
    assert {len(line) for line in text} == {columns}
    assert numbers(text) == list(range(1, len(azimuths) + 1))


def test_the_front_and_the_way_angles_grow_are_marked() -> None:
    for rows, columns in ((7, 13), (11, 29)):
        text = lines([30, 90, 150, 210, 270, 330], rows, columns)
        assert [line[1:-1].strip(" ·oO123456") for line in text[-3:-1]] == [LEGEND[0], LEGEND[1]]
        assert text[-2].index("0°→") + 1 == columns // 2  # above azimuth 0, and towards 90 degrees


def test_what_is_longer_than_a_row_ends_with_an_ellipsis_after_a_whole_number() -> None:
    text = lines([0.0] * 24, 7, 15)
    assert [len(line) for line in text] == [15] * 7
    shown = text[-1].strip(" ·")
    assert shown.endswith("…")
    assert set(shown[:-1].split(",")) <= {str(place) for place in range(1, 25)}
    assert len(shown[:-1].split(",")) >= 5
