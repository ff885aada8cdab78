"""Pickled checkpoints (.ckpt, .bin, .pt) to safetensors, without running anything that a pickle asks for.

torch's files are zip archives: data.pkl, which describes tensors (see torch_pickle.py), and a file with the bytes of
each storage. The bytes are copied from file to file, checksums tested on the way: memory stays small, and torch is not
needed. Files of torch before 1.6 are no archives; `torch.load(weights_only=True)` reads them.
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
from meshcli.weights.safetensors_file import DTYPE_BYTES, Shape, network_names, torch_types
from meshcli.weights.torch_pickle import TensorDescription, find_tensor_table, read_tensor_table

MAX_PICKLE_BYTES = 8_000_000  # bytes; a description of 700 tensors takes 0.1 MB
COPY_BYTES = 1 << 24  # bytes copied at a time
LEGACY_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # how torch's files began then: a pickled magic number
DAMAGE_ERRORS = (
    ValueError, KeyError, TypeError, AttributeError, IndexError, EOFError, OverflowError, RuntimeError,
    pickle.UnpicklingError, struct.error, zipfile.BadZipFile,
)  # fmt: skip


@dataclass(frozen=True)
class TensorSource:
    """What becomes one tensor of the new file."""

    dtype: str
    shape: Shape
    chunks: Iterable[bytes]  # read when it is its turn


def convert_checkpoint(
    source: Path, target: Path, prefix: str = "", metadata: Mapping[str, str] | None = None, progress: Progress = silent
) -> None:
    """Write the tensors of a pickled checkpoint as safetensors; the file appears whole or not at all.

    Only keys with the prefix are kept, without it; see `own_names`. Raises MissingError, naming the source and the
    reason, when it is damaged, hostile or holds no such tensors.
    """
    with _damage_explained(source), source.open("rb") as file:
        what = f"converting {source.name}"
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                contents = _network_tensors(_archive_tensors(archive, source.stat().st_size), prefix)
                _write_safetensors(target, contents, metadata or {}, what, progress)
        else:
            _write_safetensors(
                target, _network_tensors(_legacy_tensors(source), prefix), metadata or {}, what, progress
            )


def read_shapes(source: Path, prefix: str = "") -> dict[str, Shape]:
    """Names and shapes of the tensors of a pickled checkpoint, without reading them."""
    with _damage_explained(source), source.open("rb") as file:
        if not zipfile.is_zipfile(file):
            return {name: content.shape for name, content in _network_tensors(_legacy_tensors(source), prefix).items()}
        with zipfile.ZipFile(file) as archive:
            contents = _network_tensors(_archive_tensors(archive, source.stat().st_size), prefix)
            return {name: content.shape for name, content in contents.items()}


@contextmanager
def _damage_explained(source: Path) -> Iterator[None]:
    """Whatever is wrong with a file is one line that names it."""
    try:
        yield
    except (*DAMAGE_ERRORS, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # EINVAL: a place before the file's beginning
            raise
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise MissingError(f"{source} cannot be used as a checkpoint ({reason}); fetch it again") from error


def _archive_tensors(archive: zipfile.ZipFile, size: int) -> dict[str, TensorSource]:
    """The tensors of an archive as torch writes it; `size` in bytes is the whole file's."""
    members = {member.filename: member for member in archive.infolist()}
    root = next((name.removesuffix("data.pkl") for name in members if name.split("/", 1)[-1] == "data.pkl"), None)
    if root is None:
        raise ValueError("it is an archive without data.pkl")
    if any(member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1 for member in members.values()):
        raise ValueError("it is compressed or encrypted, which torch never does")
    if any(member.file_size != member.compress_size or member.file_size > size for member in members.values()):
        raise ValueError("it states sizes that are not there")
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
    """Reads tensors out of an archive, never more in all than a multiple of what is there."""

    def __init__(
        self, archive: zipfile.ZipFile, root: str, members: Mapping[str, zipfile.ZipInfo], budget: int
    ) -> None:
        self.archive, self.root, self.members = archive, root, members
        self.budget = budget  # bytes that may be read

    def tensor_source(self, name: str, tensor: TensorDescription) -> TensorSource:
        """A tensor's shape, checked against its storage, and its bytes."""
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
        """The bytes of a storage; a wrong checksum is an error at the end."""
        with self.archive.open(member) as file:
            while chunk := file.read(COPY_BYTES):
                yield chunk

    def _strided_bytes(self, member: zipfile.ZipInfo, tensor: TensorDescription) -> Iterator[bytes]:
        """The bytes of a part of a storage, in the order of the tensor's axes."""
        import numpy as np

        width = DTYPE_BYTES[tensor.storage.dtype]
        flat = np.frombuffer(self.archive.read(member), f"u{width}")
        strides = [step * width for step in tensor.stride]
        yield np.lib.stride_tricks.as_strided(flat[tensor.offset :], tensor.shape, strides).tobytes()


