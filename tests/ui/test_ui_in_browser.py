"""The page in a real browser: from dropped photos to a mesh, by mouse and by keys, in several pages at once."""

import io
import json
import signal
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from helpers.browser import DESK, PHONE, assert_quiet, open_page
from helpers.cli_processes import FAKE_MESHCLI, alive, meshcli, until
from helpers.finished_project import finish
from helpers.project_templates import ProjectTemplates
from helpers.ui_server import opened, serving, start, stop
from meshcli.project.project import Project
from meshcli.stages.status import read_status

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow
TABS = ("Photos", "Views", "Mesh", "Export", "Log")


def ended(page: "Page", title: str) -> None:
    """Wait until a job is over."""
    page.locator(".work", has_text=f"{title}: done after").wait_for()


def test_from_dropped_photos_to_a_mesh(browser: "Browser", project: Project, photos: list[Path]) -> None:
    with serving(project.root, FAKE_MESHCLI) as address:
        watched = opened(browser, address)
        page = watched.page
        page.set_input_files("input[type=file]", [str(photo) for photo in photos])
        ended(page, "cutting the photos out")
        assert [photo.source for photo in project.load().photos] == ["1.png", "2.png", "3.png"]
        assert not project.load().views
        for name, presses in (("a", ["Home"]), ("b", ["ArrowRight"] * 9), ("c", ["ArrowLeft"] * 11)):
            dial = page.get_by_role("slider", name=f"azimuth of photo {name}")
            dial.focus()
            for key in presses:
                dial.press(key)
        page.locator(".code", has_text="--azimuth=0,40,310").first.wait_for()
        page.get_by_role("button", name="Make views").click()
        ended(page, "making views")
        page.get_by_role("tab", name="Views").click()
        page.locator(".view").nth(17).wait_for()
        suggested = page.locator(".view-grid .chosen").count()
        page.locator(".view:not(.chosen)").first.click()
        page.wait_for_function(f"document.querySelectorAll('.view-grid .chosen').length === {suggested + 1}")
        page.get_by_role("button", name="Undo").click()
        page.wait_for_function(f"document.querySelectorAll('.view-grid .chosen').length === {suggested}")
        page.get_by_role("button", name="Use these views").click()
        page.locator(".summary", has_text="In use, chosen by hand").wait_for()
        page.get_by_role("tab", name="Mesh").click()
        page.get_by_role("button", name="Build the mesh").click()
        ended(page, "building the mesh")
        page.frame_locator("iframe").locator("#stage[data-loaded=true]").wait_for()
        page.locator(".downloads a", has_text="mesh.glb").wait_for()
        with page.expect_download() as download:
            page.locator(".downloads a", has_text="mesh.glb").click()
        assert Path(download.value.path()).read_bytes() == (project.root / "mesh" / "mesh.glb").read_bytes()
        assert_quiet(watched, address)
    assert [each.state for each in read_status(project).stages[:3]] == ["done"] * 3
    manifest = project.load()
    assert manifest.selection
    assert (manifest.selection.by, len(manifest.selection.names)) == ("person", 6)
    assert [photo.stated.azimuth for photo in manifest.active_photos] == [0, 40, 310]


def test_photos_of_a_phone_are_taken(browser: "Browser", project: Project, photos: list[Path]) -> None:
    heif = pytest.importorskip("pillow_heif", reason="needs the package pillow-heif")
    files = [photo.with_suffix(".HEIC") for photo in photos]
    for photo, file in zip(photos, files, strict=True):
        heif.from_pillow(Image.open(photo)).save(file, quality=95)
    with serving(project.root, FAKE_MESHCLI) as address:
        watched = opened(browser, address)
        watched.page.set_input_files("input[type=file]", [str(file) for file in files])
        ended(watched.page, "cutting the photos out")
        watched.page.locator(".photo img").nth(2).wait_for()
        watched.page.wait_for_function(
            "[...document.querySelectorAll('.photo img')].every(each => each.naturalWidth > 0)"
        )
        assert_quiet(watched, address)
    assert [photo.source for photo in project.load().photos] == ["1.HEIC", "2.HEIC", "3.HEIC"]


