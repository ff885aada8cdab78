"""Where the networks compute, and how precisely. Light: torch is imported by the functions that need it."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from meshcli.errors import MissingError, UsageError
from meshcli.settings import Precision

if TYPE_CHECKING:
    import torch

DEVICE_NAME = re.compile(r"auto|cpu|mps|cuda(:\d+)?")
FAST_BF16_FLAGS = ("amx_bf16", "amxbf16", "bf16")  # processors' flags; the last one is ARM's
AVX512_BF16_FLAGS = ("avx512_bf16", "avx512bf16")  # fast on AMD
INSTALL_HINT = "`pip install 'meshcli[models]'`, or `make models` in a clone"


def check_device(name: str) -> str:
    """The name itself; a UsageError when no machine has such a device. Needs no torch."""
    if not DEVICE_NAME.fullmatch(name):
        raise UsageError(f"--device {name}: write auto, cpu, cuda, cuda:1 or mps")
    return name


def resolve_device(name: str = "auto") -> "torch.device":
    """The device of that name; `auto` is the first GPU, else the processor.

    Raises UsageError when a named device is not there, and MissingError when torch is not installed.
    """
    check_device(name)
    require_torch()
    import torch

    present = available_devices()
    if name == "auto":
        return torch.device(next((device for device in present if device != "cpu"), "cpu"))
    device = f"{name}:0" if name == "cuda" else name
    if device not in present:
        raise UsageError(f"--device {name}: this machine has {', '.join(present)} (torch {torch.__version__})")
    return torch.device(device)


def resolve_dtype(name: Precision, device: "torch.device", auto: Literal["fp32", "fast"] = "fast") -> "torch.dtype":
    """The precision of that name on a device.

    `auto` is what an engine says it shall be: fp32, or the fast one: fp16 on CUDA and Apple's GPUs, bf16 on processors
    where it is faster, else fp32. Raises UsageError for what the device cannot do.
    """
    import torch

    if name == "auto":
        name = "fp32" if auto == "fp32" else _fast_precision(device.type)
    if name == "fp16" and device.type == "cpu":
        raise UsageError("--dtype fp16 is for GPUs; on a processor take bf16 or fp32")
    if name == "bf16" and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise UsageError(f"--dtype bf16: {torch.cuda.get_device_name(device)} has none; take fp16 or fp32")
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[name]


def available_devices() -> list[str]:
    """What torch can compute on here: cuda:0, cuda:1, mps, and always cpu, last."""
    import torch

    found = [f"cuda:{number}" for number in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    return [*found, *(["mps"] if torch.backends.mps.is_available() else []), "cpu"]


def has_fast_bf16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether this processor multiplies bf16 faster than fp32: with AMX, ARMv8.6, or AVX-512 BF16 that is not Intel's.

    GFLOP/s of one core in linear layers, fp32 and bf16, see lrm/matrices.py: Intel Xeon with AMX 162 and 1136, the same
    held to AVX-512 BF16 157 and 109, AMD with AVX-512 BF16 80 and 193. Elsewhere bf16 is emulated.
    """
    try:
        text = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    found = re.search(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    flags = set(found[1].split()) if found else set()
    intel = re.search(r"^vendor_id\s*:\s*GenuineIntel", text, re.MULTILINE)
    return not flags.isdisjoint(FAST_BF16_FLAGS if intel else FAST_BF16_FLAGS + AVX512_BF16_FLAGS)


def dtype_name(dtype: "torch.dtype") -> str:
    """As the command line writes it, for records."""
    return {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}[str(dtype).removeprefix("torch.")]


def require_torch() -> None:
    """Raise a MissingError that says how to get torch when it cannot be imported."""
    try:
        import torch  # noqa: F401
    except (ImportError, OSError) as error:  # OSError: one of its libraries is missing
        reason = "torch is not installed" if isinstance(error, ModuleNotFoundError) else f"torch: {error}"
        raise MissingError(f"this engine needs the extra `models` ({reason}): {INSTALL_HINT}") from error


def _fast_precision(device: str) -> Literal["fp32", "bf16", "fp16"]:
    if device == "cpu":
        return "bf16" if has_fast_bf16() else "fp32"
    return "fp16"
