"""Regions of least energy with a small surface."""

import numpy as np

from meshcli.sdf.total_variation import TotalVariation

SHAPE = (24, 24, 24)
DISTANCE = np.linalg.norm(np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1) - 11.5, axis=-1)
EVERYWHERE = np.zeros(SHAPE, bool)
EVERYWHERE[1:-1, 1:-1, 1:-1] = True


def minimum(energy: np.ndarray, tension: float, domain: np.ndarray = EVERYWHERE) -> np.ndarray:
    solver = TotalVariation(domain)
    return solver.run(energy.astype(np.float32), np.full(SHAPE, tension, np.float32), 400) > 0.5


def test_a_ball_stays_where_its_energy_outweighs_its_surface() -> None:
    energy = np.where(DISTANCE < 6, 1.0, -1.0)  # volume / surface: a third of the radius, 2 voxels
    assert (minimum(energy, 0.5)[EVERYWHERE] == (DISTANCE < 6)[EVERYWHERE]).mean() > 0.99
    assert not minimum(np.where(DISTANCE < 6, 1.0, -0.1), 2.5)[EVERYWHERE].any()


def test_a_gap_in_what_is_told_is_closed() -> None:
    energy = np.where(DISTANCE < 7, 1.0, -1.0)
    energy[DISTANCE < 1.5] = -0.5
    assert minimum(energy, 0.4)[DISTANCE < 5].all()


def test_the_border_of_the_domain_costs_nothing() -> None:
    domain = EVERYWHERE.copy()
    domain[:, :, 12:] = False
    told = minimum(
        np.where(DISTANCE < 7, 0.28, -0.1), 0.5, domain
    )  # too little if the flat side of half a ball cost as well
    assert told[domain & (DISTANCE < 5)].all()
    assert not told[domain & (DISTANCE > 10)].any()
    assert told[~domain].all()