def test_a_dial_that_cannot_be_turned_stays_in_its_card(
    browser: "Browser", project: Project, photos: list[Path]
) -> None:
    assert meshcli("generate", str(project.root), str(photos[0]), "--cutouts-only").returncode == 0
    with serving(project.root, FAKE_MESHCLI) as address:
        page = opened(browser, address).page
        dial, card = page.locator(".dial"), page.locator("figure.photo")
        dial.wait_for()
        assert dial.get_attribute("aria-disabled") == "true"
        inner, outer = dial.bounding_box(), card.bounding_box()
        assert inner
        assert outer
        assert outer["x"] + outer["width"] / 3 < inner["x"]
        assert inner["x"] + inner["width"] <= outer["x"] + outer["width"]
        dial.click(force=True)
        assert page.locator(".code").first.inner_text() == f"meshcli run {project.root} --to=generate"


def test_views_are_chosen_with_the_keyboard_alone(browser: "Browser", with_views: Project) -> None:
    with serving(with_views.root, FAKE_MESHCLI) as address:
        page = opened(browser, address).page
        page.get_by_role("tab", name="Photos").focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        page.locator(".view").first.wait_for()
        for _ in range(30):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.className") == "view-grid":
                break
        page.keyboard.press("n")
        page.wait_for_function("!document.querySelector('.view-grid .chosen')")
        page.keyboard.press("Enter")
        page.locator(".warning", has_text="nothing is chosen").wait_for()
        for keys in (["Home", " "], ["ArrowRight", "ArrowRight", " "], ["End", " "]):
            for key in keys:
                page.keyboard.press(key)
        page.locator(".code", has_text="--views=a0,a2,c5").wait_for()
        page.keyboard.press("Enter")
        page.locator(".summary", has_text="In use, chosen by hand").wait_for()
    selection = with_views.load().selection
    assert selection
    assert selection.names == ("a0", "a2", "c5")


def test_a_job_goes_on_without_a_page_and_is_cancelled_from_another(
    browser: "Browser", with_views: Project, tmp_path: Path
) -> None:
    note = tmp_path / "note"
    with serving(with_views.root, FAKE_MESHCLI, trouble=f"fit:sleep={note}") as address:
        first = opened(browser, address, tab="Mesh").page
        first.get_by_role("button", name="Build the mesh").click()
        until(lambda: note.exists() and note.read_text())
        sleeper = int(note.read_text())
        first.context.close()
        assert alive(sleeper)
        watched = opened(browser, address, tab="Mesh")
        second = watched.page
        second.locator(".work", has_text="building the mesh").wait_for()
        assert second.get_by_role("button", name="Build the mesh").is_disabled()
        second.reload()
        second.locator(".work", has_text="building the mesh").wait_for()
        second.get_by_role("button", name="Cancel").click()
        second.locator(".work", has_text="building the mesh: cancelled after").wait_for()
        until(lambda: not alive(sleeper))
        assert_quiet(watched, address)
    assert read_status(with_views).stages[2].state == "interrupted"


