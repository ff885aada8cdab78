"""The command line as a user meets it: exit codes, what goes where, what is loaded."""

import json
import os
import pty
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.cli_processes import FAKE_MESHCLI
from helpers.project_templates import ProjectTemplates
from meshcli.commands import cli
from meshcli.commands.lazy_commands import load_command
from meshcli.commands.manual import manual
from meshcli.project.manifest import Manifest, Photo
from meshcli.project.project import Project
from meshcli.stages.photo_azimuths import azimuth_lines
from meshcli.views.camera import orbit
from meshcli.views.photo_cameras import AlignedPose, CameraPrior

QUICK = ["--set", "render.size=64", "--set", "render.frames=3", "--set", "texture.size=64"]


@pytest.fixture(autouse=True)
def _at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("meshcli.commands.cli.listen_to_signals", lambda: None)
    for name in ("NO_COLOR", "FORCE_COLOR", "MESHCLI_TEST"):
        monkeypatch.delenv(name, raising=False)


class Result:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def meshcli(capsys: pytest.CaptureFixture[str], engine_calls: dict[str, int], photos: list[Path]):  # type: ignore[no-untyped-def]
    def call(*words: str) -> Result:
        capsys.readouterr()
        code = cli.main(words)
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return call


@pytest.fixture
def painted(meshcli, templates: ProjectTemplates):  # type: ignore[no-untyped-def]
    def paint() -> None:
        assert meshcli("generate", "desk", "1.png", "2.png", "3.png", "--azimuth", "0,40,-50").code == 0

    templates.make("painted by the command line", Path("desk"), paint)
    return meshcli


