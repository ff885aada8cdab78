"""Weights in safetensors files: what is in them without torch, and their tensors, each mapped into memory by itself.

A mapping goes when its tensor goes, so a tensor that is cast, packed or copied to a GPU leaves nothing resident behind;
the library's own reader keeps the whole file mapped as long as one tensor lives. Light until tensors are asked for.
Format: 8 bytes little-endian length of the header, the header as JSON, the data.
"""

import json
import mmap
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshcli.errors import MissingError

if TYPE_CHECKING:
    import torch
    from torch import nn

DTYPE_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
MAX_HEADER_BYTES = 100_000_000  # bytes, as in the format's description
Shape = tuple[int, ...]
Rename = Callable[[str], str | None]  # a name in the file to the name in the network; None: not wanted


@dataclass(frozen=True)
class TensorEntry:
    """One tensor of a file."""

    dtype: str  # a key of BYTES
    shape: Shape
    start: int  # bytes from the beginning of the file
    size: int  # bytes


@dataclass(frozen=True)
class Header:
    """The header of a file."""

    entries: Mapping[str, TensorEntry]
    metadata: Mapping[str, str]

    @property
    def shapes(self) -> dict[str | None, Shape]:
        """Names and shapes, as `check_shapes` takes them."""
        return {name: entry.shape for name, entry in self.entries.items()}

    def for_network(self, prefix: str) -> "Header":
        """Of one network only, by its own names; see `own_names`."""
        own = network_names(self.entries, prefix)
        return Header({name: self.entries[stored] for stored, name in own.items()}, self.metadata)


def network_names(names: Iterable[str], prefix: str) -> dict[str, str]:
    """Names in a file -> names in the network that programs keep as a part of theirs, under a prefix; "" is no part.

    What stands before the prefix (`state_dict.`, `module.`) goes with it. Where no name has it, it has been taken off
    already, and what all names begin with goes too. `source_camera`, which no network has, is dropped as published.
    """
    if not prefix:
        return {name: name for name in names}
    kept = [name for name in names if "source_camera" not in name]
    inner = {name: f".{name}".partition(f".{prefix}")[2] for name in kept}
    inner = {name: tail for name, tail in inner.items() if tail} or _strip_common_parts(kept)
    shortest = {inner[name]: name for name in sorted(inner, key=len, reverse=True)}  # of copies, the one least wrapped
    return {name: tail for tail, name in shortest.items()}


def _strip_common_parts(names: Iterable[str]) -> dict[str, str]:
    """Without the words that all of them begin with."""
    inner = {name: name for name in names}
    while len(inner) > 1 and all("." in tail for tail in inner.values()):
        first, *others = {tail.partition(".")[0] for tail in inner.values()}
        if others:
            break
        inner = {name: tail.removeprefix(f"{first}.") for name, tail in inner.items()}
    return inner


def read_header(path: Path) -> Header:
    """The header of a safetensors file, checked against the file's size; a MissingError when it is damaged."""
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise ValueError("it is no file")
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            size = path.stat().st_size
            if not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
                raise ValueError("its header is cut off")
            table = json.loads(file.read(length))
        metadata = {str(key): str(value) for key, value in table.pop("__metadata__", {}).items()}
        entries = {name: _parse_entry(row, 8 + length, size) for name, row in table.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise MissingError(
            f"{path} is damaged or no safetensors file ({_error_text(error)}); fetch it again"
        ) from error
    return Header(entries, metadata)


def state_dict(
    path: Path,
    dtype: "torch.dtype | None" = None,
    device: "torch.device | str" = "cpu",
    rename: Rename | None = None,
    prefix: str = "",
) -> "dict[str, torch.Tensor]":
    """The tensors of a safetensors file by name, read only; cast one by one where a dtype is given.

    With a prefix those of the network under it, see `own_names`. What is neither cast nor moved stays in the file and
    must not be written to. Integers keep their type.
    """
    contents = read_header(path).for_network(prefix)
    tensors = {}
    with path.open("rb") as file:
        for name, entry in contents.entries.items():
            wanted = rename(name) if rename else name
            if wanted is not None:
                tensor = _map_tensor(file.fileno(), entry)
                tensors[wanted] = tensor.to(device, dtype if tensor.is_floating_point() else None)
    return tensors


def load_into(
    module: "nn.Module",
    path: Path,
    dtype: "torch.dtype | None" = None,
    device: "torch.device | str" = "cpu",
    rename: Rename | None = None,
) -> None:
    """Give a network, best built on the meta device, the tensors of a file; names and shapes must be equal.

    Buffers that are not part of the network's state dict are the caller's. Raises MissingError, see `check_shapes`.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    found = read_header(path).shapes
    if rename:
        found = {rename(name): shape for name, shape in found.items() if name is not None}
    check_shapes(path, found, expected)
    module.requires_grad_(False)
    module.load_state_dict(state_dict(path, dtype, device, rename), strict=True, assign=True)


def check_shapes(path: Path, found: Mapping[str | None, Shape], expected: Mapping[str, Shape]) -> None:
    """Raise a MissingError naming the file, the first key that is wrong, and what it should be."""
    for name, shape in expected.items():
        if name not in found:
            raise MissingError(f"{path}: {name} is missing (expected shape {_shape_text(shape)}); {OTHER_VARIANT}")
        if tuple(found[name]) != tuple(shape):
            raise MissingError(
                f"{path}: {name} has shape {_shape_text(found[name])}, expected {_shape_text(shape)}; {OTHER_VARIANT}"
            )
    if unknown := [name for name in found if name is not None and name not in expected]:
        shape = found[unknown[0]]
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        raise MissingError(
            f"{path}: {unknown[0]} (shape {_shape_text(shape)}){more} is not part of this network; {OTHER_VARIANT}"
        )


OTHER_VARIANT = "are these the weights of another variant?"


def _parse_entry(row: Any, offset: int, size: int) -> TensorEntry:
    """A row of the header; its place must lie in the file and fit its shape."""
    shape = tuple(row["shape"])
    start, stop = row["data_offsets"]
    whole = all(isinstance(number, int) and number >= 0 for number in (*shape, start, stop))
    if not whole or stop - start != prod(shape) * DTYPE_BYTES[row["dtype"]]:
        raise ValueError("a tensor's place does not fit its shape")
    if offset + stop > size:
        raise ValueError(f"it is cut off: {offset + stop:,} bytes at least expected, {size:,} found")
    return TensorEntry(row["dtype"], shape, offset + start, stop - start)


def torch_types() -> "dict[str, torch.dtype]":
    """The types that a file may hold, by their names in it."""
    import torch

    return {
        "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
        "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
    }  # fmt: skip


def _map_tensor(handle: int, entry: TensorEntry) -> "torch.Tensor":
    """A tensor over a mapping of its own, which begins at a page."""
    import torch

    kinds = torch_types()
    if not entry.size:
        return torch.empty(entry.shape, dtype=kinds[entry.dtype])
    before = entry.start % mmap.ALLOCATIONGRANULARITY
    pages = mmap.mmap(handle, before + entry.size, access=mmap.ACCESS_READ, offset=entry.start - before)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the memory is read only: that is meant
        flat = torch.frombuffer(pages, dtype=kinds[entry.dtype], count=prod(entry.shape), offset=before)
    return flat.reshape(entry.shape)


def _shape_text(shape: Shape) -> str:
    return " x ".join(map(str, shape)) or "scalar"


def _error_text(error: Exception) -> str:
    return str(error) if type(error) is ValueError else "its header cannot be read"
