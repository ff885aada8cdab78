import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshcli.errors import MissingError
from meshcli.weights.safetensors_file import read_header, state_dict
from meshcli.weights.torch_checkpoint import convert_checkpoint, read_shapes

PREFIX = "lrm_generator."


class Trainer:
    """Something that only the training program has."""

    def __reduce__(self) -> Any:
        return (Path.touch, (Path("nobody ran this"),))


@pytest.fixture
def state():
    torch.manual_seed(0)
    base = torch.randn(4, 6)
    parts = OrderedDict(
        {
            "linear.weight": torch.randn(3, 5),
            "half": torch.randn(7).half(),
            "brain": torch.randn(2, 2, 2).bfloat16(),
            "whole": torch.arange(5),
            "flags": torch.tensor([True, False]),
            "scalar": torch.tensor(1.5),
            "nothing": torch.empty(0, 3),
            "turned": base.t(),
            "part": base[1:3, ::2],
            "spread": torch.randn(3, 1).expand(3, 4),
            "last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
            "parameter": torch.nn.Parameter(torch.randn(2)),
        }
    )
    parts._metadata = {"": {"version": 2}}  # type: ignore[attr-defined]
    return parts


def same(path: Path, expected: "dict[str, torch.Tensor]") -> None:
    found = state_dict(path)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype, name
        assert torch.equal(found[name], tensor), name


@pytest.mark.parametrize("archive", [True, False], ids=["archive", "before 1.6"])
def test_every_kind_of_tensor(state, archive, tmp_path):
    if not archive:
        del state["nothing"], state["spread"]  # types and tricks that those files did not have
    torch.save(state, tmp_path / "w.bin", _use_new_zipfile_serialization=archive)
    convert_checkpoint(tmp_path / "w.bin", tmp_path / "w.safetensors", metadata={"original": "w.bin"})
    same(tmp_path / "w.safetensors", torch.load(tmp_path / "w.bin", weights_only=True))
    assert read_header(tmp_path / "w.safetensors").metadata == {"format": "pt", "original": "w.bin"}
    assert read_shapes(tmp_path / "w.bin") == {name: tuple(tensor.shape) for name, tensor in state.items()}


def test_the_library_reads_what_was_written(state, tmp_path):
    from safetensors.torch import load_file

    torch.save(state, tmp_path / "w.bin")
    convert_checkpoint(tmp_path / "w.bin", tmp_path / "w.safetensors")
    found = load_file(tmp_path / "w.safetensors")
    assert found.keys() == state.keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in found.items())


@pytest.mark.parametrize("archive", [True, False])
@pytest.mark.parametrize(
    ("before", "wrap"),
    [
        (PREFIX, lambda table: table),
        (PREFIX, lambda table: {"model": table, "step": 3, "optimizer": {"lr": 0.1}}),
        (f"module.{PREFIX}", lambda table: {"state_dict": table}),
        (f"state_dict.{PREFIX}", lambda table: {"state_dict": {"state_dict": table}}),
        ("", lambda table: table),
        ("module.", lambda table: {"module": table}),
    ],
)
def test_the_prefix_of_a_network_however_it_is_wrapped(before, wrap, archive, tmp_path):
    own = {name: torch.randn(3) for name in ("encoder.a.weight", "transformer.b", "synthesizer.decoder.c")}
    path = tmp_path / "w.ckpt"
    table = wrap({before + name: tensor for name, tensor in own.items()})
    torch.save(table, path, _use_new_zipfile_serialization=archive)
    convert_checkpoint(path, tmp_path / "w.safetensors", PREFIX)
    same(tmp_path / "w.safetensors", own)
    assert read_shapes(path, PREFIX) == dict.fromkeys(own, (3,))


