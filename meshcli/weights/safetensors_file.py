"""Reads safetensors files: headers without torch, and tensors each memory-mapped on its own.

A tensor's mapping is closed with it, so a tensor that is cast, packed or copied to a GPU leaves nothing resident;
safetensors' own reader keeps the whole file mapped while any tensor lives. Light until tensors are read.
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
MAX_HEADER_BYTES = 100_000_000  # the limit of the safetensors library
Shape = tuple[int, ...]
Rename = Callable[[str], str | None]  # name in the file -> name in the network, or None to skip


@dataclass(frozen=True)
class TensorEntry:
    """Header entry of one tensor."""

    dtype: str  # a key of DTYPE_BYTES
    shape: Shape
    start: int  # bytes from the beginning of the file
    size: int  # bytes


@dataclass(frozen=True)
class Header:
    """Parsed header of a file."""

    entries: Mapping[str, TensorEntry]
    metadata: Mapping[str, str]

    @property
    def shapes(self) -> dict[str | None, Shape]:
        """Names and shapes, as `check_shapes` takes them."""
        return {name: entry.shape for name, entry in self.entries.items()}

    def for_network(self, prefix: str) -> "Header":
        """Keep one network's tensors, under their names in it; see `network_names`."""
        names = network_names(self.entries, prefix)
        return Header({name: self.entries[stored] for stored, name in names.items()}, self.metadata)


def network_names(names: Iterable[str], prefix: str) -> dict[str, str]:
    """Map names in a file to names in a network whose tensors have this prefix there; "" keeps all names.

    Whatever precedes the prefix (`state_dict.`, `module.`) is stripped with it. When no name has it, only leading parts
    that all names share are stripped. `source_camera`, part of no network, is dropped as in InstantMesh's code.
    """
    if not prefix:
        return {name: name for name in names}
    kept = [name for name in names if "source_camera" not in name]
    stripped = {name: f".{name}".partition(f".{prefix}")[2] for name in kept}
    stripped = {name: tail for name, tail in stripped.items() if tail} or _strip_common_parts(kept)
    shortest = {
        stripped[name]: name for name in sorted(stripped, key=len, reverse=True)
    }  # of duplicates the least nested wins
    return {name: tail for tail, name in shortest.items()}


def _strip_common_parts(names: Iterable[str]) -> dict[str, str]:
    """Strip leading components that all names share."""
    stripped = {name: name for name in names}
    while len(stripped) > 1 and all("." in tail for tail in stripped.values()):
        first, *others = {tail.partition(".")[0] for tail in stripped.values()}
        if others:
            break
        stripped = {name: tail.removeprefix(f"{first}.") for name, tail in stripped.items()}
    return stripped


def read_header(path: Path) -> Header:
    """Read a file's header and check it against the file's size; MissingError when it is damaged."""
    try:
        if path.exists() and not path.is_file():  # opening a pipe would block
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
    """The tensors of a safetensors file by name, memory-mapped and read-only unless cast or moved.

    `dtype` casts floating point tensors, one by one. With a prefix, only that network's tensors: see `network_names`.
    """
    header = read_header(path).for_network(prefix)
    tensors = {}
    with path.open("rb") as file:
        for name, entry in header.entries.items():
            target = rename(name) if rename else name
            if target is not None:
                tensor = _map_tensor(file.fileno(), entry)
                tensors[target] = tensor.to(device, dtype if tensor.is_floating_point() else None)
    return tensors


def load_into(
    module: "nn.Module",
    path: Path,
    dtype: "torch.dtype | None" = None,
    device: "torch.device | str" = "cpu",
    rename: Rename | None = None,
) -> None:
    """Load a file into a network, best built on the meta device; names and shapes must match exactly.

    Buffers outside the network's state dict are left to the caller. Raises MissingError, see `check_shapes`.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    found = read_header(path).shapes
    if rename:
        found = {rename(name): shape for name, shape in found.items() if name is not None}
    check_shapes(path, found, expected)
    module.requires_grad_(False)
    module.load_state_dict(state_dict(path, dtype, device, rename), strict=True, assign=True)


def check_shapes(path: Path, found: Mapping[str | None, Shape], expected: Mapping[str, Shape]) -> None:
    """Raise a MissingError with the file, the first tensor that does not match, and the expected shape."""
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
    """Parse a tensor's row; ValueError unless its offsets lie in the file and fit its shape."""
    shape = tuple(row["shape"])
    start, stop = row["data_offsets"]
    whole = all(isinstance(number, int) and number >= 0 for number in (*shape, start, stop))
    if not whole or stop - start != prod(shape) * DTYPE_BYTES[row["dtype"]]:
        raise ValueError("a tensor's place does not fit its shape")
    if offset + stop > size:
        raise ValueError(f"it is cut off: {offset + stop:,} bytes at least expected, {size:,} found")
    return TensorEntry(row["dtype"], shape, offset + start, stop - start)


def torch_dtypes() -> "dict[str, torch.dtype]":
    """The dtypes of safetensors files by their names there."""
    import torch

    return {
        "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
        "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
    }  # fmt: skip


def _map_tensor(descriptor: int, entry: TensorEntry) -> "torch.Tensor":
    """Map one tensor; a mapping must start at a page boundary."""
    import torch

    dtypes = torch_dtypes()
    if not entry.size:
        return torch.empty(entry.shape, dtype=dtypes[entry.dtype])
    before = entry.start % mmap.ALLOCATIONGRANULARITY
    pages = mmap.mmap(descriptor, before + entry.size, access=mmap.ACCESS_READ, offset=entry.start - before)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the memory is read-only, as intended
        flat = torch.frombuffer(pages, dtype=dtypes[entry.dtype], count=prod(entry.shape), offset=before)
    return flat.reshape(entry.shape)


def _shape_text(shape: Shape) -> str:
    return " x ".join(map(str, shape)) or "scalar"


def _error_text(error: Exception) -> str:
    return str(error) if type(error) is ValueError else "its header cannot be read"
