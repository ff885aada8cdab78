"""Reads which tensors a torch pickle describes, without importing or calling anything it names.

Plain containers and tensors are recognised; every other class or function becomes an inert placeholder. Training
checkpoints with other objects inside can be used, and hostile ones do nothing. Light.
"""

import io
import pickle
import pickletools
from typing import Any, ClassVar, NamedTuple

from meshcli.weights.safetensors_file import DTYPE_BYTES, Shape

STORAGE_DTYPES = {
    "DoubleStorage": "F64", "FloatStorage": "F32", "HalfStorage": "F16", "BFloat16Storage": "BF16",
    "LongStorage": "I64", "IntStorage": "I32", "ShortStorage": "I16", "CharStorage": "I8", "ByteStorage": "U8",
    "BoolStorage": "BOOL",
}  # fmt: skip


class StorageReference(NamedTuple):
    """A storage in the archive; a tuple, so that a pickle cannot set its fields."""

    dtype: str  # a key of DTYPE_BYTES
    key: str


class TensorDescription(NamedTuple):
    """A tensor as a view of a storage."""

    storage: StorageReference
    offset: int  # elements
    shape: Shape
    stride: Shape  # elements


def read_tensor_table(data: bytes) -> dict[str, TensorDescription]:
    """The named tensors that a pickle describes; see `find_tensor_table`."""
    for _ in pickletools.genops(data):
        pass  # checks every stated length against the data, so that nothing huge is allocated below
    found = _DescriptionUnpickler(io.BytesIO(data)).load()
    if not isinstance(found, dict):
        raise ValueError("it holds no table of tensors")
    return find_tensor_table(found, TensorDescription)


def find_tensor_table(found: Any, kind: type) -> dict[str, Any]:
    """Tensors by name in a loaded checkpoint: those of its `state_dict`, or of the only dictionary that has any."""
    if not isinstance(found, dict):
        return {}
    if isinstance(found.get("state_dict"), dict):
        found = found["state_dict"]
    tensors = {name: value for name, value in found.items() if isinstance(name, str) and isinstance(value, kind)}
    tables = [value for value in found.values() if _contains_tensor(value, kind)]
    return tensors or (find_tensor_table(tables[0], kind) if len(tables) == 1 else {})


def _contains_tensor(value: object, kind: type) -> bool:
    return isinstance(value, dict) and any(isinstance(each, kind) for each in value.values())


class _Placeholder:
    """Stands for any other object in a checkpoint: accepts every operation and does nothing."""

    def __new__(cls, *_: object, **__: object) -> "_Placeholder":
        return super().__new__(cls)

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __call__(self, *_: object, **__: object) -> "_Placeholder":
        return self

    def __setitem__(self, key: object, value: object) -> None:
        pass

    def append(self, item: object) -> None:
        """Like a list."""

    def extend(self, items: object) -> None:
        """Like a list."""

    def add(self, item: object) -> None:
        """Like a set."""


def _describe_tensor(storage: StorageReference, offset: int, shape: Any, stride: Any, *_: object) -> TensorDescription:
    if not isinstance(storage, StorageReference):
        raise ValueError("a tensor has no storage")
    return TensorDescription(storage, offset, _checked_shape(shape), _checked_shape(stride))


def _checked_shape(values: Any) -> Shape:
    """Turn a pickled shape or stride into a tuple; ValueError when it is none or has too many axes."""
    if not isinstance(values, tuple | list) or len(values) > 16:
        raise ValueError("a tensor has an invalid shape")
    return tuple(values)


def _unwrap_parameter(tensor: object, *_: object) -> object:
    return tensor


def _empty_dict(*_: object) -> dict[Any, Any]:
    return {}


RECOGNISED: dict[tuple[str, str], Any] = {
    ("torch._utils", "_rebuild_tensor"): _describe_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _describe_tensor,
    ("torch._utils", "_rebuild_parameter"): _unwrap_parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _unwrap_parameter,
    ("torch", "Size"): _checked_shape,
    ("collections", "OrderedDict"): _empty_dict,
    **{("torch", name): dtype for name, dtype in STORAGE_DTYPES.items()},
}


class _DescriptionUnpickler(pickle._Unpickler):  # the Python one: C's allocates as many memo slots as a pickle asks for
    """Builds plain containers and tensor descriptions; imports no name and sets no attribute that a pickle gives."""

    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)

    def find_class(self, module: str, name: str, /) -> Any:
        return RECOGNISED.get((module, name), _Placeholder)

    def persistent_load(self, pid: Any, /) -> Any:
        kind, dtype, key = pid[:3]
        recognised = kind == "storage" and isinstance(dtype, str) and dtype in DTYPE_BYTES and isinstance(key, str)
        return StorageReference(dtype, key) if recognised else _Placeholder()

    def load_build(self) -> None:
        """Drop the state instead of setting it."""
        self.stack.pop()  # type: ignore[attr-defined]

    dispatch[pickle.BUILD[0]] = load_build
