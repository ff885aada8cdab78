"""Converts pickled checkpoints (.ckpt, .bin, .pt) to safetensors without executing anything in them.

torch's files are zip archives: data.pkl, which describes the tensors (see torch_pickle.py), and one member with the
bytes of each storage. The bytes are copied in chunks and their CRC is tested on the way.

`torch.load` would not do, even with `weights_only=True` and `mmap=True`: it refuses training checkpoints with other
objects inside, ignores the CRCs, accepts views far larger than their storage, and keeps the whole file mapped
(converting 0.67 GB peaks at 0.92 GB resident, 0.23 of them torch itself, against 0.04). It reads only what is no
archive: files from before torch 1.6.
"""

import errno
import json
import pickle
import struct
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

from meshcli.errors import MissingError
from meshcli.progress import Progress, silent
from meshcli.system.atomic_files import replacing
from meshcli.weights.catalogue import LRM_PARTS
from meshcli.weights.safetensors_file import DTYPE_BYTES, Shape, network_names, torch_dtypes
from meshcli.weights.torch_pickle import TensorDescription, find_tensor_table, read_tensor_table

MAX_PICKLE_BYTES = 8_000_000  # of data.pkl; the description of 700 tensors takes 0.1 MB
COPY_BYTES = 1 << 24  # copied at a time
LEGACY_MAGIC = (
    b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # first bytes of files from before torch 1.6, pickled MAGIC_NUMBER
)
DAMAGE_ERRORS = (
    ValueError, KeyError, TypeError, AttributeError, IndexError, EOFError, OverflowError, RuntimeError,
    pickle.UnpicklingError, struct.error, zipfile.BadZipFile,
)  # fmt: skip


@dataclass(frozen=True)
class TensorSource:
    """A tensor to be written to the new file."""

    dtype: str
    shape: Shape
    chunks: Iterable[bytes]  # read lazily


def convert_checkpoint(
    source: Path, target: Path, prefix: str = "", metadata: Mapping[str, str] | None = None, progress: Progress = silent
) -> None:
    """Write the tensors of a pickled checkpoint as safetensors; the file appears whole or not at all.

    Keeps only the network's tensors, under their names in it; see `network_names`. Raises MissingError, with the file
    and the reason, when it is damaged, hostile or has no such tensors.
    """
    with _open_checkpoint(source, prefix) as tensors:
        _write_safetensors(target, tensors, metadata or {}, f"converting {source.name}", progress)


def read_shapes(source: Path, prefix: str = "") -> dict[str, Shape]:
    """Names and shapes of a pickled checkpoint's tensors, without reading their data; raises MissingError."""
    with _open_checkpoint(source, prefix) as tensors:
        return {name: tensor.shape for name, tensor in tensors.items()}


@contextmanager
def _open_checkpoint(source: Path, prefix: str) -> Iterator[dict[str, TensorSource]]:
    """The network's tensors in a checkpoint, readable inside the block; damage found there becomes a MissingError."""
    try:
        with source.open("rb") as file:
            if zipfile.is_zipfile(file):
                with zipfile.ZipFile(file) as archive:
                    yield _select(_archive_tensors(archive, source.stat().st_size), prefix)
            else:
                yield _select(_legacy_tensors(source), prefix)
    except (*DAMAGE_ERRORS, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # EINVAL: a seek to before the file's beginning
            raise
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise MissingError(f"{source} cannot be used as a checkpoint ({reason}); fetch it again") from error


def _archive_tensors(archive: zipfile.ZipFile, size: int) -> dict[str, TensorSource]:
    """The tensors of a torch archive of `size` bytes; ValueError for what torch would not have written."""
    members = {member.filename: member for member in archive.infolist()}
    root = next((name.removesuffix("data.pkl") for name in members if name.split("/", 1)[-1] == "data.pkl"), None)
    if root is None:
        raise ValueError("it is an archive without data.pkl")
    if any(member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1 for member in members.values()):
        raise ValueError("it has compressed or encrypted members, which torch never writes")
    if any(member.file_size != member.compress_size or member.file_size > size for member in members.values()):
        raise ValueError("its directory states sizes that are not there")
    if f"{root}byteorder" in members and archive.read(f"{root}byteorder") != b"little":
        raise ValueError("it was written on a big-endian machine")
    if members[f"{root}data.pkl"].file_size > MAX_PICKLE_BYTES:
        raise ValueError("its data.pkl is too large to be a description of tensors")
    reader = _ArchiveReader(archive, root, members, 2 * size)
    return {
        name: reader.tensor_source(name, tensor)
        for name, tensor in read_tensor_table(archive.read(f"{root}data.pkl")).items()
    }


class _ArchiveReader:
    """Reads tensors out of an archive, limiting the total size: many tensors may share one storage."""

    def __init__(
        self, archive: zipfile.ZipFile, root: str, members: Mapping[str, zipfile.ZipInfo], budget: int
    ) -> None:
        self.archive, self.root, self.members = archive, root, members
        self.budget = budget  # bytes that may still be read

    def tensor_source(self, name: str, tensor: TensorDescription) -> TensorSource:
        """Check a tensor's shape and stride against its storage, and open its bytes."""
        (dtype, key), offset, shape, stride = tensor
        member = self.members.get(f"{self.root}data/{key}")
        if member is None:
            raise ValueError(f"{name}: its storage {key} is not in the archive")
        numbers = (offset, *shape, *stride)
        if len(shape) != len(stride) or not all(type(number) is int and 0 <= number < 2**48 for number in numbers):
            raise ValueError(f"{name}: shape {shape} and stride {stride} make no tensor")
        last = offset + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
        if prod(shape) and (last + 1) * DTYPE_BYTES[dtype] > member.file_size:
            raise ValueError(f"{name}: shape {shape} needs more than the {member.file_size:,} bytes that are there")
        size = prod(shape) * DTYPE_BYTES[dtype]
        whole = size == member.file_size and stride == contiguous_strides(shape)
        self.budget -= size if whole else size + member.file_size
        if self.budget < 0:
            raise ValueError("its tensors share their storage too often")
        return TensorSource(dtype, shape, self._storage_bytes(member) if whole else self._strided_bytes(member, tensor))

    def _storage_bytes(self, member: zipfile.ZipInfo) -> Iterator[bytes]:
        """The bytes of a whole storage; BadZipFile after the last chunk if its CRC is wrong."""
        with self.archive.open(member) as file:
            while chunk := file.read(COPY_BYTES):
                yield chunk

    def _strided_bytes(self, member: zipfile.ZipInfo, tensor: TensorDescription) -> Iterator[bytes]:
        """The bytes of a view of a storage, in row-major order."""
        import numpy as np

        width = DTYPE_BYTES[tensor.storage.dtype]
        flat = np.frombuffer(self.archive.read(member), f"u{width}")
        strides = [step * width for step in tensor.stride]
        yield np.lib.stride_tricks.as_strided(flat[tensor.offset :], tensor.shape, strides).tobytes()


def contiguous_strides(shape: Shape) -> Shape:
    """Strides, in elements, of a contiguous row-major tensor."""
    return tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))