def alone(code: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


HEAVY = ("numpy", "scipy", "skimage", "PIL", "numba", "trimesh", "torch", "onnxruntime", "rembg", "omegaconf")


@pytest.mark.parametrize(
    "words",
    [["generate", "--help"], ["status", "desk"], ["generate", "desk", "no.png"], ["select", "desk"],
     ["select", "desk", "--list"],
     ["align", "desk"], ["reconstruct", "desk"], ["generate", "desk", "--engine", "sculpt", "--dry-run"],
     ["select", "desk", "--auto", "--dry-run"]],
)  # fmt: skip
def test_nothing_heavy_is_loaded_for_little(words: list[str], painted) -> None:  # type: ignore[no-untyped-def]
    code = (
        "import sys; from meshcli.commands.cli import main; code = main(sys.argv[1:]);"
        f"print(code, sorted(set({HEAVY}) & set(sys.modules)), file=sys.stderr)"
    )
    last = alone(code, *words).stderr.splitlines()[-1]
    assert last.endswith("[]"), last


@pytest.mark.parametrize("verb", ["generate", "align", "select", "reconstruct", "render", "run", "status"])
def test_help_shows_an_example(verb: str, meshcli) -> None:  # type: ignore[no-untyped-def]
    assert f"Example: meshcli {verb} desk" in meshcli(verb, "--help").out


@pytest.mark.parametrize("verb", cli.COMMANDS)
def test_the_list_of_commands_shows_the_first_sentence_of_each(verb: str) -> None:
    assert load_command(verb).help.split("\n\n")[0] == cli.COMMANDS[verb]


def test_help_shows_every_flag_in_a_panel(meshcli) -> None:  # type: ignore[no-untyped-def]
    text = meshcli("run", "--help").out
    panels = ("Arguments", "Options", "Photos and cameras", "Photo preparation", "View generation", "View selection",
              "Reconstruction", "Rendering", "Network", "Settings", "Stages", "Run", "Output")  # fmt: skip
    places = [text.index(f" {panel} \u2500") for panel in panels]
    assert places == sorted(places)
    for option in (option for each in load_command("run").params[2:] if not each.hidden for option in each.opts):
        assert option in text


@pytest.mark.parametrize(
    ("verb", "usual"),
    [
        ("run", "azimuth guess rig cutout generator views reconstructor faces config dry-run"),
        ("generate", "azimuth rig cutout add remove engine steps seed config dry-run"),
        ("reconstruct", "engine faces texture-size config dry-run"),
    ],
)
def test_help_and_the_man_page_show_the_usual_flags_first(verb: str, usual: str, meshcli) -> None:  # type: ignore[no-untyped-def]
    words = usual.split()
    text = meshcli(verb, "--help").out
    first = text[text.index(" Options \u2500") :].partition("\u2570")[0]
    assert re.findall(r"^\u2502 --([a-z-]+)", first, re.MULTILINE) == [*words, "help"]
    section = manual().replace("\\-", "-").partition(f'.SS "meshcli {verb}"')[2]
    assert re.findall(r"^\.B --([a-z-]+)", section, re.MULTILINE)[: len(words)] == words
    assert max(map(len, text.splitlines())) <= 80


def test_help_lists_the_exit_codes(meshcli) -> None:  # type: ignore[no-untyped-def]
    text = " ".join(meshcli("--help").out.split())
    for part in (
        "0 done",
        "1 a bug",
        "2 usage",
        "3 bad",
        "4 weights",
        "5 project",
        "6 uncertain",
        "75 out of memory",
        "130",
        "143",
    ):
        assert part in text


def test_the_four_verbs(painted) -> None:  # type: ignore[no-untyped-def]
    assert painted("select", "desk", "--views", "0,3,5,7,8,10").out == "desk/selection.png\n"
    assert painted("reconstruct", "desk", "--texture-size", "64").out == "desk/mesh/mesh.glb\n"
    result = painted("render", "desk", "--frames", "3", "--size", "64")
    assert result.out == "desk/renders/turntable.mp4\n"
    assert "next" not in result.err
    again = painted("select", "desk", "--views", "0,3,5,7,8,10").err
    assert re.match(r"select: unchanged since (\d{4}-\d\d-\d\d )?\d\d:\d\d, skipped", again)  # the user's own clock
    document = json.loads(painted("select", "desk", "--views", "0,3,5,7,8,10", "--json").out)
    assert document["reason"] == f"unchanged since {Project('desk').load().stages['select'].finished}"
    assert Project("desk").load().selection.by == "flag"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["align", "new"], 2, "no project yet"),
        (["generate", "new", "1.png", "2.png", "--azimuth", "0,x"], 2, "--azimuth 0,120,240"),
        (["generate", "new", "1.png", "--azimuth", "nan"], 2, "finite"),
        (["generate", "new", "1.png", "--azimuth", "0,4"], 2, "2 values for 1 photo; one per photo, in this order"),
        (["generate", "new", "4.png"], 3, "no photo 4.png"),
        (["generate", "new", "1.JPG"], 3, "no photo 1.JPG; did you mean 1.png?"),
        (["generate", "new", "1.png", "--cutout", "rembgg"], 2, "error: --cutout rembgg: it is one of auto, alpha"),
        (["generate", "new", "1.png", "0,40"], 3, "--azimuth 0,120,240"),
        (["generate", "new", "cameras.txt"], 3, "cameras.txt"),
        (["generate", "1.png", "2.png"], 2, "project directory comes first"),
        (["generate", "new"], 2, "meshcli generate new PHOTO"),
        (["generate", "new", "1.png", "--engine", "zero"], 2, "'--engine': 'zero' is not one of 'auto', "),
        (["generate", "new", "1.png", "--set", "fit.ray=4"], 2, "did you mean fit.rays?"),
        (["generate", "new", "1.png", "--config", "no.yaml"], 2, "no.yaml"),
        (["generate", "new", "1.png", "--max-pixels", "100"], 3, "--max-pixels"),
        (["generat", "new"], 2, "generate"),
        (["status", "new"], 2, "meshcli generate new PHOTO"),
        (["select", "desk"], 2, "--views"),
        (["select", "desk", "--views", "18"], 2, "0-5, 6-11, 12-17"),
        (["select", "desk", "--views", "1,1"], 2, "twice"),
        (["select", "desk", "--auto", "99"], 2, "18 views"),
        (["select", "desk", "--views", "1", "--auto"], 2, "exclude"),
        (["reconstruct", "desk"], 2, "meshcli select desk"),
        (["render", "desk"], 2, "meshcli reconstruct desk"),
        (["render", "desk", "--frames", "0"], 2, "--frames"),
        (["status", "damaged"], 5, "manifest.json"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_and_the_right_code(words: list[str], code: int, says: str, painted) -> None:  # type: ignore[no-untyped-def]
    Path("cameras.txt").write_text("no picture")
    Path("damaged").mkdir()
    Path("damaged/manifest.json").write_text("{")
    result = painted(*words)
    assert result.code == code, result.err
    assert says in result.err
    lines = [line for line in result.err.splitlines() if not line.startswith("engine ")]
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert result.out == ""
    assert json.loads(painted(*words, "--json").out)["exit_code"] == code


def test_what_looks_like_markup_is_printed_as_it_is(meshcli) -> None:  # type: ignore[no-untyped-def]
    name = "a[red]none[/].png"
    assert name in meshcli("generate", "new", name).err
    long = "very" * 60 + ".png"
    assert f"there is no photo {long}\n" in meshcli("generate", "new", long).err


ODD = ["new\nline.png", "\x1b[31mred.png", "[bold]x.png", "-dash.png", os.fsdecode(b"lat\xfcn.png")]


def test_odd_names_are_one_line_each(meshcli) -> None:  # type: ignore[no-untyped-def]
    for name in ODD:
        Path("1.png").rename(name)
        assert meshcli("generate", "desk", "--force", "--", name).code == 0
        source = Project("desk").load().active_photos[0].source
        assert source == name
        assert json.loads(meshcli("status", "desk", "--json").out)["next"]
        Path(name).rename("1.png")
    for name in ODD:
        Path(name).write_bytes(b"")
        result = meshcli("generate", "bad", "--", name)
        assert (result.code, result.err.count("\n")) == (3, 1), result.err
        assert "\x1b" not in result.err
        shown = name.encode("unicode_escape").decode() if not name.isprintable() else name
        assert result.err == f"error: {shown} is empty\n"


def test_json_with_a_name_that_is_no_utf_8(meshcli) -> None:  # type: ignore[no-untyped-def]
    directory = os.fsdecode(b"d\xfcsk")
    result = meshcli("generate", directory, "1.png", "--json")
    assert json.loads(result.out)["project"] == directory


@pytest.mark.parametrize("word", ["--auto", "--auto=6", "--auto 6", "-q --auto", "--auto -q"])
def test_auto_may_stand_alone(word: str, painted) -> None:  # type: ignore[no-untyped-def]
    assert painted("select", "desk", *word.split()).code == 0
    assert len(Project("desk").load().selection.names) == 6  # type: ignore[union-attr]
    assert painted("select", "desk", "--auto", "4").code == 0
    assert len(Project("desk").load().selection.names) == 4  # type: ignore[union-attr]


def test_a_list_for_people_and_for_scripts(painted) -> None:  # type: ignore[no-untyped-def]
    painted("select", "desk", "--views", "b2,a0")
    assert "b2" in painted("select", "desk", "--list").out
    rows = json.loads(painted("select", "desk", "--list", "--json").out)["views"]
    assert [row["number"] for row in rows] == list(range(18))
    assert {row["name"]: row["chosen"] for row in rows if row["chosen"]} == {"b2": 1, "a0": 2}
    assert rows[6]["azimuth"] == pytest.approx(70)
    # Views of one sculpted body agree with each other, however wrong it is: no score is shown.
    assert rows[6]["scores"] == {}
    assert json.loads(painted("select", "desk", "--list", "--json").out)["coverage"] is None
    table = painted("select", "desk", "--list").out
    assert "score" not in table
    assert "of all sides" not in table


def test_scores_of_a_networks_views_are_shown(painted) -> None:  # type: ignore[no-untyped-def]
    painted("select", "desk", "--views", "b2,a0")
    project = Project("desk")
    manifest = project.load()
    project.save(replace(manifest, views=tuple(replace(view, engine="zero123plus") for view in manifest.views)))
    document = json.loads(painted("select", "desk", "--list", "--json").out)
    assert document["views"][6]["scores"] == {"shape": 0.9, "whole": 1.0, "total": 0.95}
    assert 0.3 < document["coverage"] < 0.6
    table = painted("select", "desk", "--list").out
    assert "0.95" in table
    assert "of all sides" in table


def test_json_is_one_document_and_nothing_else(painted) -> None:  # type: ignore[no-untyped-def]
    result = painted("select", "desk", "--auto", "--json")
    assert json.loads(result.out)["next"] == "meshcli reconstruct desk"
    assert result.err == ""
    stages = json.loads(painted("status", "desk", "--json").out)["stages"]
    assert {name: stage["state"] for name, stage in stages.items()} == {
        "generate": "done", "select": "done", "reconstruct": "missing", "render": "missing",
    }  # fmt: skip


def test_quiet_prints_only_errors(meshcli) -> None:  # type: ignore[no-untyped-def]
    assert meshcli("generate", "desk", "1.png", "-q").err == ""
    assert meshcli("select", "desk", "--views", "88", "-q").err.startswith("error: ")


def test_verbose_prints_seconds_and_memory(painted) -> None:  # type: ignore[no-untyped-def]
    assert "peak_rss" in painted("select", "desk", "--auto", "-v").err
    for more in (["-vv"], ["-v", "-v"], ["-vvv"], ["-qvv"], ["--verbose", "--verbose"]):
        assert "Traceback" in painted("select", "desk", "--views", "99", *more).err
    for more in ([], ["-v"], ["--", "-vv"]):
        assert "Traceback" not in painted("select", "desk", "--views", "99", *more).err


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (["select", "desk", "--views", "--json"], False),  # a value
        (["generate", "new", "--", "--json"], False),  # the name of a photo
        (["status", "none", "--json"], True),
        (["status", "none", "--jsno", "--json"], True),
        (["models", "path", "no-such", "--json"], True),
        (["models", "pull", "no-such", "--json"], True),
        (["models", "pul", "--json"], True),
        (["--no-such", "status", "none", "--json"], True),
    ],
)
def test_the_parser_says_whether_json_is_asked_for(words: list[str], asked: bool, painted) -> None:  # type: ignore[no-untyped-def]
    result = painted(*words)
    assert result.code in (2, 3)
    assert (result.out != "") == asked
    if asked:
        assert json.loads(result.out)["exit_code"] == 2


