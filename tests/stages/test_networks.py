"""The reconstruct stage with a tiny network: everything but the size is real."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.paths import REPOSITORY
from helpers.project_templates import ProjectTemplates
from helpers.tiny_lrm import shapes_of, tiny_file, write_weights
from helpers.view_sheets import project_of
from meshcli.config import override
from meshcli.errors import MissingError, ResourceError, UsageError
from meshcli.export.gltf import read_glb
from meshcli.export.reading import read_mesh
from meshcli.lrm.mesh_field import MeshField
from meshcli.lrm.model import PlanesNetwork
from meshcli.project.project import Project
from meshcli.reconstructors import instantmesh
from meshcli.reconstructors.network_file import NetworkFile
from meshcli.settings import Settings
from meshcli.stages.reconstruct import reconstruct_mesh
from meshcli.stages.select import select_views
from meshcli.stages.stage_runner import Outcome, RunOptions
from meshcli.stages.status import stage_status
from meshcli.weights.kept_networks import KeptNetworks

ENGINE = "instant-mesh-large"
SMALL = override(Settings(), {"texture.size": 64, "lrm.texture": False}, "")
TEXTURE = {"lrm.texture": True}


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def read(name: str) -> NetworkFile:
        return tiny_file("nerf" if "nerf" in name else "mesh")

    monkeypatch.setattr("meshcli.stages.networks.read_network", read)
    monkeypatch.setenv("MESHCLI_CKPTS", str(tmp_path / "ckpts"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def views(tmp_path: Path, templates: ProjectTemplates) -> Project:
    def make() -> None:
        noise = np.random.default_rng(0).integers(0, 255, (60, 40, 3), np.uint8)
        Image.fromarray(noise).resize((640, 960)).save(tmp_path / "sheet.png")
        project_of(tmp_path / "sheet.png", tmp_path / "object")

    templates.make("noise", tmp_path / "object", make)
    return Project(tmp_path / "object")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return write_weights(tmp_path / "ckpts")


def build(project: Project, engine: Any = ENGINE, **changes: Any) -> tuple[Outcome, list[str]]:
    """Reconstruct with some settings, and what was said."""
    said: list[str] = []
    run_options = RunOptions(tell=said.append, device="cpu", offline=True, force=changes.pop("force", False))
    return reconstruct_mesh(
        project, settings=override(SMALL, changes, ""), engine=engine, run_options=run_options
    ), said


def facts(project: Project) -> dict[str, Any]:
    return project.load().stages["reconstruct"].facts


def forbidden(*arguments: Any) -> Any:
    raise AssertionError("the network was run")


def test_views_to_files(views: Project, weights: Path) -> None:
    outcome, _ = build(views, **TEXTURE)
    files = {output.file for output in outcome.record.outputs}
    expected = {"mesh.glb", "mesh.obj", "mesh.mtl", "mesh.png", "colours.obj", "triplane.safetensors"}
    assert files == {f"mesh/{name}" for name in expected}
    assert outcome.record.options["weights"] == f"{0:064x}"
    assert outcome.record.options["network"]["triplane_dim"] == 4
    assert facts(views)["device"] == "cpu"
    assert facts(views)["dtype"] == "fp32"
    mesh, coloured = read_glb(views.path("mesh/mesh.glb")), read_mesh(views.path("mesh/colours.obj"))
    assert len(mesh.faces) == facts(views)["faces"] > 100
    assert mesh.texture is not None
    assert coloured.colours is not None
    assert len(np.unique(coloured.colours, axis=0)) > 10
    assert stage_status(views, views.load(), "reconstruct").state == "done"
    assert build(views, **TEXTURE)[0].skipped


def artefacts(project: Project) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(project.path("mesh").iterdir())}


@pytest.mark.slow
def test_a_kept_network_is_loaded_once_and_gives_the_same_bytes(
    views: Project, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(views, force=True)
    expected, kept = artefacts(views), KeptNetworks()
    for _ in range(2):
        views.path("mesh/triplane.safetensors").unlink()
        with kept.in_use():
            build(views, force=True)
        assert artefacts(views) == expected
    assert kept.loads == 1
    write_weights(tmp_path / "ckpts", seed=1)
    with kept.in_use():
        build(views)
    assert kept.loads == 2
    assert artefacts(views) != expected

    real, calls = PlanesNetwork.predict, []

    def short_of_memory(network: PlanesNetwork, *arguments: Any) -> torch.Tensor:
        calls.append(network)
        if len(calls) == 1:
            raise MemoryError
        return real(network, *arguments)

    write_weights(tmp_path / "ckpts", seed=0)
    monkeypatch.setattr(PlanesNetwork, "predict", short_of_memory)
    with kept.in_use():
        build(views)
    assert artefacts(views) == expected  # by a network that was loaded for this once
    assert len(calls) == 2
    with kept.in_use():
        build(views, force=True)
    assert kept.loads == 3  # before memory ran out; the triplane is reused now


def test_the_texture_has_the_fields_colours(views: Project, weights: Path) -> None:
    build(views, **TEXTURE)
    planes = instantmesh.Triplanes.read(views.path("mesh/triplane.safetensors"), tiny_file().sizes, torch.device("cpu"))
    colours = instantmesh.extract_mesh(planes, replace(SMALL.lrm, grid=20), lambda *_: None).colour_at
    mesh = read_glb(views.path("mesh/mesh.glb"))
    assert mesh.texture is not None
    corners = mesh.texture.coordinates[mesh.texture.faces]
    areas = np.abs(np.linalg.det(corners[:, 1:] - corners[:, :1]))
    large = np.argsort(areas)[-50:]
    middle = corners[large].mean(axis=1) * 64
    texels = mesh.texture.image[(64 - middle[:, 1]).astype(int).clip(0, 63), middle[:, 0].astype(int).clip(0, 63)]
    expected = colours(mesh.vertices[mesh.faces[large]].mean(axis=1))
    assert np.median(np.abs(texels.astype(int) - expected)) < 25


def test_another_grid_needs_neither_network_nor_weights(
    views: Project, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(views)
    before = facts(views)["vertices"]
    weights.unlink()
    monkeypatch.setattr(instantmesh, "encode_views", forbidden)
    outcome, said = build(views, **{"lrm.grid": 32})
    assert facts(views)["vertices"] > 1.5 * before
    assert any("triplanes are reused" in sentence for sentence in said)
    assert "mesh/triplane.safetensors" in {output.file for output in outcome.record.outputs}
    build(views, "auto", **{"lrm.grid": 24})  # the recorded engine
    assert views.load().stages["reconstruct"].engine == ENGINE


def test_other_views_need_the_weights_again(views: Project, weights: Path) -> None:
    build(views)
    weights.unlink()
    select_views(views, "0-3")
    with pytest.raises(MissingError, match=f"meshcli models pull {ENGINE}"):
        build(views)
    write_weights(weights.parent)
    _, said = build(views)
    assert any("4 views: the network was trained with 6" in sentence for sentence in said)


def test_other_weights_make_other_planes(views: Project, weights: Path) -> None:
    build(views)
    before = views.path("mesh/triplane.safetensors").read_bytes()
    write_weights(weights.parent, seed=1)
    assert not build(views)[0].skipped
    assert views.path("mesh/triplane.safetensors").read_bytes() != before


def test_damaged_planes_are_made_anew(views: Project, weights: Path) -> None:
    build(views)
    path = views.path("mesh/triplane.safetensors")
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    build(views, **{"lrm.grid": 24})
    assert path.read_bytes() == whole


def test_a_network_file_states_where_its_weights_are(
    views: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = write_weights(tmp_path / "elsewhere", seed=3)
    file = replace(tiny_file(), weights=str(elsewhere))
    monkeypatch.setattr("meshcli.stages.networks.read_network", lambda name: file)
    outcome, said = build(views, "auto", **{"lrm.file": "mine.yaml"})
    assert outcome.record.engine == ENGINE
    assert outcome.record.options["weights"] == f"{3:064x}"
    assert any("the one that mine.yaml describes" in sentence for sentence in said)


def test_a_file_of_another_kind_is_refused(views: Project, weights: Path) -> None:
    with pytest.raises(UsageError, match=r"nerf\.yaml describes a nerf network, which instant-mesh-large is not"):
        build(views, **{"lrm.file": "nerf.yaml"})


def test_auto_takes_the_weights_on_disk(views: Project, weights: Path) -> None:
    outcome, said = build(views, "auto")
    assert outcome.record.engine == ENGINE
    assert any("its weights are on this machine" in sentence for sentence in said)


def test_auto_says_what_the_network_lacks(views: Project) -> None:
    from meshcli.stages.networks import pick_engine

    engine, why = pick_engine("auto", None, SMALL, RunOptions())
    assert engine == "fit"
    assert f"meshcli models pull {ENGINE}" in why


def test_weights_of_another_size_are_named(views: Project, weights: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(weights)
    tensors["transformer.norm.weight"] = torch.zeros(7)
    save_file(tensors, weights)
    assert shapes_of(weights)["transformer.norm.weight"] == [7]
    with pytest.raises(MissingError, match=r"instant_mesh_large.*transformer\.norm\.weight has shape 7, expected 32"):
        build(views)


def test_a_radiance_field(views: Project, tmp_path: Path) -> None:
    write_weights(tmp_path / "ckpts", "instant-nerf-base")
    build(views, "instant-nerf-base")
    assert facts(views)["faces"] > 100
    with pytest.raises(UsageError, match=r"--set lrm\.threshold"):
        build(views, "instant-nerf-base", **{"lrm.threshold": 1e6})


def test_simplified_without_texture_and_the_largest_part(views: Project, weights: Path) -> None:
    build(views)
    whole = facts(views)["faces"]
    build(views, **{"lrm.parts": "largest"})
    largest = facts(views)["faces"]
    assert largest <= whole
    outcome, _ = build(views, **{"lrm.parts": "largest", "lrm.simplify": 200})
    assert facts(views)["faces"] == pytest.approx(200, abs=20)
    assert any("simplified to" in note for note in outcome.notes)
    assert facts(views)["faces_asked"] == 200
    assert {output.file for output in outcome.record.outputs} == {
        "mesh/mesh.glb", "mesh/mesh.obj", "mesh/triplane.safetensors"
    }  # fmt: skip


def test_more_faces_than_there_are(views: Project, weights: Path) -> None:
    build(views)
    whole = facts(views)["faces"]
    assert "faces_asked" not in facts(views)
    outcome, _ = build(views, **{"lrm.simplify": 10_000_000})
    assert (facts(views)["faces_asked"], facts(views)["faces"]) == (10_000_000, whole)
    assert any(f"the surface has {whole}" in note for note in outcome.notes)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("lrm.grid", 16),
        ("lrm.simplify", 4),
        *(
            pytest.param(*rare, marks=pytest.mark.slow)
            for rare in (("lrm.grid", 0), ("texture.size", 16), ("lrm.parts", "largest"))
        ),
    ],
)
@pytest.mark.parametrize("engine", [ENGINE, "instant-nerf-base"])
def test_the_least_of_everything(engine: str, key: str, value: Any, views: Project, tmp_path: Path) -> None:
    write_weights(tmp_path / "ckpts", engine)
    build(views, engine, **{**TEXTURE, key: value})
    assert facts(views)["faces"] >= 4


def failing(times: int) -> Callable[..., Any]:
    """A surface that runs out of memory so many times, as torch says it on a processor."""
    real, left = MeshField.extract_surface, [times]

    def surface(self: MeshField, resolution: int) -> Any:
        if left[0]:
            left[0] -= 1
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory")
        return real(self, resolution)

    return surface


def test_memory_that_runs_out_once_is_tried_with_less(
    views: Project, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MeshField, "extract_surface", failing(1))
    assert build(views)[0].record.status == "done"
    assert views.load().stages["reconstruct"].reduced_settings == {}


def test_memory_that_runs_out_twice_keeps_the_planes(
    views: Project, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MeshField, "extract_surface", failing(2))
    with pytest.raises(ResourceError, match=r"the same command will now take lrm\.grid=75"):
        build(views, **{"lrm.grid": 100})
    record = views.load().stages["reconstruct"]
    assert (record.status, record.reduced_settings) == ("failed", {"lrm.grid": 75})
    monkeypatch.setattr(instantmesh, "encode_views", forbidden)
    outcome, said = build(views, **{"lrm.grid": 100})
    assert any("taking smaller settings: lrm.grid=75" in sentence for sentence in said)
    assert outcome.record.options["lrm"]["grid"] == 75
    assert build(views, **{"lrm.grid": 100})[0].skipped


def test_a_bug_is_no_lack_of_memory(views: Project, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def surface(self: MeshField, resolution: int) -> Any:
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(MeshField, "extract_surface", surface)
    with pytest.raises(RuntimeError, match="do not fit"):
        build(views)


@pytest.mark.parametrize(("key", "value"), [("lrm.grid", 8), ("lrm.grid", 600), ("lrm.threshold", -1.0)])
def test_settings_that_cannot_be(views: Project, weights: Path, key: str, value: float) -> None:
    with pytest.raises(UsageError, match=key):
        build(views, **{key: value})


def test_bfloat16_is_close_and_reported(views: Project, weights: Path) -> None:
    build(views)
    exact = facts(views)["vertices"]
    outcome, _ = build(views, **{"lrm.dtype": "bf16"})
    assert facts(views)["dtype"] == "bf16"
    assert outcome.record.options["lrm"]["dtype"] == "bf16"
    assert facts(views)["vertices"] == pytest.approx(exact, rel=0.1)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("dtype", ["fp32", "bf16", "fp16"])
def test_cuda(views: Project, weights: Path, dtype: str) -> None:
    build(views)
    exact = facts(views)["vertices"]
    reconstruct_mesh(
        views,
        settings=override(SMALL, {"lrm.dtype": dtype}, ""),
        engine=ENGINE,
        run_options=RunOptions(device="cuda", force=True),
    )
    assert facts(views)["device"] == "cuda:0"
    assert facts(views)["vertices"] == pytest.approx(exact, rel=0.1)


@pytest.mark.slow
def test_a_film_of_the_field(views: Project, tmp_path: Path) -> None:
    from meshcli.stages.render import render_mesh

    settings = override(
        SMALL, {"render.source": "field", "render.size": 64, "render.frames": 4, "render.samples": 1}, ""
    )
    write_weights(tmp_path / "ckpts")
    build(views)
    with pytest.raises(UsageError, match="--source field needs a radiance field"):
        render_mesh(views, settings=settings)
    write_weights(tmp_path / "ckpts", "instant-nerf-large")
    build(views, "instant-nerf-large")
    said: list[str] = []
    run_options = RunOptions(tell=said.append, device="cpu")
    render_mesh(views, settings=settings, run_options=run_options)
    assert any("4 pictures of the radiance field take about" in sentence for sentence in said)
    assert stage_status(views, views.load(), "render").state == "done"
    film = views.path("renders/turntable.mp4")
    field = film.read_bytes()
    assert render_mesh(views, settings=settings, run_options=run_options).skipped
    assert len(frames_of(film)) == 4
    render_mesh(views, settings=override(settings, {"render.source": "mesh"}, ""), run_options=run_options)
    assert film.read_bytes() != field


def frames_of(path: Path) -> list[bytes]:
    """The decoded frames of a film of 64 x 64."""
    import imageio_ffmpeg

    line = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    data = subprocess.run(line, capture_output=True, check=True).stdout
    size = 64 * 64 * 3
    return [data[start : start + size] for start in range(0, len(data), size)]


LIMITED = """
import resource, sys
sys.path[:0] = [{tests!r}]
from helpers.tiny_lrm import tiny_file
import torch  # loaded before the limit, which is for what is computed
import meshcli.reconstructors.instantmesh, meshcli.texturing.bake, meshcli.export.gltf, meshcli.export.obj
import meshcli.stages.networks as networks
networks.read_network = lambda name: tiny_file()
torch.set_num_threads(1)
torch.zeros(1 << 20) @ torch.zeros(1 << 20)
used = int(next(line for line in open("/proc/self/status") if line.startswith("VmData")).split()[1]) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (used + {spare}, used + {spare}))
from meshcli.commands.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs limits as Linux has them")
def test_a_machine_with_too_little_memory(views: Project, weights: Path, tmp_path: Path) -> None:
    """A grid of 400 takes 260 MB for the distances alone; 200 MB are there. The same command, typed again, ends."""
    script = LIMITED.format(tests=str(REPOSITORY / "tests"), spare=200 << 20)
    line = [sys.executable, "-c", script, "reconstruct", str(views.root), "--engine", ENGINE, "--grid", "400"]
    line += ["--no-texture", "--faces", "2000", "--device", "cpu"]
    codes, said = [], []
    while not codes or (codes[-1] == 75 and len(codes) < 8):
        run = subprocess.run(line, capture_output=True, text=True, check=False)
        codes.append(run.returncode)
        said.append(run.stderr)
    assert codes[0] == 75, said[0]
    assert codes[-1] == 0, said[-1]
    assert "memory ran out in reconstruct; the same command will now take lrm.grid=300" in said[0]
    assert "triplanes are reused" in said[-1]  # the network ran once
    assert views.load().stages["reconstruct"].options["lrm"]["grid"] < 400
