import collections
import io
import pickle
import struct
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from meshcli.weights.torch_checkpoint import DAMAGE_ERRORS
from meshcli.weights.torch_pickle import StorageReference, TensorDescription, read_tensor_table

MARK = "nobody ran this"
RUN = f"__import__('pathlib').Path({MARK!r}).touch()"


@pytest.fixture(autouse=True)
def _nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    yield
    assert not Path(MARK).exists(), "code of a pickle was run"


class Reduced:
    """Pickles as a call."""

    def __init__(self, function: Callable[..., Any], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


class Stateful:
    def __setstate__(self, state: object) -> None:
        Path(MARK).touch()

    def __getstate__(self) -> object:
        return {"a": 1}


class Growing(list[object]):
    def append(self, item: object) -> None:
        Path(MARK).touch()

    def extend(self, items: object) -> None:
        Path(MARK).touch()


def nested(depth: int) -> bytes:
    return b"\x80\x04" + b"]" * depth + b"a" * (depth - 1) + b"."


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "hostile",
    [
        Reduced(eval, RUN),
        Reduced(exec, RUN),
        Reduced(map, eval, (RUN,)),
        Stateful(),
        Growing([1, 2]),
        Reduced(getattr, Path(MARK), "touch"),
        Reduced(Reduced, eval, RUN),
    ],
    ids=lambda value: type(value).__name__,
)
def test_calls_do_nothing(hostile: object, protocol: int) -> None:
    data = pickle.dumps({"state_dict": {"a": hostile}, "b": hostile, 7: [hostile]}, protocol)
    assert read_tensor_table(data) == {}
    Path("as python would").touch()
    if isinstance(hostile, Reduced) and hostile.call[0] is eval:  # the same bytes are dangerous elsewhere
        pickle.loads(data)  # noqa: S301
        assert Path(MARK).exists()
        Path(MARK).unlink()


@pytest.mark.parametrize(
    "data",
    [
        b"cos\nsystem\n(S'touch \"" + MARK.encode() + b"\"'\ntR.",
        b"(S'touch \"" + MARK.encode() + b"\"'\nios\nsystem\n.",
        b"(cos\nsystem\nS'touch \"" + MARK.encode() + b"\"'\no.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x05touch\x85R.",
        b"c__builtin__\neval\n(S'" + RUN.replace("'", '"').encode() + b"'\ntR.",
        b"\x80\x02cos\nsystem\n\x81.",
        b"\x80\x02\x82\x01.",
        b"Pabc\n.",
        b"ctorch._utils\n_rebuild_tensor_v2\n(I1\nI2\nI3\nI4\ntR.",
        b"ctorch._utils\n_rebuild_tensor_v2\n}S'__code__'\nI1\nsb.",
        b"ctorch\nSize\n(S'abc'\ntR.",
        b"ctorch\nFloatStorage\n(tR.",
        b"",
        b".",
        b"not a pickle",
        b"\x80\x04",
    ],
)
def test_other_pickle_opcodes(data: bytes) -> None:
    with suppress(*DAMAGE_ERRORS):  # each of these is one line for the user
        assert read_tensor_table(data) == {}


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b".",  # a bytearray of a terabyte
        b"\x80\x05\x96" + struct.pack("<Q", 2**62) + b".",
        b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"x.",
        b"\x80\x04\x8d" + struct.pack("<Q", 2**40) + b"x.",
        b"\x80\x02}r" + struct.pack("<I", 2**32 - 1) + b".",  # place 4,294,967,295 of the memo
        b"\x80\x04\x95" + struct.pack("<Q", 2**60) + b"}.",
        b"\x80\x02\x8b" + struct.pack("<i", 2**30) + b"x.",
        nested(100_000),
        b"\x80\x02" + b"(" * 200_000 + b"}.",
    ],
    ids=["bytearray", "bytearray8", "bytes", "text", "memo", "frame", "integer", "deep", "marks"],
)
def test_false_sizes_cost_no_memory(data: bytes) -> None:
    tracemalloc.start()
    try:
        with suppress(*DAMAGE_ERRORS):
            assert read_tensor_table(data) == {}
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100 * len(data) + (1 << 20)


class Persistent(pickle.Pickler):
    """Writes a tuple (dtype name, key) of `Storage` as torch does."""

    def persistent_id(self, value: object) -> object:
        return ("storage", *value, "cpu", 6) if isinstance(value, StorageReference) else None


def test_recognised_pickle_objects() -> None:
    data = io.BytesIO()
    state = collections.OrderedDict(a=1)
    state._metadata = {"": {"version": 1}}  # type: ignore[attr-defined]
    Persistent(data, 2).dump({"x": StorageReference("F32", "0"), "state_dict": state})
    assert read_tensor_table(data.getvalue()) == {}
    tensor = TensorDescription(StorageReference("F32", "0"), 0, (2, 3), (3, 1))
    with pytest.raises(AttributeError):
        tensor.shape = (9, 9)  # type: ignore[misc]