def test_colour_is_a_matter_of_the_environment(painted, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    assert "\x1b" not in painted("status", "desk").out
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[" in painted("status", "desk").out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[3" not in painted("status", "desk").out


def test_an_angle_may_begin_with_a_minus(meshcli) -> None:  # type: ignore[no-untyped-def]
    assert meshcli("generate", "desk", "1.png", "2.png", "--azimuth", "-50,40", "--elevation", "10").code == 0
    assert Project("desk").load().photos[0].camera.azimuth == pytest.approx(310)


def test_a_bug_keeps_its_traceback(painted, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    painted("select", "desk", "--auto")
    process = subprocess.run(
        [*FAKE_MESHCLI, "reconstruct", "desk"], env={**os.environ, "MESHCLI_TEST": "fit:bug"}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert process.returncode == 1
    assert "ZeroDivisionError: a bug" in process.stderr


def test_a_person_at_a_plain_terminal_is_asked(painted) -> None:  # type: ignore[no-untyped-def]
    child, terminal = pty.fork()
    if child == 0:
        os.environ["TERM"] = "dumb"  # it cannot place its cursor: a question instead of the picker
        os.execv(FAKE_MESHCLI[0], [*FAKE_MESHCLI, "select", "desk"])  # noqa: S606 (our own interpreter)
    shown = _shown(terminal, "> ")
    assert "which views?" in shown
    assert "\x1b[?" not in shown  # no mouse, no other screen
    os.write(terminal, b"0,99\n")
    shown = _shown(terminal, "> ")
    assert "there is no view 99; views are 0-5, 6-11, 12-17" in shown
    os.write(terminal, b"b2 0-1\n")
    _shown(terminal, "next:")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    os.close(terminal)
    selection = Project("desk").load().selection
    assert selection is not None
    assert (selection.names, selection.by) == (("b2", "a0", "a1"), "person")


def _shown(terminal: int, last: str) -> str:
    """What a terminal shows until these characters come."""
    text = b""
    while last.encode() not in text:
        text += os.read(terminal, 4096)
    return text.decode()


def test_output_that_cannot_be_written_is_one_line(painted) -> None:  # type: ignore[no-untyped-def]
    with Path("/dev/full").open("w") as full:
        line = [*FAKE_MESHCLI, "status", "desk"]
        done = subprocess.run(line, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 75
    assert done.stderr.splitlines()[0].startswith("error: the disk of the output is full")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["generate", "new", "1.png", "--from-sheet", "2.png"], 2, "exclude each other"),
        (["generate", "new", "1.png", "--rig-version", "1.1"], 2, "--from-sheet"),
        (["generate", "desk", "1.png", "--remove", "b"], 2, "add --add to append"),
        (["generate", "desk", "--remove", "b,x"], 2, "--remove x: desk has no photo of that letter"),
        (["generate", "desk", "--remove=a", "--remove=z"], 2, "--remove z: desk has no photo of that letter"),
        (["generate", "new", "--from-views", "."], 2, "--rig FILE"),
        (["generate", "new", "1.png", "--up", "y"], 2, "--rig"),
        (["generate", "new", "1.png", "--rig", "no.json"], 3, "no.json"),
        (["generate", "new", "1.png", "--rig", "no.json", "--up", "q"], 2, "--up q: write one of x, y, z, -x, -y, -z"),
        (["generate", "new", "1.png", "--focal", "50", "--sensor", "big"], 2, "--sensor big"),
        (["generate", "new", "--from-sheet", "no.png"], 3, "no photo no.png"),
        (["generate", "new", "--from-sheet", "1.png"], 3, "not six square views"),
        (["select", "desk", "--auto", "--include-photos"], 2, "no photo has a known azimuth"),
    ],
)  # fmt: skip
def test_mistakes_about_cameras_and_ready_views(words: list[str], code: int, says: str, painted) -> None:  # type: ignore[no-untyped-def]
    result = painted(*words)
    assert (result.code, result.out) == (code, "")
    assert says in result.err


@pytest.mark.slow
def test_ready_sheets_on_the_command_line(meshcli) -> None:  # type: ignore[no-untyped-def]
    sheet = np.full((960, 640, 3), 250, np.uint8)
    for row, column in ((row, column) for row in range(3) for column in range(2)):
        sheet[row * 320 + 80 : row * 320 + 200, column * 320 + 90 : column * 320 + 220 + 9 * row] = 60
    Image.fromarray(sheet).save("sheet.png")
    line = ["run", "desk", "--from-sheet", "sheet.png", "--azimuth", "30", *QUICK]
    process = subprocess.run([*FAKE_MESHCLI, *line], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    manifest = Project("desk").load()
    assert [round(view.camera.azimuth) for view in manifest.views] == [60, 120, 180, 240, 300, 0]
    assert len(manifest.selection.names) == 6  # type: ignore[union-attr]


def test_ready_views_on_the_command_line(meshcli) -> None:  # type: ignore[no-untyped-def]
    Path("views").mkdir()
    for number in (1, 2):
        Image.open(f"{number}.png").save(f"views/{number}.png")
    rows = [{"file": f"{number}.png", "camera": orbit(80.0 * number, 5).to_json()} for number in (1, 2)]
    Path("rig.json").write_text(json.dumps({"meshcli": 1, "photos": rows}))
    assert meshcli("generate", "desk", "--from-views", "views", "--rig", "rig.json").code == 0
    assert [round(view.camera.azimuth) for view in Project("desk").load().views] == [80, 160]
    assert meshcli("generate", "desk").err.startswith("generate: unchanged")
    assert "no camera for 3.png" in meshcli("generate", "other", "3.png", "--rig", "rig.json").err


def test_a_foreign_rig_is_for_all_photos(meshcli) -> None:  # type: ignore[no-untyped-def]
    poses = [orbit(60.0 * number, 8).to_json()["camera_to_world"] for number in (0, 1)]
    frames = [{"file_path": f"{number}.png", "transform_matrix": pose} for number, pose in enumerate(poses, 1)]
    Path("transforms.json").write_text(json.dumps({"w": 120, "h": 90, "fl_x": 160, "frames": frames}))
    assert meshcli("generate", "desk", "1.png", "2.png", "--rig", "transforms.json").code == 0
    before = Path("desk/manifest.json").read_bytes()
    result = meshcli("generate", "desk", "3.png@200", "--add")
    assert (result.code, "hand them all in with one --rig" in result.err) == (2, True)
    assert Path("desk/manifest.json").read_bytes() == before


def test_help_says_where_azimuth_0_is_and_which_way_it_grows() -> None:
    for verb in ("generate", "run"):
        (text,) = (each.help for each in load_command(verb).params if "--azimuth" in each.opts)
        assert "0 is the object's front" in text
        assert "counter-clockwise seen from above" in text


def azimuths(result: Result) -> list[str]:
    return [line for line in result.err.splitlines() if " azimuth " in line]


def test_the_azimuth_of_each_photo_is_said_once(meshcli) -> None:  # type: ignore[no-untyped-def]
    typed = meshcli("generate", "desk", "1.png", "2.png@400", "3.png@-50.5")
    assert azimuths(typed) == [
        "a 1.png azimuth unknown",
        "b 2.png azimuth 400 (typed)",
        "c 3.png azimuth -50.5 (typed)",
    ]
    assert azimuths(meshcli("generate", "desk")) == []
    assert azimuths(meshcli("generate", "one", "1.png")) == ["a 1.png azimuth 0 (a single photo shows the front)"]
    assert meshcli("generate", "quiet", "1.png", "2.png", "--azimuth", "0,40", "-q").err == ""
    result = meshcli("generate", "json", "1.png", "2.png", "--azimuth", "0,40", "--json")
    assert (result.err, azimuths(result)) == ("", [])


def test_azimuths_of_a_rig_are_said(meshcli) -> None:  # type: ignore[no-untyped-def]
    rows = [{"file": f"{number}.png", "camera": orbit(80.0 * number, 5).to_json()} for number in (1, 2)]
    Path("rig.json").write_text(json.dumps({"meshcli": 1, "photos": rows}))
    result = meshcli("generate", "desk", "1.png", "2.png", "--rig", "rig.json")
    assert azimuths(result) == ["a 1.png azimuth 80 (rig)", "b 2.png azimuth 160 (rig)"]


def test_estimated_azimuths_are_said() -> None:
    stated = CameraPrior(aligned=AlignedPose(333.6, 1.0, 0.9))
    photos = [Photo(name, "", "", f"{name}.jpg", "", orbit(0, 0), stated=stated) for name in "ab"]
    assert azimuth_lines(Manifest(tuple(photos)))[0] == "a a.jpg azimuth 334 (estimated, chance 90%)"
    guess = CameraPrior(aligned=AlignedPose(333.6, 1.0, 0.34, (90.2,)))
    photos = [replace(photo, stated=guess) for photo in photos]
    assert azimuth_lines(Manifest(tuple(photos)))[1] == "b b.jpg azimuth 334 (guessed, chance 34%; perhaps 90)"
