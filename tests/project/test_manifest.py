import copy
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from meshcli.errors import ProjectError
from meshcli.json_table import JsonTable
from meshcli.project.manifest import Manifest, NewerManifestError
from meshcli.project.project import Project
from meshcli.views.camera import orbit

CAMERA = orbit(30, 20).to_json()
WHOLE: dict[str, Any] = {
    "meshcli": 1,
    "frame": {"scale": 2.0},
    "unlisted": ["mesh/colours.obj"],
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
            "finished": "f", "error": "", "tries": 2, "asked": "", "smaller": {}, "fallback": {}, "settings": {},
            "vram": 3,
        }
    },
}  # fmt: skip


def read(values: dict[str, Any]) -> Manifest:
    return Manifest.read(JsonTable(values, "manifest.json", ProjectError))


def changed(path: str, value: Any) -> dict[str, Any]:
    whole = copy.deepcopy(WHOLE)
    *parts, last = [int(part) if part.isdecimal() else part for part in path.split("/")]
    place: Any = whole
    for part in parts:
        place = place[part]
    place[last] = value
    return whole


def test_unknown_fields_survive_a_round_trip() -> None:
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
        ("meshcli", 0),
        ("photos/0/name", "zzzzz"),  # whoever looks for the next letter would count for minutes
        ("photos/0/size", [0, 2]),
        ("photos/0/crop", [0, 0, 1e-300, 1]),
        ("photos/0/crop", [0, 1e300, 1, 1]),
        ("photos/0/stated", {"fov": 0}),
        ("photos/0/stated", {"elevation": 1e6}),
        ("photos/0/stated", {"camera": CAMERA, "up": "q"}),
        ("photos/0/stated", {"aligned": {"azimuth": 0, "enlarged": 1e-300, "confidence": 1, "others": []}}),
        ("photos/0/camera/fx", 10**400),
        ("photos/0/camera/fx", 1e-300),
        ("photos/0/camera/fx", "1"),
        ("photos/0/camera/fx", True),
        ("photos/0/camera/cx", 1e300),
        ("photos/0/camera/known", [1]),
        ("views/0/name", "photo:a"),
        ("views/0/name", "a,b"),
        ("views/0/photo", "\x1b[31m"),
        ("views", [None]),
        ("selection/names", []),
        ("selection/names", ["a0", "a0"]),
        ("selection/names", ["photo:a"]),
        ("stages/generate/inputs", {"photo a": 1}),
        ("stages/generate/tries", -1),
        ("stages/generate/tries", 1.5),
        ("stages/generate/outputs", [{"file": "views/00.png", "bytes": 1, "sha256": ""}] * 10_001),
        ("photos", [{}] * 501),
        ("views", [{}] * 3501),
    ],
)
def test_a_wrong_type_is_named(path: str, value: Any) -> None:
    with pytest.raises(ProjectError, match=r"manifest\.json"):
        read(changed(path, value))


@pytest.mark.parametrize(
    "file",
    [
        "/etc/passwd",
        "../x",
        "views/../../x",
        "views//x",
        "./x",
        "",
        "views/",
        "a\\b",
        "C:/x",
        "a\0b",
        "views/..",
        "views/a\0b",
        "views/a\nb",
        "views/\x1b[2J",
        "views/\ud800",
        "views/" + "x" * 300,
        "views/.hidden",
        "manifest.json",
        ".lock",
        "views",
        "README.md",
        "src/main.py",
        ".git/config",
        "views/c:x",
    ],
)
@pytest.mark.parametrize("path", ["photos/0/file", "photos/0/original", "views/0/file"])
def test_a_path_that_could_leave_the_project_is_refused(path: str, file: str) -> None:
    with pytest.raises(ProjectError, match="path inside the project"):
        read(changed(path, file))


def test_a_newer_schema_is_refused() -> None:
    for schema in (2, 10**200):
        with pytest.raises(NewerManifestError, match="newer meshcli"):
            read(changed("meshcli", schema))