def _legacy_tensors(source: Path) -> dict[str, TensorSource]:
    """The tensors of a file written by torch before 1.6."""
    with source.open("rb") as file:
        start = file.read(len(LEGACY_MAGIC))
    if start != LEGACY_MAGIC:
        raise ValueError("an archive that was cut off" if start[:2] == b"PK" else "torch did not write it")
    from meshcli.weights.device import require_torch

    require_torch()
    import torch

    dtype_names = {dtype: name for name, dtype in torch_dtypes().items()}
    try:
        loaded = torch.load(source, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError("it is an old checkpoint that holds more than tensors") from error
    return {
        name: TensorSource(dtype_names[tensor.dtype], tuple(tensor.shape), _tensor_bytes(tensor))
        for name, tensor in find_tensor_table(loaded, torch.Tensor).items()
    }


def _tensor_bytes(tensor: Any) -> Iterator[bytes]:
    import torch

    yield tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes()


def _select(tensors: Mapping[str, TensorSource], prefix: str) -> dict[str, TensorSource]:
    """The network's tensors, under their names in it; ValueError when there are none."""
    if not tensors:
        raise ValueError("it has no tensors")
    selected = {name: tensors[stored] for stored, name in network_names(tensors, prefix).items()}
    if not any(prefix in name for name in tensors) and not any(name.startswith(LRM_PARTS) for name in selected):
        raise ValueError(f"it has no tensors whose names begin with {prefix}")
    return selected


def _write_safetensors(
    target: Path, tensors: Mapping[str, TensorSource], metadata: Mapping[str, str], what: str, progress: Progress
) -> None:
    """Write header length, header and tensors, those of the widest dtype first so that each is aligned."""
    order = sorted(tensors.items(), key=lambda item: (-DTYPE_BYTES[item[1].dtype], item[0]))
    table: dict[str, Any] = {"__metadata__": {"format": "pt", **metadata}}
    total = 0
    for name, tensor in order:
        size = prod(tensor.shape) * DTYPE_BYTES[tensor.dtype]
        offsets = [total, total + size]
        table[name] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": offsets}
        total += size
    header = json.dumps(table).encode()
    header += b" " * (-len(header) % 8)
    with replacing(target) as temporary, temporary.open("xb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        done = 0
        for name, tensor in order:
            done += _write_tensor(tensor, name, file)
            progress(done >> 20, total >> 20, what)


def _write_tensor(tensor: TensorSource, name: str, file: BinaryIO) -> int:
    """Write one tensor and return its size in bytes; ValueError when that does not fit its shape."""
    written = sum(file.write(chunk) for chunk in tensor.chunks)
    if written != prod(tensor.shape) * DTYPE_BYTES[tensor.dtype]:
        raise ValueError(f"{name}: {written:,} bytes do not make {tensor.shape}")
    return written
