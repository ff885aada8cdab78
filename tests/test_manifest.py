import copy
import json
from pathlib import Path
from typing import Any

import pytest

from meshcli.camera import orbit
from meshcli.errors import ProjectError
from meshcli.manifest import Manifest
from meshcli.project import Project
from meshcli.tables import Table

CAMERA = orbit(30, 20).to_json()
WHOLE: dict[str, Any] = {
    "meshcli": 1,
    "frame": {"scale": 2.0},
    "photos": [
        {
            "name": "a", "file": "photos/a.png", "original": "photos/a.original.jpg", "source": "x.jpg", "sha256": "00",
            "camera": CAMERA, "stated": {"azimuth": 30.0}, "size": [40, 30], "crop": [0.0, 0.1, 1.0, 1.3],
            "prepared": "11", "method": "alpha", "painted": "44", "removed": False, "later": 7,
        }
    ],
    "views": [
        {"name": "a0", "file": "views/00.png", "photo": "a", "camera": CAMERA, "engine": "x", "scores": {},
         "removed": False, "z": [1]}
    ],
    "selection": {"names": ["a0"], "by": "person"},
    "scored": "33",
    "stages": {
        "generate": {
            "status": "done", "engine": "sculpt", "options": {"seed": 1}, "inputs": {"photo a": "00"},
            "outputs": [{"file": "views/00.png", "bytes": 5, "sha256": "22"}], "facts": {}, "started": "s",
            "finished": "f", "error": "", "asked": "", "smaller": {}, "fallback": {}, "vram": 3,
        }
    },
}  # fmt: skip


def read(values: dict[str, Any]) -> Manifest:
    return Manifest.read(Table(values, "manifest.json", ProjectError))


def changed(path: str, value: Any) -> dict[str, Any]:
    whole = copy.deepcopy(WHOLE)
    *parts, last = [int(part) if part.isdecimal() else part for part in path.split("/")]
    place: Any = whole
    for part in parts:
        place = place[part]
    place[last] = value
    return whole


def test_what_is_read_is_written_back_with_unknown_fields() -> None:
    assert read(WHOLE).to_json() == WHOLE


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("photos", {}),
        ("photos/0", "a"),
        ("photos/0/name", 3),
        ("photos/0/name", "../a"),
        ("photos/0/name", "A"),
        ("photos/0/camera", None),
        ("photos/0/camera/fx", float("inf")),
        ("photos/0/camera/camera_to_world", [[1, 2], [3]]),
        ("photos/0/crop", [1, 2, 3]),
        ("photos/0/crop", [1, 2, 3, "4"]),
        ("photos/0/size", [10**400, 2]),
        ("photos/0/removed", 1),
        ("views/0/scores", []),
        ("selection/names", [1]),
        ("selection/by", "nobody"),
        ("stages", []),
        ("stages/generate", []),
        ("stages/generate/status", "well"),
        ("stages/generate/outputs", [{"file": "a", "bytes": "5", "sha256": ""}]),
        ("stages/generate/options", []),
        ("stages/polish", {}),
        ("meshcli", "1"),
        ("meshcli", True),
    ],
)
def test_a_wrong_type_is_named(path: str, value: Any) -> None:
    with pytest.raises(ProjectError, match=r"manifest\.json"):
        read(changed(path, value))


@pytest.mark.parametrize(
    "file",
    ["/etc/passwd", "../x", "views/../../x", "views//x", "./x", "", "views/", "a\\b", "C:/x", "a\0b", "views/.."],
)
@pytest.mark.parametrize("path", ["photos/0/file", "photos/0/original", "views/0/file"])
def test_a_path_that_could_leave_the_project_is_refused(path: str, file: str) -> None:
    with pytest.raises(ProjectError, match="path inside the project"):
        read(changed(path, file))


def test_a_newer_schema_is_refused() -> None:
    with pytest.raises(ProjectError, match="newer meshcli"):
        read(changed("meshcli", 2))


@pytest.mark.parametrize("key", ["photos", "views"])
def test_a_name_twice_is_refused(key: str) -> None:
    with pytest.raises(ProjectError, match="twice"):
        read({**WHOLE, key: WHOLE[key] * 2})


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "3", json.dumps(WHOLE)[:-20], '{"meshcli": NaN}', "[" * 100_000, "\xff", '{"meshcli": 1e999}'],
)
def test_a_damaged_file_is_one_error_and_stays_as_it_is(tmp_path: Path, text: str) -> None:
    path = tmp_path / "manifest.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ProjectError) as caught:
        Project(tmp_path).load()
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == text.encode("latin-1")


def test_numbers_of_views_count_those_of_removed_photos() -> None:
    second = {**WHOLE["photos"][0], "name": "b", "file": "photos/b.png"}
    view = {**WHOLE["views"][0], "name": "b0", "photo": "b", "file": "views/01.png"}
    manifest = read({**changed("photos/0/removed", True), "views": [*WHOLE["views"], view]})
    assert manifest.live_views == {}
    manifest = read(
        {**WHOLE, "photos": [{**WHOLE["photos"][0], "removed": True}, second], "views": [*WHOLE["views"], view]}
    )
    assert [(number, view.name) for number, view in manifest.live_views.items()] == [(1, "b0")]
