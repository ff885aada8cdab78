"""What stands in the files of a Zero123++ folder, and what is made of it."""

import json
from pathlib import Path

import pytest
import tiny_zero123plus
import torch

from meshcli.generators.zero123plus_networks import Networks

# Of 75 steps, as InstantMesh's run.py takes them: the first and the last, and the last noise that is left.
FIRST, LAST, SIGMA = [999.0, 986.0, 972.0], [39.0, 26.0, 12.0], 0.10953


def networks(folder: Path, **scheduler: object) -> Networks:
    """Of a folder that holds nothing but the settings of the scheduler."""
    file = folder / "scheduler" / "scheduler_config.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(tiny_zero123plus.SCHEDULER | scheduler))
    return Networks(tiny_zero123plus.files(folder), torch.device("cpu"), torch.float32)


@pytest.mark.parametrize("named", [{}, *({"timestep_spacing": name} for name in ("linspace", "leading", "trailing"))])
def test_steps_are_trailing_whatever_the_file_says(named: dict[str, str], tmp_path: Path) -> None:
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