def test_the_way_of_cutting_out_is_chosen(browser: "Browser", project: Project, photos: list[Path]) -> None:
    def choose(page: "Page", way: str) -> None:
        page.get_by_role("combobox", name="Cut out by").click()
        page.get_by_role("option", name=way).click()

    with serving(project.root, FAKE_MESHCLI) as address:
        page = opened(browser, address).page
        choose(page, "a plain background")
        page.locator(".hint", has_text="needs one smooth colour all around the object").wait_for()
        bad = photos[0].with_name("text.jpg")
        bad.write_text("no picture")
        page.set_input_files("input[type=file]", [str(photos[0]), str(bad), str(photos[1])])
        page.locator(".work", has_text="cutting the photos out: text.jpg is not a picture").wait_for()
        page.locator(".photo").nth(1).wait_for()
        assert settings_of(project)["photo.cutout"] == "plain"
        page.locator(".code", has_text="--cutout=plain").first.wait_for()
        choose(page, "the file's own transparency")
        page.locator(".code", has_text="--cutout=alpha").first.wait_for()
        page.get_by_role("slider", name="azimuth of photo a").press("Home")
        page.get_by_role("slider", name="azimuth of photo b").press("ArrowRight")
        page.get_by_role("button", name="Make views").click()
        ended(page, "making views")
        assert settings_of(project)["photo.cutout"] == "alpha"


def settings_of(project: Project) -> dict[str, object]:
    """The settings on record that differ from the defaults."""
    return dict(project.load().stages["generate"].settings)


