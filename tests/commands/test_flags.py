"""Every flag is honoured or refused: none is passed over in silence."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from meshcli.commands import cli
from meshcli.commands.lazy_commands import load_command
from meshcli.project.project import Project

Call = Callable[..., tuple[int, str]]
PHOTOS = ["1.png", "2.png", "3.png", "--azimuth=0,40,-50"]
SMALL = ["--set=texture.size=64", "--set=render.size=64", "--set=render.frames=3"]
PAINTING = ["--steps=30", "--guidance=3", "--unet=original", "--vram=low", "--attention=sdpa", "--batch=2",
            "--checkpoint-every=0", "--preview=5"]  # fmt: skip
NETWORK = ["--device=cuda", "--device=mps", "--dtype=bf16", "--weights=."]


@pytest.fixture
def meshcli(command_line: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    """The command line on a machine without weights, with children in this process: exit code and stderr."""
    monkeypatch.setattr("meshcli.stages.preflight.lacking", lambda *_: "weights")
    monkeypatch.setattr("meshcli.stages.run.run_child", lambda line, capture=False: (cli.main(line), "{}"))
    monkeypatch.setenv("MESHCLI_CKPTS", str(tmp_path / "nowhere"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "nowhere"))

    def call(*words: str) -> tuple[int, str]:
        code, _, err = command_line(*words)
        return code, err

    return call


@pytest.fixture
def selected(meshcli: Call, tmp_path_factory: pytest.TempPathFactory) -> Call:
    """With a project whose views are chosen; made once."""
    made = tmp_path_factory.getbasetemp() / "selected"
    if not made.exists():
        assert meshcli("generate", "desk", *PHOTOS)[0] == 0
        assert meshcli("select", "desk", "--auto")[0] == 0
        shutil.copytree("desk", made)
    else:
        shutil.copytree(made, "desk")
    return meshcli


def refused(result: tuple[int, str], *says: str) -> None:
    code, said = result
    assert code == 2, said
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    for word in says:
        assert word in said


@pytest.mark.parametrize(("engine", "found"), [("sculpt", "sculpt"), ("auto", "sculpt"), ("photos", "photos")])
def test_flags_that_only_generating_networks_use(engine: str, found: str, meshcli: Call) -> None:
    for flag in [*PAINTING, *NETWORK]:
        refused(meshcli("generate", "desk", *PHOTOS, f"--engine={engine}", flag), flag, f"the engine is {found} (")
        assert not Path("desk").exists()


@pytest.mark.parametrize("engine", ["sculpt", "photos"])
def test_flags_that_every_generator_uses(engine: str, meshcli: Call) -> None:
    flags = ["--device=cpu", "--dtype=auto", "--seed=3", "--offline", "--no-rembg", "--max-pixels=999999"]
    assert meshcli("generate", "desk", *PHOTOS, f"--engine={engine}", *flags)[0] == 0


@pytest.mark.parametrize("engine", ["fit", "auto"])
def test_flags_that_only_reconstruction_networks_use(engine: str, selected: Call) -> None:
    for flag in ["--grid=64", *NETWORK]:
        says = f"{flag} is for", "the networks; the engine is fit ("
        refused(selected("reconstruct", "desk", f"--engine={engine}", flag), *says)
    assert "reconstruct" not in Project("desk").load().stages


def test_settings_of_another_engine_stay_silent(selected: Call, tmp_path: Path) -> None:
    """They may come from a file that is for several machines, or from what an earlier run was told."""
    mine = tmp_path / "mine.yaml"
    mine.write_text("lrm: {grid: 64, parts: largest, dtype: bf16}\nzero123plus: {steps: 30}\n")
    more = [f"--config={mine}", "--set=lrm.threshold=3"]
    assert selected("generate", "desk", *PHOTOS, *more)[0] == 0
    assert selected("reconstruct", "desk", "--engine=fit", *more, *SMALL)[0] == 0


def test_fit_leaves_the_texture_out(selected: Call) -> None:
    assert selected("reconstruct", "desk", "--no-texture", *SMALL)[0] == 0
    record = Project("desk").load().stages["reconstruct"]
    assert {output.file for output in record.outputs} == {"mesh/mesh.glb", "mesh/mesh.obj"}
    assert record.options["fit"]["texture"] is False
    assert selected("reconstruct", "desk", "--set=fit.texture=true", *SMALL)[0] == 0
    files = {output.file for output in Project("desk").load().stages["reconstruct"].outputs}
    assert "mesh/mesh.png" in files
    refused(selected("reconstruct", "desk", "--no-texture", "--texture-size=64"), "exclude each other")
    refused(
        selected("reconstruct", "desk", "--texture-size=64", "--set=fit.texture=false"),
        "--texture-size=64: there is no texture, for fit.texture is false",
    )


def test_fit_is_told_which_parts_are_wanted(selected: Call) -> None:
    for parts in ("all", "large", "largest"):
        assert selected("reconstruct", "desk", f"--parts={parts}", *SMALL)[0] == 0
        assert Project("desk").load().stages["reconstruct"].options["fit"]["parts"] == parts


def test_the_record_tells_how_many_faces_were_asked_for(selected: Call) -> None:
    code, said = selected("reconstruct", "desk", "--faces=1000000", *SMALL)
    facts = Project("desk").load().stages["reconstruct"].facts
    assert (code, facts["faces_asked"], facts["faces"]) == (0, 1000000, 12)
    assert "1000000 faces were requested, and the surface has 12" in said
    code, said = selected("reconstruct", "desk", "--faces=12", *SMALL)
    assert "requested" not in said


def test_generating_does_not_depend_on_mesh_flags(selected: Call) -> None:
    _, said = selected("generate", "desk", "--set=fit.parts=all", "--set=fit.texture=false")
    assert "unchanged" in said


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--list", "--views=0,1"], "--list only prints"),
        (["--list", "--auto"], "--list only prints"),
        (["--list", "--include-photos"], "--list only prints"),
        (["--list", "--force"], "--list only prints"),
        (["--views=0", "--auto"], "exclude each other"),
    ],
)
def test_select(words: list[str], says: str, selected: Call) -> None:
    refused(selected("select", "desk", *words), says)


@pytest.mark.parametrize(
    "words",
    [["--add"], ["--up=z"], ["--focal=35"], ["--sensor=full"], ["--rig-version=1.1"], ["--from-views=."],
     ["--from-sheet=1.png", "--fov=30"], ["--from-sheet=1.png", "--elevation=3"],
     ["--from-sheet=1.png", "--rig=rig.json"], ["--from-sheet=1.png", "2.png"]],
    ids=" ".join,
)  # fmt: skip
def test_flags_that_would_have_no_effect(words: list[str], meshcli: Call) -> None:
    refused(meshcli("generate", "desk", *words))


def test_the_processor_shows_meshes(selected: Call) -> None:
    assert selected("reconstruct", "desk", *SMALL)[0] == 0
    refused(selected("render", "desk", "--device=mps", *SMALL), "--device mps is for --source field")
    for flag in ("--source=field", "--from=field"):
        refused(selected("render", "desk", flag, *SMALL), "--source field needs a radiance field")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--from=select", "--steps=30"], "--steps=30 is for generate, which --from select --to render leaves out"),
        (["--from=select", "--no-rembg"], "--no-rembg is for generate"),
        (["--from=select", "--max-pixels=9"], "--max-pixels=9 is for generate"),
        (["--from=select", "--generator=sculpt"], "--generator=sculpt is for generate"),
        (["--to=select", "--reconstructor=fit"], "--reconstructor=fit is for reconstruct"),
        (["--to=select", "--faces=9"], "--faces=9 is for reconstruct"),
        (["--to=select", "--texture-size=64"], "--texture-size=64 is for reconstruct"),
        (["--to=reconstruct", "--frames=9"], "--frames=9 is for render"),
        (["--to=reconstruct", "--size=64"], "--size=64 is for render"),
        (["--to=reconstruct", "--fps=9"], "--fps=9 is for render"),
        (["--from=select", "--to=select", "--device=cuda"], "neither generate nor reconstruct is to run"),
        (["--steps=30"], "the engine is sculpt (auto"),
        (["--unet=original"], "the engine is sculpt (auto"),
        (["--vram=low"], "the engine is sculpt (auto"),
        *[([flag], "generate takes sculpt (auto: as before) and reconstruct takes fit (auto: it needs no weights")
          for flag in NETWORK],
        (["--generator=photos", "--reconstructor=fit", "--dtype=fp16"],
         "generate takes photos (named) and reconstruct takes fit (named)"),
    ],
)  # fmt: skip
def test_run(words: list[str], says: str, selected: Call) -> None:
    before = Path("desk/manifest.json").read_bytes()
    refused(selected("run", "desk", *words), says)
    assert Path("desk/manifest.json").read_bytes() == before


def test_run_passes_shared_flags_to_the_stages_that_use_them(selected: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[list[str]] = []

    def child(line: list[str], capture: bool = False) -> tuple[int, str]:
        lines.append(line)
        return 0, "{}"

    monkeypatch.setattr("meshcli.stages.run.run_child", child)
    shared = ["--device=cuda", "--dtype=fp16", "--weights=."]

    def handed(*words: str) -> dict[str, set[str]]:
        lines.clear()
        assert selected("run", "desk", "--views=0-5", *words)[0] == 0
        known = [*shared, "--device=cpu", "--offline"]
        return {line[0]: set(known) & set(line) for line in lines}

    assert handed("--generator=sculpt", "--reconstructor=instant-mesh-large", *shared) == {
        "generate": set(), "select": set(), "reconstruct": set(shared), "render": set(),
    }  # fmt: skip
    assert handed("--generator=zero123plus", "--reconstructor=fit", *shared)["generate"] == set(shared)
    everywhere = handed("--device=cpu", "--offline")
    assert everywhere["generate"] == everywhere["reconstruct"] == {"--device=cpu", "--offline"}


def test_every_flag_for_an_engine_is_one_of_the_commands() -> None:
    """A flag that is renamed must be renamed where engines refuse it, too."""
    from meshcli.engines import ENGINE_FLAGS, Generator, Reconstructor

    options = {
        option for name in ("generate", "reconstruct") for each in load_command(name).params for option in each.opts
    }
    assert set(ENGINE_FLAGS) <= options
    known = {*Generator.__args__, *Reconstructor.__args__}  # type: ignore[attr-defined]
    assert {engine for engines in ENGINE_FLAGS.values() for engine in engines} <= known


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["render", "desk", "--passes=clay,normal"], "--passes: normal is no pass (did you mean normals?)"),
        (["export", "desk", "--to=.GLB,uzd"], "--to: uzd is no format (did you mean usd?)"),
        (["export", "desk", "--for=blendr"], "--for: blendr is no program (did you mean blender?)"),
        (["run", "desk", "1.png", "--export=gbl"], "--export: gbl is no format (did you mean glb?)"),
    ],
)
def test_a_word_that_a_list_does_not_have_is_named_with_its_flag(selected: Call, words: list[str], says: str) -> None:
    refused(selected(*words), says)
