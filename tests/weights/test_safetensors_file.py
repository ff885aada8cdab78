import json
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from meshcli.errors import MissingError
from meshcli.weights.safetensors_file import load_into, network_names, read_header, state_dict


@pytest.fixture
def stored():
    torch.manual_seed(0)
    return {
        "a.weight": torch.randn(3, 5),
        "b": torch.randn(7, dtype=torch.bfloat16),
        "c": torch.randn(2, 3, 4).to(torch.float16),
        "d": torch.arange(6, dtype=torch.int64).reshape(2, 3),
        "e": torch.tensor(2.5),
        "f": torch.empty(0, 4),
    }


@pytest.fixture
def file(tmp_path, stored):
    path = tmp_path / "weights.safetensors"
    save_file(stored, path, metadata={"original_sha256": "abc"})
    return path


def test_contents(file, stored):
    contents = read_header(file)
    assert {name: entry.shape for name, entry in contents.entries.items()} == {
        name: tuple(tensor.shape) for name, tensor in stored.items()
    }
    assert contents.metadata == {"original_sha256": "abc"}


@pytest.mark.parametrize("before", ["", "state_dict.", "module.", "state_dict.model.module."])
@pytest.mark.parametrize("prefix", ["", "net."])
def test_names_of_a_network_that_is_a_part_of_something(before, prefix):
    own = ["a.weight", "a.bias", "b.weight", "c"]
    assert network_names([before + prefix + name for name in own], "net.") == {
        before + prefix + name: name for name in own
    }


def test_tensors_outside_the_network_are_dropped():
    names = ["net.a", "ema.net.a", "ema.net.b", "net.b", "other.weight", "net.source_camera", "internet.c"]
    assert network_names(names, "net.") == {"net.a": "a", "net.b": "b"}
    assert network_names(names, "") == {name: name for name in names}
    assert network_names(["a", "a.a"], "net.") == {"a": "a", "a.a": "a.a"}
    assert network_names(["source_camera", "x.a", "x.b"], "net.") == {"x.a": "a", "x.b": "b"}
    assert network_names([], "net.") == {}


def test_tensors_of_a_part(tmp_path, stored):
    path = tmp_path / "whole.safetensors"
    save_file({f"state_dict.net.{name}": tensor for name, tensor in stored.items()} | {"x": torch.zeros(1)}, path)
    found = state_dict(path, prefix="net.")
    assert found.keys() == stored.keys() == read_header(path).for_network("net.").shapes.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in stored.items())


def test_tensors_are_as_they_were_written(file, stored):
    found = state_dict(file)
    assert found.keys() == stored.keys()
    for name, tensor in stored.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


def test_casting_leaves_integers_alone(file, stored):
    found = state_dict(file, torch.bfloat16, rename=lambda name: None if name == "b" else f"x.{name}")
    assert found["x.a.weight"].dtype == torch.bfloat16
    assert torch.equal(found["x.a.weight"], stored["a.weight"].to(torch.bfloat16))
    assert found["x.d"].dtype == torch.int64
    assert "x.b" not in found


def _resident() -> int:
    """Kilobytes of files that are mapped and resident."""
    with Path("/proc/self/status").open() as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssFile"))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc here")
def test_a_mapping_goes_with_its_tensor(tmp_path):
    megabytes = 64
    path = tmp_path / "large.safetensors"
    save_file({f"{n}": torch.ones(megabytes // 8, 2**18) for n in range(8)}, path)
    before = _resident()
    tensors = state_dict(path)
    assert all(float(tensor.sum()) == tensor.numel() for tensor in tensors.values())
    assert _resident() - before > megabytes * 1000 * 0.9
    for name in list(tensors)[:7]:
        del tensors[name]
    assert _resident() - before < megabytes * 1000 * 0.25
    kept = _resident()
    cast = state_dict(path, torch.bfloat16)
    assert _resident() - kept < megabytes * 1000 * 0.1
    assert cast["0"].dtype == torch.bfloat16


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(3, 4)
        self.n = nn.LayerNorm(4)


def meta() -> Net:
    with torch.device("meta"):
        return Net()


def test_a_network_on_the_meta_device_is_filled(tmp_path):
    whole = Net()
    save_file({f"net.{name}": tensor for name, tensor in whole.state_dict().items()}, tmp_path / "n.safetensors")
    net = meta()
    load_into(net, tmp_path / "n.safetensors", rename=lambda name: name.removeprefix("net."))
    for name, tensor in whole.state_dict().items():
        assert torch.equal(net.state_dict()[name], tensor)
    assert not any(parameter.requires_grad for parameter in net.parameters())
    x = torch.randn(2, 3)
    torch.testing.assert_close(net.n(net.a(x)), whole.n(whole.a(x)))
    load_into(half := meta(), tmp_path / "n.safetensors", torch.bfloat16, rename=lambda name: name.removeprefix("net."))
    assert half.a.weight.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"a.weight": torch.zeros(4, 2)}, r"a\.weight has shape 4 x 2, expected 4 x 3; .*another variant"),
        ({"a.bias": None}, r"a\.bias is missing \(expected shape 4\)"),
        (
            {"extra": torch.zeros(2), "more": torch.zeros(1)},
            r"extra \(shape 2\) and 1 more is not part",
        ),
    ],
)
def test_a_file_of_another_network_is_refused_in_one_line(change, message, tmp_path):
    tensors = Net().state_dict() | change
    path = tmp_path / "n.safetensors"
    save_file({name: tensor for name, tensor in tensors.items() if tensor is not None}, path)
    with pytest.raises(MissingError, match=message) as caught:
        load_into(meta(), path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def header(table: object) -> bytes:
    text = table if isinstance(table, bytes) else json.dumps(table).encode()
    return struct.pack("<Q", len(text)) + text


ROW = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "cut off"),
        (b"\x05", "cut off"),
        (struct.pack("<Q", 2**63) + b"{}", "cut off"),
        (header(b"{" * 100_000), "cannot be read"),
        (header([1]), "cannot be read"),
        (header({"a": ROW}), "cut off: 7\\d bytes"),
        (header({"a": ROW | {"shape": [3]}}) + bytes(8), "does not fit"),
        (header({"a": ROW | {"shape": [-1, -2]}}) + bytes(8), "does not fit"),
        (header({"a": ROW | {"shape": [2**40, 2**40]}}) + bytes(8), "does not fit"),
        (header({"a": ROW | {"dtype": "F3"}}) + bytes(8), "cannot be read"),
        (header({"a": ROW | {"data_offsets": [2**62, 2**62 + 8]}}) + bytes(8), "cut off"),
        (header({"a": ROW | {"data_offsets": ["0", 8]}}) + bytes(8), "."),
        (header({"a": None}), "cannot be read"),
    ],
)
def test_damaged_files_are_one_line(data, reason, tmp_path):
    path = tmp_path / "bad.safetensors"
    path.write_bytes(data)
    with pytest.raises(MissingError, match=reason) as caught:
        state_dict(path)
    assert str(path) in str(caught.value)


def test_a_file_that_was_cut_off(file):
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(MissingError, match="cut off"):
        state_dict(file)
