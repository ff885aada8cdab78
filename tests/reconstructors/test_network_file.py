from pathlib import Path

import pytest

from helpers.golden import EXTERNAL, needs_shared_golden
from meshcli.config import packaged_configs, read_settings
from meshcli.errors import UsageError
from meshcli.reconstructors.network_file import read_network
from meshcli.settings import Settings
from meshcli.stages.networks import pick_engine
from meshcli.stages.stage_runner import RunOptions

VARIANTS = ("instant-mesh-large", "instant-mesh-base", "instant-nerf-large", "instant-nerf-base")


def changed(tmp_path: Path, before: str, after: str, name: str = "instant-mesh-base") -> Path:
    """A packaged file with something else in it, under a name that says nothing."""
    text = (packaged_configs() / f"{name}.yaml").read_text()
    assert before in text
    path = tmp_path / "mine.yaml"
    path.write_text(text.replace(before, after))
    return path


@needs_shared_golden
@pytest.mark.parametrize("name", VARIANTS)
def test_packaged_files_have_the_published_sizes(name: str) -> None:
    variant = EXTERNAL.facts("state_dicts")["variants"][name]
    file = read_network(name)
    assert file.sizes.kind == variant["kind"]
    assert {key: getattr(file.sizes, key) for key in variant["config"]} == variant["config"]


@pytest.mark.parametrize("name", VARIANTS)
def test_packaged_files_have_the_published_grids(name: str) -> None:
    """infer_config of InstantMesh's configs/*.yaml; the grid of the mesh networks is in model_config."""
    file = read_network(name)
    assert (file.grid, file.threshold) == ((128, 0.0) if "mesh" in name else (256, 10.0))
    assert file.weights == f"ckpts/{name.replace('-', '_')}.ckpt"


@pytest.mark.parametrize("name", VARIANTS)
def test_a_file_of_instantmesh_is_a_config(name: str, tmp_path: Path) -> None:
    path = changed(tmp_path, "unet_path", "unet_path", name)
    settings = read_settings(path)
    assert settings.lrm.file == str(path)
    engine, why = pick_engine("auto", None, settings, RunOptions())
    assert engine == name
    assert "mine.yaml" in why


def test_its_other_values_are_settings_of_ours(tmp_path: Path) -> None:
    path = changed(tmp_path, "mesh_threshold: 10.0", "mesh_threshold: 12.5", "instant-nerf-base")
    settings = read_settings(path, ["lrm.grid=99"])
    assert (settings.lrm.threshold, settings.lrm.grid, settings.render.size) == (12.5, 99, 384)
    assert settings.texture == Settings().texture


def test_sizes_come_from_the_file(tmp_path: Path) -> None:
    path = changed(tmp_path, "transformer_layers: 12", "transformer_layers: 5")
    assert read_network(str(path)).sizes.transformer_layers == 5
    with pytest.raises(UsageError, match="name the closest engine with --engine"):
        pick_engine("auto", None, read_settings(path), RunOptions())


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("transformer_layers: 12", "transformer_layer: 12", "no setting transformer_layer"),
        ("    transformer_layers: 12\n", "", "lacks transformer_layers"),
        ("transformer_layers: 12", "transformer_layers: many", "transformer_layers must be a whole number"),
        ("grid_scale: 2.1", "grid_scale: -1", "grid_scale must be a number above 0"),
        ("lrm_mesh.InstantMesh", "lrm_mesh.Somebody", r"model_config\.target"),
        ("  params:", "  extra: 1\n  params:", "model_config has no setting extra"),
    ],
)
def test_errors_name_the_setting(before: str, after: str, says: str, tmp_path: Path) -> None:
    path = changed(tmp_path, before, after)
    with pytest.raises(UsageError, match=says) as caught:
        read_network(str(path))
    assert "mine.yaml" in str(caught.value)


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("render_resolution", "render_res", "infer_config has no setting render_res"),
        ("infer_config:", "train_config:", "no section train_config"),
        ("render_resolution: 512", "render_resolution: wide", r"render\.size must be of type int"),
    ],
)
def test_errors_in_other_sections_are_named(before: str, after: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=says):
        read_settings(changed(tmp_path, before, after))


def test_a_file_of_ours_describes_no_network(tmp_path: Path) -> None:
    path = tmp_path / "other.yaml"
    path.write_text("fit:\n  rays: 100\n")
    with pytest.raises(UsageError, match="describes no network"):
        read_network(str(path))
