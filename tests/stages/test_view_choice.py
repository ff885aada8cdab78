from collections import Counter
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from meshcli.errors import UsageError
from meshcli.project.manifest import Manifest, Photo, ViewEntry
from meshcli.stages.view_choice import coverage, parse_view_choice, suggest_views
from meshcli.views.camera import orbit, zero123plus_rig


def manifest(*azimuths: float, removed: str = "") -> Manifest:
    names = "abcdefgh"[: len(azimuths)]
    return Manifest(
        tuple(Photo(name, f"{name}.png", "", "", name, orbit(0, 0), removed=name in removed) for name in names),
        tuple(
            ViewEntry(f"{name}{tile}", "", name, camera, "sculpt")
            for name, azimuth in zip(names, azimuths, strict=True)
            for tile, camera in enumerate(zero123plus_rig(azimuth))
        ),
    )


THREE = manifest(0, 40, -50)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("0,3,5,7,8,10", "a0 a3 a5 b1 b2 b4"),
        ("a0,b2", "a0 b2"),
        ("b2 a0", "b2 a0"),
        ("2-4", "a2 a3 a4"),
        ("4-2", "a4 a3 a2"),
        ("a4-b1", "a4 a5 b0 b1"),
        ("photo:b", "b0 b1 b2 b3 b4 b5"),
        (" 17 ,photo:a", "c5 a0 a1 a2 a3 a4 a5"),
        ("all", " ".join(view.name for view in THREE.views)),
    ],
)
def test_ways_to_name_views(text: str, names: str) -> None:
    assert " ".join(parse_view_choice(text, THREE)) == names


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("18", "no view 18; views are 0-5, 6-11, 12-17"),
        ("3-99999", "no view 99999"),
        ("0-1000000000", "no view '0-1000000000'"),
        ("d0", "a0-a5, b0-b5, c0-c5"),
        ("-1", "'-1'"),
        ("1-", "'1-'"),
        ("photo:x", "photos are a, b, c"),
        ("0,a0", "view a0 is named twice"),
        (" , ", "no views are named"),
        ("²", "no view '²'"),
    ],
)
def test_a_wrong_view_names_the_allowed_ones(text: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_view_choice(text, THREE)
    assert says in str(caught.value)


def test_views_of_removed_photos_are_gone_but_numbers_stay() -> None:
    some = manifest(0, 40, -50, removed="b")
    assert parse_view_choice("12", some) == ["c0"]
    with pytest.raises(UsageError, match="views are 0-5, 12-17"):
        parse_view_choice("6", some)
    with pytest.raises(UsageError, match="no view 6"):
        parse_view_choice("4-13", some)


def test_one_photo_suggests_its_six() -> None:
    assert suggest_views(manifest(0)) == ["a0", "a1", "a2", "a3", "a4", "a5"]


@pytest.mark.parametrize("azimuths", [(0, 40, -50), (0, 120, 240), (0, 10, 20), (0, 180), (0, 90, 180, 270)])
def test_a_suggestion_is_well_spread_and_fair(azimuths: tuple[float, ...]) -> None:
    some = manifest(*azimuths)
    chosen = suggest_views(some)
    assert len(set(chosen)) == 6
    uses = [sum(name[0] == photo.name for name in chosen) for photo in some.photos]
    assert max(uses) - min(uses) <= 1
    by_name = {view.name: view.camera.azimuth for view in some.views}
    around = sorted(by_name[name] for name in chosen)
    gaps = [(b - a) % 360 for a, b in zip(around, [*around[1:], around[0]], strict=True)]
    assert max(gaps) <= 90.0 + 1e-6
    assert chosen == suggest_views(some)


def uneven(**views: int) -> Manifest:
    """Photos that have so many views each, from a rig of their own."""
    photos = tuple(Photo(name, f"{name}.png", "", "", name, orbit(0, 0)) for name in views)
    entries = tuple(
        ViewEntry(name if count == 1 else f"{name}{tile}", "", name, orbit(70.0 * tile + 13.0 * index, 10), "photos")
        for index, (name, count) in enumerate(views.items())
        for tile in range(count)
    )
    return Manifest(photos, entries)


@pytest.mark.parametrize(
    ("views", "count", "uses"),
    [
        ({"a": 6, "b": 1}, 6, {"a": 5, "b": 1}),  # b has less than its share
        ({"a": 6, "b": 1}, 7, {"a": 6, "b": 1}),
        ({"a": 1, "b": 6, "c": 6}, 6, None),  # 1, then 3 and 2 or 2 and 3
        ({"a": 2, "b": 6, "c": 1}, 8, {"a": 2, "b": 5, "c": 1}),
        ({"a": 6, "b": 1, "c": 1, "d": 1}, 6, {"a": 3, "b": 1, "c": 1, "d": 1}),
        ({"a": 1, "b": 1, "c": 1}, 2, None),
        ({"a": 6, "b": 1}, 1, None),
        ({"a": 1}, 1, {"a": 1}),
    ],
)
def test_photos_with_unequal_numbers_of_views(views: dict[str, int], count: int, uses: dict[str, int] | None) -> None:
    some = uneven(**views)
    chosen = suggest_views(some, count)
    assert len(set(chosen)) == count
    used = Counter(name[0] for name in chosen)
    if uses is not None:
        assert used == uses
    # As equal as it can be: nobody gives more than another who has some left, but for the one that does not divide.
    left = [used[name] for name, there in views.items() if used[name] < there]
    assert not left or max(used.values()) <= min(left) + 1


def test_any_number_of_views_can_be_chosen_of_any_photos() -> None:
    for views in product(range(4), range(1, 7), (1, 6)):
        some = uneven(**{name: count for name, count in zip("abc", views, strict=True) if count})
        for count in range(1, len(some.views) + 1):
            assert len(set(suggest_views(some, count))) == count


def test_a_suggestion_of_another_size() -> None:
    assert len(suggest_views(THREE, 1)) == 1
    assert len({name[0] for name in suggest_views(THREE, 3)}) == 3
    assert len(suggest_views(THREE, 18)) == 18
    with pytest.raises(UsageError, match="18 views"):
        suggest_views(THREE, 19)


def scored(some: Manifest, **totals: float) -> Manifest:
    views = (replace(view, scores={"total": totals.get(view.name, 0.95)}) for view in some.views)
    return replace(some, views=tuple(views))


def test_a_bad_view_is_passed_over_for_a_good_one_nearby() -> None:
    some = manifest(0, 10, -10)
    names = suggest_views(scored(some))
    assert len(names) == 6
    for name in names:
        assert name not in suggest_views(scored(some, **{name: 0.5}))


def test_an_irreplaceable_view_is_chosen_despite_its_score() -> None:
    assert set(suggest_views(scored(manifest(0), a3=0.2), 6)) == {"a0", "a1", "a2", "a3", "a4", "a5"}


def test_a_real_photo_has_an_advantage() -> None:
    some = scored(THREE)
    photo = ViewEntry("b", "", "b", orbit(40 + 32, 18), "photos", {"total": 0.95})  # beside b0, a little less apart
    assert "b" in suggest_views(replace(some, views=(*some.views, photo)))


def test_coverage_is_the_share_of_all_sides() -> None:
    around = zero123plus_rig(0)
    assert coverage(around[:1]) == pytest.approx(0.25, abs=0.01)  # a cap of 60 degrees
    assert 0.8 < coverage(around) < 1.0  # the poles are not seen
    assert coverage([*around, orbit(0, 90), orbit(0, -90)]) == 1.0
    assert coverage([]) == 0.0


def test_tiles_0_and_1_of_photos_a_third_apart_are_the_rig() -> None:
    """What InstantMesh V2 handed out by slot is right for this choice, and only for such ones."""
    some = manifest(0, 120, 240)
    views = {view.name: view for view in some.views}
    chosen = [views[name].camera for name in parse_view_choice("a0,a1,b0,b1,c0,c1", some)]
    for camera, slot in zip(chosen, zero123plus_rig(0), strict=True):
        assert camera.azimuth == pytest.approx(slot.azimuth)
        assert camera.elevation == pytest.approx(slot.elevation)
        assert np.array(camera.camera_to_world) == pytest.approx(np.array(slot.camera_to_world), abs=1e-12)