def test_a_training_checkpoint_with_objects_in_it(state, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    whole = {
        "state_dict": {f"{PREFIX}{name}": tensor for name, tensor in state.items()}
        | {"lpips.x": torch.ones(2), f"{PREFIX}source_camera.x": torch.ones(1), 3: torch.ones(1)},
        "callbacks": {Trainer(): 1},
        "hyper_parameters": {"path": Path(), "kind": torch.float32, "shape": torch.Size([1])},
        "optimizer": torch.optim.Adam([torch.nn.Parameter(torch.ones(2))]),
    }
    torch.save(whole, "w.ckpt")
    with pytest.raises(pickle.UnpicklingError):
        torch.load("w.ckpt", weights_only=True)
    convert_checkpoint(Path("w.ckpt"), Path("w.safetensors"), PREFIX)
    same(Path("w.safetensors"), state)
    assert not Path("nobody ran this").exists()


def rewritten(source: Path, target: Path, change: dict[str, bytes | None], **run_options: Any) -> Path:
    """The archive with members replaced or left out."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", **run_options) as new:
        for name in old.namelist():
            data = change.get(name.split("/", 1)[1], old.read(name))
            if data is not None:
                new.writestr(name, data)
    return target


@pytest.fixture
def good(tmp_path):
    torch.save({"a": torch.randn(64, 64), "b": torch.randn(9)}, tmp_path / "good.bin")
    return tmp_path / "good.bin"


def refused(path: Path, reason: str, prefix: str = "") -> None:
    target = path.with_suffix(".safetensors")
    with pytest.raises(MissingError, match=reason) as caught:
        convert_checkpoint(path, target, prefix)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert sorted(file.suffix for file in path.parent.iterdir() if file.name != "good.bin") in ([], [path.suffix])


def test_damaged_archives(good, tmp_path):
    data = good.read_bytes()
    bad = tmp_path / "bad.ckpt"
    for length in (0, 1, 30, len(data) // 2, len(data) - 30):
        bad.write_bytes(data[:length])
        refused(bad, "cut off" if length > 1 else "torch did not write it")
    place = data.index(b"data/0") + 5000
    bad.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    refused(bad, "Bad CRC-32")
    bad.write_text("version https://git-lfs.github.com/spec/v1\n")
    refused(bad, "torch did not write it")
    torch.save({"a": Trainer()}, bad, _use_new_zipfile_serialization=False)
    refused(bad, "more than tensors")


def test_archives_that_are_none_of_torch(good, tmp_path):
    bad = tmp_path / "bad.ckpt"
    refused(rewritten(good, bad, {}, compression=zipfile.ZIP_DEFLATED), "compressed")
    refused(rewritten(good, bad, {"data.pkl": None}), "without data.pkl")
    refused(rewritten(good, bad, {"byteorder": b"big"}), "big-endian")
    refused(rewritten(good, bad, {"data/0": None}), "a: its storage 0 is not in the archive")
    refused(rewritten(good, bad, {"data/0": bytes(100)}), r"a: shape \(64, 64\) needs more than the 100 bytes")
    refused(rewritten(good, bad, {"data.pkl": bytes(8_000_001)}), "too large to be a description")
    refused(rewritten(good, bad, {"data.pkl": pickle.dumps([1])}), "no table of tensors")
    refused(rewritten(good, bad, {"data.pkl": pickle.dumps({"a": 1})}), "it has no tensors")
    refused(good.rename(bad), "no tensors whose names begin with lrm_generator.", PREFIX)


def test_a_zip_bomb_is_not_unpacked(good, tmp_path):
    bad = tmp_path / "bomb.ckpt"
    refused(rewritten(good, bad, {"data/0": bytes(50_000_000)}, compression=zipfile.ZIP_DEFLATED), "compressed")
    assert bad.stat().st_size < 1_000_000


def test_a_size_beyond_the_file(good, tmp_path):
    bad = tmp_path / "bad.ckpt"
    data = bytearray(good.read_bytes())
    with zipfile.ZipFile(good) as archive:
        name = next(name for name in archive.namelist() if name.endswith("data/0")).encode()
    place = data.rindex(name) - 46  # its row in the central directory
    data[place + 24 : place + 28] = (2**31).to_bytes(4, "little")
    bad.write_bytes(data)
    refused(bad, "sizes that are not there")


def test_one_storage_in_many_tensors(tmp_path):
    base = torch.randn(1000)
    torch.save({f"{n}": base[:999] for n in range(50)}, tmp_path / "bad.ckpt")
    refused(tmp_path / "bad.ckpt", "share their storage too often")
    torch.save({"tied": base, "same": base}, tmp_path / "tied.bin")
    convert_checkpoint(tmp_path / "tied.bin", tmp_path / "tied.safetensors")
    same(tmp_path / "tied.safetensors", {"tied": base, "same": base})


class Lying:
    """A tensor that claims what it is not."""

    def __init__(self, *claims: object) -> None:
        self.claims = claims

    def __reduce__(self) -> Any:
        return torch._utils._rebuild_tensor_v2, self.claims


@pytest.mark.parametrize(
    ("offset", "shape", "stride"),
    [
        (0, (2**40, 2**40), (2**40, 1)),
        (0, (2**30,), (0,)),
        (10**9, (1,), (1,)),
        (-1, (1,), (1,)),
        (0, (-1,), (1,)),
        (0, (2, 2), (-1, 1)),
        (0, (2,), (1, 1)),
        (0, (2.0,), (1,)),
        (0, (True,), (1,)),
        (0, ("2",), (1,)),
        (0, (1,) * 17, (1,) * 17),
        (0, 5, 5),
        (2**70, (1,), (1,)),
    ],
)
def test_tensors_beyond_the_file(offset, shape, stride, tmp_path, monkeypatch):
    storage = torch.storage.TypedStorage(
        wrap_storage=torch.zeros(4).untyped_storage(), dtype=torch.float32, _internal=True
    )
    torch.save({"a": Lying(storage, offset, shape, stride, False, OrderedDict())}, tmp_path / "bad.ckpt")
    refused(tmp_path / "bad.ckpt", "cannot be used as a checkpoint")


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_damage_does_more_than_one_line(good, data):
    """Bytes changed, cut out or put in anywhere: the result is right in form, or one line."""
    content = bytearray(good.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        kind = data.draw(st.sampled_from(["change", "cut", "insert"]))
        piece = data.draw(st.binary(min_size=1, max_size=8))
        content[place : place + (0 if kind == "insert" else len(piece))] = b"" if kind == "cut" else piece
    bad = good.with_name("fuzzed.ckpt")
    bad.write_bytes(content)
    target = good.with_name("fuzzed.safetensors")
    try:
        convert_checkpoint(bad, target)
    except MissingError:
        assert not target.exists()
    else:
        state_dict(target)
        target.unlink()
    assert not list(good.parent.glob(".tmp-*"))
