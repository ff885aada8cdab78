from collections.abc import Iterator

import pytest
import torch

from helpers.lrm_golden import largest
from meshcli.lrm.triplane import Mlp, TriplaneMlp, sample_lattice, sample_planes, sum_at_vertices

PLANES = torch.randn(3, 5, 7, 7, generator=torch.Generator().manual_seed(1))
AXIS = torch.linspace(-1.1, 1.1, 21)
POINTS = torch.stack(torch.meshgrid(AXIS, AXIS, AXIS, indexing="ij"), dim=-1).view(-1, 3)


@pytest.fixture
def net() -> Mlp:
    torch.manual_seed(2)
    return Mlp(15, 2).requires_grad_(False)


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def direct(net: Mlp, points: torch.Tensor) -> torch.Tensor:
    """As the published code does it: all features of all points, then the whole network."""
    return net(sample_planes(PLANES, points).transpose(0, 1).flatten(1))


def test_the_layer_may_go_first(net: Mlp) -> None:
    assert largest(TriplaneMlp(net).evaluate(PLANES, POINTS), direct(net, POINTS)) < 1e-6
    assert largest(TriplaneMlp(net, outputs=1).evaluate(PLANES, POINTS, 100), direct(net, POINTS)[:, :1]) < 1e-6
    assert TriplaneMlp(net).evaluate(PLANES, POINTS[:0]).shape == (0, 2)


@pytest.mark.parametrize("chunk", [1, 50, 1 << 14])
@pytest.mark.parametrize("count", [1, 3])
def test_a_lattice_needs_tables_only(net: Mlp, chunk: int, count: int, threads: None) -> None:
    torch.set_num_threads(count)
    volume = TriplaneMlp(net, outputs=1).evaluate_lattice(sample_lattice(PLANES, AXIS), chunk)
    assert largest(volume.flatten(), direct(net, POINTS)[:, 0]) < 1e-6
    assert torch.get_num_threads() == count


def test_any_number_of_threads_gives_the_same_bits(net: Mlp, threads: None) -> None:
    found = []
    for count in (1, 2, 4):
        torch.set_num_threads(count)
        found.append(TriplaneMlp(net, outputs=1).evaluate_lattice(sample_lattice(PLANES, AXIS)))
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_values_on_a_lattice_are_those_at_its_points() -> None:
    lattice = sample_lattice(PLANES, AXIS)
    chosen = torch.randperm(len(POINTS), generator=torch.Generator().manual_seed(3))[:500]
    assert largest(sum_at_vertices(lattice, chosen), sample_planes(PLANES, POINTS[chosen]).sum(dim=0)) < 1e-6


def test_exceptions_in_threads_are_raised(net: Mlp, monkeypatch: pytest.MonkeyPatch, threads: None) -> None:
    def apply_later_layers(self: TriplaneMlp, hidden: torch.Tensor, spare: torch.Tensor | None = None) -> torch.Tensor:
        raise MemoryError

    monkeypatch.setattr(TriplaneMlp, "apply_later_layers", apply_later_layers)
    torch.set_num_threads(2)
    with pytest.raises(MemoryError):
        TriplaneMlp(net).evaluate_lattice(sample_lattice(PLANES, AXIS))
