import pytest

from meshcli.commands.picker.compass import Marker, plan_view


@pytest.mark.parametrize(
    ("azimuth", "place"), [(0, (6, 6)), (90, (3, 12)), (180, (0, 6)), (270, (3, 0)), (-90, (3, 0)), (360, (6, 6))]
)
def test_the_front_is_below_and_angles_grow_counter_clockwise(azimuth: float, place: tuple[int, int]) -> None:
    cells = plan_view([Marker(azimuth, "X", "")], 7)
    assert [len(line) for line in cells] == [13] * 7
    assert [(r, c) for r, line in enumerate(cells) for c, (sign, _) in enumerate(line) if sign == "X"] == [place]


def test_later_marks_cover_earlier_ones() -> None:
    cells = plan_view([Marker(0, "o", "dim"), Marker(0, "1", "bold")], 11)
    assert cells[10][10] == ("1", "bold")