@pytest.mark.parametrize("place", ["", "photos/0", "photos/0/camera", "photos/0/stated", "views/0", "views/0/camera",
                                   "views/0/scores", "selection", "stages/generate", "stages/generate/outputs/0",
                                   "stages/generate/facts", "frame"])  # fmt: skip
def test_unknown_fields_are_kept_wherever_they_stand(place: str) -> None:
    whole = changed(f"{place}/later".lstrip("/"), {"x": [1, None, "\ud800"]})
    assert read(whole).to_json() == whole


ALIGNED = {"azimuth": 40, "enlarged": 1.2, "confidence": 0.5, "others": [], "later": 1}


@pytest.mark.parametrize("stated", [{}, {"azimuth": 30}, {"camera": {**CAMERA, "later": 1}}, {"aligned": ALIGNED}])
def test_what_was_stated_about_a_camera_is_written_back_as_it_was(stated: dict[str, Any]) -> None:
    whole = changed("photos/0/stated", stated)
    prior = read(whole).photos[0].stated
    assert json.dumps(prior.to_json()) == json.dumps(stated)
    assert read(whole).to_json() == whole
    assert replace(prior, ready="view").to_json()["ready"] == "view"


@pytest.mark.parametrize("key", ["photos", "views"])
def test_a_file_twice_is_refused(key: str) -> None:
    with pytest.raises(ProjectError, match="file twice"):
        read({**WHOLE, key: [WHOLE[key][0], {**WHOLE[key][0], "name": "b"}]})


@pytest.mark.parametrize("key", ["photos", "views"])
def test_a_name_twice_is_refused(key: str) -> None:
    with pytest.raises(ProjectError, match="twice"):
        read({**WHOLE, key: WHOLE[key] * 2})


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "3", json.dumps(WHOLE)[:-20], '{"meshcli": NaN}', "[" * 100_000, "\xff", '{"meshcli": 1e999}'),
        '{"meshcli": 1, "x": ' + "[" * 150 + "]" * 150 + "}",
        '{"meshcli": 1, "x": ' + "9" * 400 + "}",
        '{"meshcli": 1, "x": ' + "9" * 5000 + "}",
        '{"meshcli": 1, "x": -Infinity}',
        '{"meshcli": 1, "x": {"y": 1, "y": 2}}',
        "\0" * 100,
    ],
)
def test_a_damaged_file_is_one_error_and_stays_as_it_is(tmp_path: Path, text: str) -> None:
    path = tmp_path / "manifest.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ProjectError) as caught:
        Project(tmp_path).load()
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == text.encode("latin-1")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_byte_order_marks_are_accepted(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps(WHOLE), encoding=encoding)
    assert Project(tmp_path).load() == read(WHOLE)


def test_numbers_of_views_count_those_of_removed_photos() -> None:
    second = {**WHOLE["photos"][0], "name": "b", "file": "photos/b.png"}
    view = {**WHOLE["views"][0], "name": "b0", "photo": "b", "file": "views/01.png"}
    manifest = read({**changed("photos/0/removed", True), "views": [*WHOLE["views"], view]})
    assert manifest.active_views == {}
    manifest = read(
        {**WHOLE, "photos": [{**WHOLE["photos"][0], "removed": True}, second], "views": [*WHOLE["views"], view]}
    )
    assert [(number, view.name) for number, view in manifest.active_views.items()] == [(1, "b0")]


def test_a_hundred_megabytes_are_refused_before_they_are_read(tmp_path: Path) -> None:
    with (tmp_path / "manifest.json").open("wb") as file:
        file.truncate(100 * 2**20)
    with pytest.raises(ProjectError, match="larger than 16 MB"):
        Project(tmp_path).load()


@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_a_manifest_that_is_no_file_is_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    os.mkfifo(path) if kind == "pipe" else path.mkdir()
    with pytest.raises(ProjectError, match="is not a file"):
        Project(tmp_path).load()


@pytest.mark.parametrize("file", ["../a.png", "/etc/passwd", "mesh/.lock", "manifest.json", 7])
def test_unlisted_files_lie_in_the_project(file: Any) -> None:
    with pytest.raises(ProjectError, match="unlisted"):
        read(changed("unlisted", [file]))
