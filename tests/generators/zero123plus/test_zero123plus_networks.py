"""What stands in the files of a Zero123++ folder, and what is made of it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tools.synthetic_weights import CONFIGS, component_shapes, summary

from helpers import tiny_zero123plus
from helpers.golden import EXTERNAL, RECORDED_FOLDER, needs_shared_golden
from meshcli.generators.zero123plus.conditioning import preprocess
from meshcli.generators.zero123plus.networks import Networks

# Of 75 steps, as InstantMesh's run.py takes them: the first and the last, and the last noise that is left.
FIRST, LAST, SIGMA = [999.0, 986.0, 972.0], [39.0, 26.0, 12.0], 0.10953


def networks(folder: Path, **scheduler: object) -> Networks:
    """Of a folder that holds nothing but the settings of the scheduler."""
    file = folder / "scheduler" / "scheduler_config.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(tiny_zero123plus.SCHEDULER | scheduler))
    return Networks(tiny_zero123plus.files(folder), torch.device("cpu"), torch.float32)


@pytest.mark.parametrize("named", [{}, *({"timestep_spacing": name} for name in ("linspace", "leading", "trailing"))])
def test_timestep_spacing_is_trailing_whatever_the_file_states(named: dict[str, str], tmp_path: Path) -> None:
    assert "timestep_spacing" not in tiny_zero123plus.SCHEDULER  # as published
    scheduler = networks(tmp_path, **named).scheduler()
    scheduler.set_timesteps(75)
    assert scheduler.timesteps[:3].tolist() == FIRST
    assert scheduler.timesteps[-3:].tolist() == LAST
    assert float(scheduler.sigmas[-2]) == pytest.approx(SIGMA, rel=1e-4)
    assert float(scheduler.init_noise_sigma) == pytest.approx(25.146116)


def test_the_noise_is_the_file_s(tmp_path: Path) -> None:
    scheduler = networks(tmp_path, beta_end=0.02, prediction_type="epsilon").scheduler()
    assert (scheduler.config.beta_end, scheduler.config.prediction_type) == (0.02, "epsilon")


def test_missing_preprocessor_settings_get_defaults() -> None:
    """transformers' CLIPImageProcessor crops, divides by 255 and normalises unless it is told not to."""
    picture = np.random.default_rng(0).integers(0, 256, (70, 70, 3), np.uint8)
    whole = tiny_zero123plus.FOR_CLIP | {"size": {"shortest_edge": 64}}
    usual = {key: value for key, value in whole.items() if key in ("size", "crop_size")}
    assert preprocess(picture, usual).shape == (1, 3, 56, 56)
    np.testing.assert_array_equal(preprocess(picture, usual), preprocess(picture, whole))
    assert preprocess(picture, {}).shape == (1, 3, 224, 224)
    assert preprocess(picture, whole | {"do_center_crop": False}).shape == (1, 3, 64, 64)


@pytest.mark.parametrize("name", CONFIGS)
def test_names_and_shapes_at_full_size_are_the_published_ones(name: str) -> None:
    """Of the networks that diffusers and transformers had when Zero123++ was published."""
    assert summary(component_shapes(name)) == json.loads((RECORDED_FOLDER / "state_dicts.json").read_text())[name]


@needs_shared_golden
@pytest.mark.parametrize("name", CONFIGS)
def test_every_name_and_shape_by_itself(name: str) -> None:
    component = EXTERNAL.facts("zero123plus_state_dicts")["components"][name]
    assert {key: list(shape) for key, shape in component_shapes(name).items()} == component["state_dict"]
    assert {key: CONFIGS[name][key] for key in component["config"]} == component["config"]