def test_guesses_are_shown_and_can_be_gone_on_with(
    browser: "Browser", project: Project, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MESHCLI_TEST_CHANCE", "0.3")
    with serving(project.root, FAKE_MESHCLI) as address:
        watched = opened(browser, address)
        page = watched.page
        page.set_input_files("input[type=file]", [str(photo) for photo in photos])
        ended(page, "cutting the photos out")
        page.get_by_role("button", name="Make views").click()
        page.locator(".warning", has_text="The sides of some photos are guesses").wait_for()
        page.locator(".guesses img").wait_for()
        assert page.get_by_role("slider", name="azimuth of photo b").get_attribute("aria-valuenow") == "40"
        page.get_by_role("button", name="Go on with the guesses").click()
        ended(page, "making views")
        page.locator(".warning", has_text="The sides of some photos are guesses").wait_for(state="hidden")
        assert_quiet(watched, address)
    assert read_status(project).stages[0].state == "done"


def test_the_mesh_is_drawn_among_its_cameras(
    browser: "Browser", project: Project, photos: list[Path], engine_calls: dict[str, int], templates: ProjectTemplates
) -> None:
    templates.make("finished", project.root, lambda: finish(project, photos))
    with serving(project.root, FAKE_MESHCLI) as address:
        watched = opened(browser, address, tab="Mesh")
        page = watched.page
        frame = page.frame_locator("iframe")
        frame.locator("#stage[data-loaded=true]").wait_for()
        page.wait_for_timeout(1000)
        picture = Image.open(io.BytesIO(frame.locator("#stage canvas").screenshot())).convert("RGB")
        assert len(picture.getcolors(1 << 20) or []) > 50
        frame.locator("[data-camera=b]").click()
        frame.locator("#through", has_text="Through the camera of photo b").wait_for()
        files = page.locator(".downloads a").all_inner_texts()
        assert files == ["mesh.glb", "mesh.obj", "mesh.mtl", "mesh.png", "colours.obj", "turntable.mp4"]
        assert_quiet(watched, address)


@pytest.mark.parametrize("content", [b"gl", b"no mesh at all", b"glTF, once", bytes(20000)])
def test_a_mesh_that_is_none_is_said(
    browser: "Browser", project: Project, photos: list[Path], engine_calls: dict[str, int], templates: ProjectTemplates,
    content: bytes,
) -> None:  # fmt: skip
    templates.make("finished", project.root, lambda: finish(project, photos))
    project.path("mesh/mesh.glb").write_bytes(content)
    with serving(project.root, FAKE_MESHCLI) as address:
        watched = opened(browser, address, tab="Mesh")
        said = watched.page.frame_locator("iframe").locator("#stage-message", has_text="The mesh cannot be shown: ")
        said.wait_for()
        assert_quiet(watched, address)


def test_two_pages_and_a_terminal_see_one_project(browser: "Browser", with_views: Project) -> None:
    with serving(with_views.root, FAKE_MESHCLI) as address:
        one, other = (opened(browser, address, tab="Views").page for _ in range(2))
        other.locator(".view").nth(7).wait_for()
        one.get_by_role("button", name="None").click()
        other.wait_for_function("!document.querySelector('.view-grid .chosen')")
        other.locator(".view").nth(7).click()
        one.locator(".view-grid .chosen", has_text="7 · b1").wait_for()
        one.get_by_role("button", name="Undo").click()
        one.get_by_role("button", name="Undo").click()
        assert meshcli("select", str(with_views.root), "--views=a0,b1,c2").returncode == 0
        for page in (one, other):
            page.locator(".summary", has_text="3 of 18 views chosen").wait_for()
            page.locator(".summary", has_text="In use, chosen with a flag").wait_for()


def test_the_server_ends_its_work_with_it(browser: "Browser", with_views: Project, tmp_path: Path) -> None:
    note = tmp_path / "note"
    server, address = start(with_views.root, FAKE_MESHCLI, trouble=f"fit:sleep={note}")
    try:
        opened(browser, address, tab="Mesh").page.get_by_role("button", name="Build the mesh").click()
        until(lambda: note.exists() and note.read_text())
    finally:
        code, said = stop(server, signal.SIGINT)
    assert code == 130
    assert said == "stopped; what was at work goes on from what is finished when it is started again\n"
    until(lambda: not alive(int(note.read_text())))
    assert read_status(with_views).stages[2].state == "interrupted"


HOSTILE_NAME = "\"><img src=x onerror=window.ran=1>#?%2e'&"
HOSTILE_PAGE = """<!DOCTYPE html><title>x</title><script>
const target = TARGET, found = {};
const tried = (name, promise) => promise.then((value) => { found[name] = value; }, () => { found[name] = "nothing"; });
const picture = new Promise((resolve, reject) => {
  const image = new Image();
  image.onload = () => resolve(`${image.width} pixels`);
  image.onerror = reject;
  image.src = `${target}/project/picture/photos/a.png`;
});
const socket = new Promise((resolve, reject) => {
  const opened = new WebSocket(`${target.replace("http", "ws")}/_nicegui_ws/socket.io/?EIO=4&transport=websocket`);
  opened.onmessage = () => resolve("messages");
  opened.onerror = opened.onclose = reject;
});
const ask = (path, options) => fetch(target + path, { credentials: "include", ...options });
const read = (path, options) => ask(path, options).then((answer) => answer.text());
const blind = ask("/project/mask/a", { method: "POST", mode: "no-cors", body: "x" });
Promise.all([
  tried("page", read("/")), tried("mesh", read("/project/mesh")), tried("picture", picture), tried("socket", socket),
  tried("mask", read("/project/mask/a", { method: "POST", body: "x" })), tried("blind", blind.then(() => "nothing")),
]).then(() => { document.title = JSON.stringify(found); });
</script>"""


def test_names_in_a_project_of_somebody_elses_are_never_read_as_html(browser: "Browser", finished: Project) -> None:
    def renamed(file: str) -> str:
        folder, _, name = file.partition("/")
        new = f"{folder}/{HOSTILE_NAME}{name}"
        if (finished.root / file).exists():
            (finished.root / file).rename(finished.root / new)
        return new

    manifest = finished.load()
    photos = [
        replace(photo, file=renamed(photo.file), source=HOSTILE_NAME, method=HOSTILE_NAME) for photo in manifest.photos
    ]
    views = [replace(view, file=renamed(view.file)) for view in manifest.views]
    record = manifest.stages["reconstruct"]
    more = finished.output("mesh/mesh.obj")
    stages = {
        **manifest.stages,
        "reconstruct": replace(record, outputs=(*record.outputs, replace(more, file=renamed(more.file)))),
    }
    finished.save(replace(manifest, photos=tuple(photos), views=tuple(views), stages=stages))
    with serving(finished.root, FAKE_MESHCLI) as address:
        watched = opened(browser, address)
        page = watched.page
        page.wait_for_function("[...document.querySelectorAll('.photo img, .dial image')].length === 6")
        page.wait_for_function("[...document.querySelectorAll('.photo img')].every((each) => each.naturalWidth > 0)")
        for tab in TABS:
            page.get_by_role("tab", name=tab).click()
            page.wait_for_timeout(300)
        page.get_by_role("tab", name="Mesh").click()
        link = page.locator(".downloads a", has_text=HOSTILE_NAME)
        with page.expect_download() as download:
            link.click()
        assert Path(download.value.path()).read_bytes() == (finished.root / renamed("mesh/mesh.obj")).read_bytes()
        assert page.evaluate("window.ran") is None
        assert_quiet(watched, address)


def test_a_hostile_page_gets_nothing(browser: "Browser", with_views: Project) -> None:
    """On another port of this machine, whose requests carry our cookie: SameSite alone does not keep it away."""
    with serving(with_views.root, FAKE_MESHCLI) as address, hostile(address) as elsewhere:
        context = browser.new_context()
        page = context.new_page()
        page.goto(address)
        page.locator(".photo").first.wait_for()
        page = context.new_page()
        page.goto(elsewhere)
        page.wait_for_function("document.title !== 'x'")
        found = json.loads(page.title())
        assert set(found.values()) == {"nothing"}
        assert len(found) == 6
        page.set_content(f'<iframe src="{address.partition("?")[0]}"></iframe>')
        page.wait_for_timeout(1000)
        assert "photos" not in "".join(frame.content() for frame in page.frames[1:])
    assert read_status(with_views).stages[0].state == "done"


class _Page(BaseHTTPRequestHandler):
    text = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(self.text)

    def log_message(self, format: str, *args: object) -> None:
        pass


class hostile:  # noqa: N801 (a context manager)
    """A page of somebody else's on another port."""

    def __init__(self, address: str) -> None:
        target = f"http://{urlsplit(address).netloc}"
        handler = type("Handler", (_Page,), {"text": HOSTILE_PAGE.replace("TARGET", json.dumps(target)).encode()})
        self.server = HTTPServer(("127.0.0.1", 0), handler)

    def __enter__(self) -> str:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self.server.server_port}/"

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