def contiguous_strides(shape: Shape) -> Shape:
    """The strides, in elements, of a tensor without gaps."""
    return tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))


def _legacy_tensors(source: Path) -> dict[str, TensorSource]:
    """The tensors of a file by torch before 1.6."""
    with source.open("rb") as file:
        start = file.read(len(LEGACY_MAGIC))
    if start != LEGACY_MAGIC:
        raise ValueError("an archive that was cut off" if start[:2] == b"PK" else "torch did not write it")
    from meshcli.weights.device import require_torch

    require_torch()
    import torch

    kinds = {kind: name for name, kind in torch_types().items()}
    try:
        found = torch.load(source, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError("it is an old checkpoint that holds more than tensors") from error
    return {
        name: TensorSource(kinds[tensor.dtype], tuple(tensor.shape), _tensor_bytes(tensor))
        for name, tensor in find_tensor_table(found, torch.Tensor).items()
    }


def _tensor_bytes(tensor: Any) -> Iterator[bytes]:
    import torch

    yield tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes()


def _network_tensors(contents: Mapping[str, TensorSource], prefix: str) -> dict[str, TensorSource]:
    """Those of the network, by their names in it; a ValueError when there are none."""
    if not contents:
        raise ValueError("it has no tensors")
    found = {name: contents[stored] for stored, name in network_names(contents, prefix).items()}
    if not any(prefix in name for name in contents) and not any(name.startswith(LRM_PARTS) for name in found):
        raise ValueError(f"it has no tensors whose names begin with {prefix}")
    return found


def _write_safetensors(
    target: Path, contents: Mapping[str, TensorSource], metadata: Mapping[str, str], what: str, progress: Progress
) -> None:
    """A safetensors file: its length, its header, and the tensors, widest type first so that each is aligned."""
    order = sorted(contents.items(), key=lambda item: (-DTYPE_BYTES[item[1].dtype], item[0]))
    table: dict[str, Any] = {"__metadata__": {"format": "pt", **metadata}}
    total = 0
    for name, content in order:
        size = prod(content.shape) * DTYPE_BYTES[content.dtype]
        offsets = [total, total + size]
        table[name] = {"dtype": content.dtype, "shape": list(content.shape), "data_offsets": offsets}
        total += size
    header = json.dumps(table).encode()
    header += b" " * (-len(header) % 8)
    with replacing(target) as temporary, temporary.open("xb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        done = 0
        for name, content in order:
            done += _write_tensor(content, name, file)
            progress(done >> 20, total >> 20, what)


def _write_tensor(content: TensorSource, name: str, file: BinaryIO) -> int:
    """Write one tensor; what was stated about it must be what came."""
    written = sum(file.write(chunk) for chunk in content.chunks)
    if written != prod(content.shape) * DTYPE_BYTES[content.dtype]:
        raise ValueError(f"{name}: {written:,} bytes do not make {content.shape}")
    return written
