"""Pages of results: what they hold, that they need nothing else, and that nothing in a manifest is run."""

import base64
import hashlib
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from meshcli.commands.cli import main
from meshcli.errors import MissingError, ProjectError, UsageError
from meshcli.project.project import Project
from meshcli.report import viewer_library
from meshcli.report.camera_map import camera_map
from meshcli.report.project_page import project_page
from meshcli.report.report import write_report
from meshcli.views.camera import Camera, orbit

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)>'


class Page(HTMLParser):
    """The elements of a page with their attributes, the texts of its scripts, and all other text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self.in_script = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self.in_script = tag == "script"
        if self.in_script:
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self.in_script = False

    def handle_data(self, data: str) -> None:
        if self.in_script:
            self.scripts[-1] += data
        else:
            self.text += data

    def attributes(self, name: str) -> list[str]:
        return [attributes[name] for _, attributes in self.elements if name in attributes]

    def data(self) -> dict[str, object]:
        table: dict[str, object] = json.loads(self.scripts[0])
        return table


def page_of(project: Project) -> Page:
    return Page(project_page(project))


def test_the_page_shows_all_that_the_project_holds(finished: Project) -> None:
    page = page_of(finished)
    pictures = {attributes.get("id", ""): attributes["src"] for tag, attributes in page.elements
                if tag == "img" and "src" in attributes}  # fmt: skip
    assert {f"photo-{name}" for name in "abc"} < pictures.keys()
    assert {f"view-{photo}{tile}" for photo in "abc" for tile in range(6)} < pictures.keys()
    assert all(uri.startswith("data:image/webp;base64,") for uri in pictures.values())
    chosen = finished.load().selection
    assert chosen is not None
    places = [attributes["aria-label"] for _, attributes in page.elements if attributes.get("class") == "place"]
    assert sorted(places) == [f"chosen, place {place}" for place in range(1, len(chosen.names) + 1)]
    mesh = base64.b64decode(str(page.data()["glb"]))
    assert mesh == finished.path("mesh/mesh.glb").read_bytes()
    record = finished.load().stages["reconstruct"]
    assert f"{record.facts['faces']:,}" in page.text
    assert "fit" in page.text
    assert f"numpy {record.facts['versions']['numpy']}" in page.text
    video = [attributes["src"] for tag, attributes in page.elements if tag == "video"]
    assert base64.b64decode(video[0].partition(",")[2]) == finished.path("renders/turntable.mp4").read_bytes()


def test_cameras_are_those_of_the_project_in_the_frame_of_the_mesh_file(finished: Project) -> None:
    manifest = finished.load()
    rows = {row["name"]: row for row in page_of(finished).data()["cameras"]}  # type: ignore[attr-defined]
    for entry in (*manifest.active_photos, *manifest.active_views.values()):
        row, camera = rows[entry.name], entry.camera
        x, y, z = camera.position
        assert row["pose"][12:] == pytest.approx([y, z, x, 1.0])
        backwards = [line[2] for line in camera.camera_to_world[:3]]
        assert row["pose"][8:12] == pytest.approx([backwards[1], backwards[2], backwards[0], 0.0])
        assert (row["fx"], row["fy"], row["cx"], row["cy"]) == (camera.fx, camera.fy, camera.cx, camera.cy)


def test_nothing_is_loaded_from_elsewhere(finished: Project) -> None:
    page = page_of(finished)
    links = [*page.attributes("src"), *page.attributes("href"), *page.attributes("poster")]
    assert links
    assert all(link.startswith(("data:", "#")) for link in links)
    assert not page.attributes("srcset")


def test_the_policy_allows_the_own_scripts_alone(finished: Project) -> None:
    page = page_of(finished)
    policy = next(attributes["content"] for _, attributes in page.elements
                  if attributes.get("http-equiv") == "Content-Security-Policy")  # fmt: skip
    allowed = re.findall(r"'sha256-([^']+)'", policy)
    run = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in page.scripts[1:]]
    assert allowed == run
    assert len(run) == 2
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy.partition("script-src")[2].partition(";")[0]


def test_text_of_a_manifest_stays_text(finished: Project) -> None:
    manifest = finished.load()
    photos = tuple(replace(photo, source=HOSTILE, method=HOSTILE) for photo in manifest.photos)
    record = manifest.stages["reconstruct"]
    facts = {**record.facts, "notes": [HOSTILE], "versions": {HOSTILE: HOSTILE}, "device": HOSTILE}
    stages = {**manifest.stages, "reconstruct": replace(record, facts=facts)}
    finished.save(replace(manifest, photos=photos, stages=stages))
    page = page_of(finished)
    assert HOSTILE in page.text
    assert len(page.scripts) == 3
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]


@pytest.mark.parametrize("scores", [{"total": "high"}, {"total": 7}, {"total": True}, {"shape": [1]}, {}])
def test_scores_that_are_none_leave_gaps(finished: Project, scores: dict[str, object]) -> None:
    manifest = finished.load()
    finished.save(replace(manifest, views=tuple(replace(view, scores=scores) for view in manifest.views)))
    assert "score" not in [attributes.get("class") for _, attributes in page_of(finished).elements]


def test_pictures_that_are_gone_or_damaged_leave_gaps(finished: Project) -> None:
    finished.path("views/00.png").unlink()
    finished.path("views/01.png").write_bytes(b"no picture")
    finished.path("renders/front.png").unlink()
    page = page_of(finished)
    gaps = [attributes.get("id") for _, attributes in page.elements if attributes.get("class") == "gap"]
    assert gaps == ["view-a0", "view-a1"]
    assert "front" not in page.attributes("alt")
    assert "generate is missing" in page.text


def test_what_photos_say_about_where_they_were_taken_stays_out(finished: Project) -> None:
    manifest = finished.load()
    path = finished.path(manifest.photos[0].original)
    exif = Image.Exif()
    exif.get_ifd(0x8825)[1] = "N"
    exif[0x010E] = "secret place"  # ImageDescription
    Image.open(path).convert("RGB").save(path, exif=exif)
    assert b"secret place" in path.read_bytes()
    uri = next(
        attributes["src"] for _, attributes in page_of(finished).elements if "handed in" in attributes.get("alt", "")
    )
    data = base64.b64decode(uri.partition(",")[2])
    with Image.open(io.BytesIO(data)) as picture:
        assert not picture.getexif()
    assert b"secret place" not in data


def test_a_damaged_mesh_is_said_and_not_shown(finished: Project) -> None:
    finished.path("mesh/mesh.glb").write_bytes(b"glTF")
    page = page_of(finished)
    assert page.data()["glb"] == ""
    assert "mesh.glb" in page.text
    assert "render is stale" in page.text
    assert not [tag for tag, attributes in page.elements if attributes.get("id") == "stage"]


def test_a_file_that_no_record_lists_is_not_shown(finished: Project) -> None:
    manifest = finished.load()
    stages = {stage: record for stage, record in manifest.stages.items() if stage not in ("reconstruct", "render")}
    finished.save(replace(manifest, stages=stages))
    page = page_of(finished)
    assert page.data()["glb"] == ""
    assert not [tag for tag, _ in page.elements if tag == "video"]


def test_a_link_that_leads_out_of_the_project_is_not_followed(finished: Project, tmp_path: Path) -> None:
    secret = tmp_path / "secret.glb"
    secret.write_bytes(finished.path("mesh/mesh.glb").read_bytes())
    finished.path("mesh/mesh.glb").unlink()
    (finished.root / "mesh" / "mesh.glb").symlink_to(secret)
    with pytest.raises(ProjectError, match="leads out"):
        project_page(finished)


def test_the_page_goes_into_the_project_and_is_replaced(finished: Project) -> None:
    written = write_report([finished], None)
    assert written.path == finished.root / "report.html"
    assert written.size == written.path.stat().st_size
    before = written.path.read_bytes()
    write_report([finished], None)
    assert written.path.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html><title>mine</title>"])
def test_a_file_of_the_user_is_not_overwritten(finished: Project, content: bytes) -> None:
    mine = finished.root / "report.html"
    mine.write_bytes(content)
    with pytest.raises(UsageError, match=r"-o"):
        write_report([finished], None)
    assert mine.read_bytes() == content


def test_a_folder_that_does_not_exist_is_not_made(finished: Project, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no folder"):
        write_report([finished], tmp_path / "nowhere" / "page.html")
    assert not (tmp_path / "nowhere").exists()


def test_several_projects_make_a_table(
    finished: Project, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_report([finished], None)
    (tmp_path / "empty").mkdir()
    assert main(["report", "desk", "empty", "--json"]) == 2
    out, err = capfd.readouterr()
    assert json.loads(out)["report"] == "report.html"
    assert [line for line in err.splitlines() if line.startswith("error:")] == [
        "error: empty is no project yet; start with `meshcli generate empty PHOTO...`"
    ]
    page = Page(Path("report.html").read_text())
    assert page.attributes("href") == ["data:,", "desk/report.html", "empty"]
    assert "unreadable" in page.text
    assert len(page.attributes("data-sort")) == 10


def test_a_project_that_is_none_leaves_no_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["report", "nothing"]) == 2
    assert main(["report", "nothing", "neither"]) == 2
    assert list(tmp_path.iterdir()) == []


def test_an_unfinished_project_has_a_page_that_says_what_is_next(project: Project, photos: list[Path]) -> None:
    from meshcli.project.manifest import Manifest

    project.create()
    project.save(Manifest())
    page = page_of(project)
    assert f"meshcli generate {project.root}" in page.text


@pytest.mark.parametrize(
    ("status", "said"), [("failed", "reconstruct failed: no more memory"), ("running", "reconstruct was interrupted: ")]
)
def test_what_went_wrong_is_said_at_the_top(finished: Project, status: str, said: str) -> None:
    manifest = finished.load()
    record = replace(manifest.stages["reconstruct"], status=status, error="no more memory")  # type: ignore[arg-type]
    finished.save(manifest.with_record("reconstruct", record))
    assert said in page_of(finished).text


def test_the_line_that_cut_the_photos_out_is_shown(
    project: Project, photos: list[Path], engine_calls: dict[str, int], capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", str(project.root), str(photos[0]), "--cutouts-only"]) == 0
    text = page_of(project).text
    assert f"meshcli generate {project.root} {photos[0]} --cutouts-only" in text
    assert "Nothing has been run yet" not in text


def test_the_command_line_is_as_it_was_typed(
    finished: Project, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["select", "desk", "--views", "a0,b1,c2,a3,b4,c5"]
    assert main(words) == 0
    text = page_of(finished).text
    assert "meshcli select desk --views a0,b1,c2,a3,b4,c5" in text
    assert re.search(r"meshcli reconstruct \S+ --engine fit --set texture.size=64 .*from its record", text)


def test_cameras_from_above_grow_counter_clockwise_from_the_bottom(finished: Project) -> None:
    def at(azimuth: float) -> Camera:
        return orbit(azimuth, 10.0)

    manifest = finished.load()
    photos = tuple(replace(photo, camera=at(angle)) for photo, angle in zip(manifest.photos, (0, 90, 180), strict=True))
    marks = {mark["name"]: mark for mark in camera_map(replace(manifest, photos=photos))}
    assert (marks["a"]["x"], marks["a"]["y"]) == pytest.approx((0.0, 82.0), abs=1e-6)  # y grows downwards
    assert (marks["b"]["x"], marks["b"]["y"]) == pytest.approx((82.0, 0.0), abs=1e-6)
    assert (marks["c"]["x"], marks["c"]["y"]) == pytest.approx((0.0, -82.0), abs=1e-6)


def test_marks_of_views_do_not_cover_each_other(finished: Project) -> None:
    marks = [mark for mark in camera_map(finished.load()) if mark["kind"] == "view"]
    for number, one in enumerate(marks):
        for other in marks[:number]:
            assert (one["x"] - other["x"]) ** 2 + (one["y"] - other["y"]) ** 2 > 8.0**2, (one, other)


def test_another_viewer_of_trimesh_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewer_library, "OWN_CODE", "")
    monkeypatch.setattr(viewer_library, "PAGE", "other.html")
    with pytest.raises(MissingError, match="pip install"):
        viewer_library.viewer_library()
