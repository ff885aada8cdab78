"""Likely slips and words of other programs: one line, exit 2, and what to type here."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import meshcli as package
from meshcli.commands.flag_groups import Overrides
from meshcli.commands.flags import GeneratorFlags, ReconstructorFlags
from meshcli.engines import ENGINE_FLAGS, NETWORKS
from meshcli.project.project import Project

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def meshcli(command_line: Call) -> Call:
    """The command line beside the photos and a folder of pictures."""
    Path("pictures").mkdir()
    shutil.copy("3.png", "pictures/3.png")
    return command_line


def refused(result: tuple[int, str, str], *says: str) -> None:
    code, out, err = result
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert err.startswith("error: ")
    for words in says:
        assert words in err


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("generate 1.png", "1.png is a file; the project directory comes first: `meshcli generate DIR 1.png`"),
        ("generate 1.png 2.png", "`meshcli generate DIR 1.png 2.png`"),
        ("run 1.png 2.png --azimuth 0,40", "`meshcli run DIR 1.png 2.png`"),
        ("run new.png", "new.png is the name of a picture; the project directory comes first"),
        ("run pictures", "pictures is a folder of pictures; the project directory comes first: "
                         "`meshcli run DIR pictures`"),
        ("run pictures --dry-run", "`meshcli run DIR pictures`"),
        ("run settings.yaml 1.png", "`meshcli run DIR 1.png --config settings.yaml`"),
        *[(f"{command} 1.png", "1.png is a file; the project directory comes first: `meshcli run DIR 1.png`")
          for command in ("select", "reconstruct", "render", "align", "status")],
        ("select 1.png 2.png", "1.png is a file; the project directory comes first: `meshcli run DIR 1.png 2.png`"),
        ("render new.png 2.png --frames 3", "`meshcli run DIR new.png 2.png`"),
        ("status pictures 1.png", "`meshcli run DIR pictures 1.png`"),
        ("align desk 1.png 2.png", "align takes no photos; hand them in with `meshcli generate desk 1.png 2.png`"),
        ("select desk b0 b1", "unexpected extra argument"),
        ("status pictures", "pictures is a folder of pictures; the project directory comes first"),
        ("desk 1.png", "there is no command desk; to make a mesh of photos, write `meshcli run desk 1.png`"),
        ("desk 1.png@40 --azimuth 0", "`meshcli run desk 1.png@40 --azimuth 0`"),
        ("desk pictures", "`meshcli run desk pictures`"),
        ("1.png 2.png", "`meshcli run DIR 1.png 2.png`"),
        ("pictures", "`meshcli run DIR pictures`"),
        ("run new", "new has no photos; hand some in: `meshcli run new PHOTO...`"),
        ("run desk 1.png --reconstructor instantmesh", "did you mean instant-mesh-large?"),
        ("run desk 1.png --reconstructor InstantNeRF", "did you mean instant-nerf-large?"),
        ("run desk 1.png --reconstructor mesh-base", "did you mean instant-mesh-base?"),
        ("run desk 1.png --generator zero123++", "did you mean zero123plus?"),
        ("generate desk 1.png --engine sculptor", "did you mean sculpt?"),
        ("run desk 1.png --to rendering", "did you mean render?"),
        ("generat desk 1.png", "did you mean `meshcli generate`?"),
        ("models pulll u2netp", "did you mean `meshcli models pull`?"),
        ("frobnicate", "there are generate, align, select"),
    ],
)  # fmt: skip
def test_a_directory_that_was_forgotten(line: str, says: str, meshcli: Call) -> None:
    Path("settings.yaml").write_text("{}")
    before = sorted(Path().iterdir())
    refused(meshcli(*line.split()), says)
    assert sorted(Path().iterdir()) == before


def test_a_project_may_have_the_name_of_a_picture_or_of_a_word(meshcli: Call) -> None:
    for name in ("new.png", "help", "version", "pictures.d"):
        assert meshcli("generate", name, "1.png")[0] == 0
        assert meshcli("generate", name)[0] == 0
        assert meshcli("status", name)[0] == 0
    refused(meshcli("new.png"), "`meshcli run new.png`")


def test_a_project_in_a_folder_of_pictures_is_gone_on_with(meshcli: Call) -> None:
    assert meshcli("generate", "pictures", "pictures/3.png")[0] == 0
    assert meshcli("generate", "pictures")[0] == 0


def test_an_empty_directory_is_no_folder_of_pictures(meshcli: Call) -> None:
    Path("empty").mkdir()
    refused(meshcli("generate", "empty"), "empty has no photos; hand some in: `meshcli generate empty PHOTO...`")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("run desk 1.png --engine fit", "write --reconstructor fit"),
        ("run desk 1.png --engine=instant-mesh-large", "write --reconstructor instant-mesh-large"),
        ("run desk 1.png --engine zero123plus", "write --generator zero123plus"),
        ("run desk 1.png --engine auto", "--generator for the views and --reconstructor for the mesh"),
        ("run desk 1.png --engine", "--generator for the views and --reconstructor for the mesh"),
        ("generate desk --generator sculpt", "did you mean --engine?"),
        ("reconstruct desk --reconstructor fit", "did you mean --engine?"),
        ("run desk 1.png 2.png --azimuth 0 -138", "several values are one word, with commas: --azimuth 0,74,-138"),
        ("run desk 1.png --diffusion_steps 30", "run has no --diffusion_steps: did you mean --steps?"),
        ("generate desk 1.png --diffusion_steps=30", "did you mean --steps?"),
        ("reconstruct desk --diffusion_steps 30", "--steps is a flag of generate and run"),
        ("run desk 1.png --save_video", "always write renders/turntable.mp4"),
        ("run desk 1.png --output_path out", "everything is written to DIR"),
        ("run desk 1.png -o out", "everything is written to DIR"),
        ("run desk 1.png --export_texmap", "textured by default; `meshcli reconstruct DIR --no-texture`"),
        ("run desk 1.png --no_rembg=1", "did you mean --no-rembg?"),
        ("render desk --no_rembg", "--no-rembg is a flag of generate and run"),
        ("reconstruct desk --scale 1.0", "every view keeps its own camera"),
        ("run desk 1.png --scale 1.0", "--scale=1.0 is for an export"),
        ("run desk 1.png --distance 4.5", "it is a flag of render"),
        ("run desk 1.png --view 4", "--views takes the numbers or names of views"),
        ("select desk --seed 42", "select has no --seed: it is a flag of generate, align, reconstruct and run"),
        ("generate desk 1.png --views 0", "generate has no --views: it is a flag of select and run"),
        ("run desk 1.png --azimuths 0", "did you mean --azimuth?"),
        ("run desk 1.png --elevations 0", "did you mean --elevation?"),
        ("run desk 1.png --fovs 40", "did you mean --fov?"),
        ("render desk --frame 40", "did you mean --frames?"),
        ("run desk --photos 1.png", "photos follow DIR without a flag"),
        ("run desk --photo 1.png", "photos follow DIR without a flag"),
        ("run desk --images 1.png", "photos follow DIR without a flag"),
        ("run desk 1.png --azimth 0", "did you mean --azimuth?"),
        ("models list --offline", "it is a flag of generate, reconstruct, run and models pull"),
        ("align desk --frobnicate", "`meshcli align --help` lists all flags"),
        ("models pull --frobnicate", "`meshcli models pull --help` lists all flags"),
        ("--engine fit", "meshcli has no --engine: it is a flag of generate and reconstruct"),
        ("generate desk 1.png --focal 50mm", "like --focal 50 --sensor full"),
        ("generate desk 1.png --azimuth 45deg", "without units"),
        ("generate desk 1.png --fov 40°", "like --fov 40"),
        ("generate desk --from-sheet 1.png 2.png", "`--from-sheet 1.png --from-sheet 2.png`"),
        ("generate desk --from-sheet 1.png,2.png", "`--from-sheet 1.png --from-sheet 2.png`"),
    ],
)  # fmt: skip
def test_a_flag_that_is_called_otherwise_here(line: str, says: str, meshcli: Call) -> None:
    refused(meshcli(*line.split()), says)
    assert not Path("desk").exists()


def test_a_sheet_may_have_a_comma_in_its_name(meshcli: Call) -> None:
    shutil.copy("1.png", "1,2.png")
    code, _, err = meshcli("generate", "desk", "--from-sheet", "1,2.png")
    assert (code, "not six square views" in err) == (3, True)


def test_flags_of_run_py_that_have_the_same_name(meshcli: Call) -> None:
    assert meshcli("generate", "desk", "1.png", "--seed", "42")[0] == 0
    assert Project("desk").load().stages["generate"].options["seed"] == 42


@pytest.mark.parametrize(
    ("words", "same_as"),
    [("help", "--help"), ("help generate", "generate --help"), ("help models", "models --help"),
     ("help models pull", "models pull --help"), ("models help pull", "models pull --help"),
     ("version", "--version")],
)  # fmt: skip
def test_help_and_version_as_words(words: str, same_as: str, meshcli: Call) -> None:
    code, out, err = meshcli(*words.split())
    assert (code, err) == (0, "")
    assert re.search(package.__version__ if words == "version" else "Usage: meshcli", out)
    assert (code, out, err) == meshcli(*same_as.split())


def test_help_about_what_is_no_command(meshcli: Call) -> None:
    refused(meshcli("help", "desk"), "there is no command desk")
    refused(meshcli("version", "2"), "there is no command version")


@pytest.mark.parametrize("group", [GeneratorFlags, ReconstructorFlags])
def test_flags_of_one_engine_are_refused_by_the_others(group: type) -> None:
    """What overrides settings of one engine only stands in the table of what the other engines refuse."""
    engines = {"zero123plus": {"zero123plus"}, "lrm": set(NETWORKS), "fit": {"fit"}}
    for name, hint in group.__annotations__.items():
        settings = [each for meta in hint.__metadata__ if isinstance(meta, Overrides) for each in meta.settings]
        sections = {setting.partition(".")[0] for setting in settings}
        if sections and sections <= {"zero123plus", "lrm"}:
            users = set().union(*(engines[section] for section in sections))
            assert set(ENGINE_FLAGS[f"--{name.replace('_', '-')}"]) == users
        elif sections:
            assert sections & {"texture"} or {"fit", "lrm"} <= sections, name