# Of an element's text with what is behind it, as WCAG 2 has it.
CONTRAST = """(element) => {
  const light = (colour) => {
    const parts = colour.match(/[\\d.]+/g).slice(0, 3).map((each) => each / 255);
    const linear = parts.map((each) => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4);
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  let behind = element;
  while (/, 0\\)$/.test(getComputedStyle(behind).backgroundColor)) behind = behind.parentElement;
  const pair = [getComputedStyle(element).color, getComputedStyle(behind).backgroundColor].map(light);
  return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
}"""


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_is_not_blank(
    browser: "Browser", with_views: Project, size: tuple[int, int], scheme: str, tmp_path: Path
) -> None:
    with serving(with_views.root, FAKE_MESHCLI) as address:
        watched = open_page(browser, address, size, scheme)  # type: ignore[arg-type]
        page = watched.page
        page.locator(".photo img").last.wait_for()
        for text in ("Mend the mask", "Make views"):
            assert page.get_by_role("button", name=text).first.evaluate(CONTRAST) > 4.5  # WCAG 2, level AA
        for tab in TABS:
            page.get_by_role("tab", name=tab).click()
            page.wait_for_timeout(600)
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0, f"{tab} is {wide} pixels too wide"
            shot = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("L")).astype(int)
            assert shot.std() > 3
            assert (np.median(shot) > 128) == (scheme == "light")
        assert_quiet(watched, address)


def test_a_password_opens_the_page(browser: "Browser", with_views: Project) -> None:
    with serving(with_views.root, FAKE_MESHCLI, "--password", "open sesame") as address:
        assert "token" not in address
        page = open_page(browser, address).page
        page.get_by_label("Password").fill("open sesame")
        page.keyboard.press("Enter")
        page.locator(".photo").first.wait_for()
