import pytest
import torch
from torch import nn

from meshcli.lrm.matrices import Linear
from meshcli.lrm.streaming import load_parameters, stream_parameters, telling_progress

CPU = torch.device("cpu")


class Pair(nn.Module):
    """Two layers and a parameter of its own; says how much was there while each layer computed."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.empty(4))
        self.first, self.second = Linear(4, 4), Linear(4, 4)
        self.resident: list[int] = []

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        for layer in (self.first, self.second):
            layer.register_forward_pre_hook(lambda *_: self.resident.append(self.count()))
            values = layer(values)
        return values * self.scale

    def count(self) -> int:
        return sum(value.numel() for value in self.parameters() if not value.is_meta)


def test_tensors_are_loaded_only_during_a_call() -> None:
    plain = Pair()
    nn.init.uniform_(plain.scale)
    values = {f"net.{name}": value.detach().clone() for name, value in plain.state_dict().items()} | {
        "other": torch.ones(1)
    }
    with torch.device("meta"):
        streamed = Pair()
    done: list[str] = []
    stream_parameters(streamed, values, "net.", CPU, torch.float32)
    given = torch.randn(3, 4)
    with torch.inference_mode(), telling_progress(streamed, done.append):
        # Which kernel multiplies may depend on how the values lie in memory, and with it the last bits.
        torch.testing.assert_close(streamed(given), plain(given), rtol=1e-6, atol=1e-6)
    assert streamed.resident == [4 + 20, 4 + 20]  # the scale, and one layer at a time
    assert streamed.count() == 0
    assert list(values) == ["other"]
    assert done == ["first", "second", ""]


def test_kept_parameters_are_loaded_once() -> None:
    plain = Pair()
    nn.init.uniform_(plain.scale)
    values = {f"net.{name}": value.detach().clone() for name, value in plain.state_dict().items()}
    given = torch.randn(3, 4)
    networks = []
    for keep in (False, True):
        with torch.device("meta"):
            networks.append(Pair())
        stream_parameters(networks[-1], dict(values), "net.", CPU, torch.float32, keep)
    with torch.inference_mode():
        expected = networks[0](given)
        assert [torch.equal(networks[1](given), expected) for _ in range(2)] == [True, True]
    assert networks[1].count() == 4 + 20 + 20


def test_a_dtype_is_taken_tensor_by_tensor() -> None:
    with torch.device("meta"):
        layer = Linear(2, 2)
    stream_parameters(layer, {"weight": torch.eye(2), "bias": torch.zeros(2)}, "", CPU, torch.bfloat16)
    assert layer(torch.ones(1, 2, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_missing_tensors_are_named() -> None:
    with torch.device("meta"):
        layer = Linear(2, 2)
    with pytest.raises(KeyError, match=r"net\.weight"):
        load_parameters(layer, {}, "net.", CPU)
