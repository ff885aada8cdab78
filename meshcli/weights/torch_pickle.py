"""What tensors a torch pickle describes, read without running anything that it asks for.

The description is read into plain containers and `Tensor` rows; every other class or function in it becomes an inert
placeholder, so that training checkpoints with whatever else inside can be used and hostile ones do nothing. Light.
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
    """A block of bytes in the archive; a tuple, so that a pickle cannot set its fields."""

    dtype: str  # a key of BYTES
    key: str


class TensorDescription(NamedTuple):
    """A tensor in a block."""

    storage: StorageReference
    offset: int  # elements
    shape: Shape
    stride: Shape  # elements


def read_tensor_table(data: bytes) -> dict[str, TensorDescription]:
    """The named tensors that a pickle describes, see `table_of`."""
    for _ in pickletools.genops(data):
        pass  # every length that is stated has been compared with what is there: nothing huge is allocated below
    found = _DescriptionUnpickler(io.BytesIO(data)).load()
    if not isinstance(found, dict):
        raise ValueError("it holds no table of tensors")
    return find_tensor_table(found, TensorDescription)


def find_tensor_table(found: Any, kind: type) -> dict[str, Any]:
    """The tensors by name in what a checkpoint holds: of its `state_dict`, or of the one table with tensors in it."""
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
    """Stands for every object that a checkpoint may hold beside tensors: accepts everything, does nothing."""

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
        raise ValueError("a tensor without a storage")
    return TensorDescription(storage, offset, _checked_shape(shape), _checked_shape(stride))


def _checked_shape(values: Any) -> Shape:
    """A shape; never a copy of something long."""
    if not isinstance(values, tuple | list) or len(values) > 16:
        raise ValueError("a shape that is none")
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


class _DescriptionUnpickler(
    pickle._Unpickler
):  # the one in Python: the other allocates as many memo slots as a pickle says
    """Plain containers and tensors; no name that a pickle gives is ever imported, no attribute ever set."""

    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)

    def find_class(self, module: str, name: str, /) -> Any:
        return RECOGNISED.get((module, name), _Placeholder)

    def persistent_load(self, pid: Any, /) -> Any:
        kind, dtype, key = pid[:3]
        known = kind == "storage" and isinstance(dtype, str) and dtype in DTYPE_BYTES and isinstance(key, str)
        return StorageReference(dtype, key) if known else _Placeholder()

    def load_build(self) -> None:
        """Drop the state that an object is to get."""
        self.stack.pop()  # type: ignore[attr-defined]

    dispatch[pickle.BUILD[0]] = load_build
