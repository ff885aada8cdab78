"""Device and precision of the networks. Light: torch is imported by the functions that need it."""

import json
import re
import shlex
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from meshcli.errors import MissingError, UsageError
from meshcli.settings import Precision

if TYPE_CHECKING:
    import torch

DEVICE_NAME = re.compile(r"auto|cpu|mps|cuda(:\d+)?")
FAST_BF16_FLAGS = ("amx_bf16", "amxbf16", "bf16")  # CPU flags; the last one is ARM's
AVX512_BF16_FLAGS = ("avx512_bf16", "avx512bf16")  # CPU flags; faster than fp32 on AMD only, see `has_fast_bf16`
SOURCE = Path(__file__).parents[2]  # of a clone, where the package is not installed from an index or a wheel


@cache
def install_hint() -> str:
    """The command that installs the extra `models` to where this package came from: a clone, a file or an index."""
    if (SOURCE / "pyproject.toml").is_file():
        return f"`make -C {shlex.quote(str(SOURCE))} models`, or `pip install '.[models]'` there"
    with suppress(PackageNotFoundError, ValueError):
        origin = json.loads(distribution("meshcli").read_text("direct_url.json") or "{}")
        if url := origin.get("url"):
            vcs = origin.get("vcs_info", {}).get("vcs")
            return f"`pip install 'meshcli[models] @ {vcs + '+' if vcs else ''}{url}'`"
    return "`pip install 'meshcli[models]'`"


def check_device(name: str) -> str:
    """Return the name; UsageError when it names no kind of device. Needs no torch."""
    if not DEVICE_NAME.fullmatch(name):
        raise UsageError(f"--device {name}: write auto, cpu, cuda, cuda:1 or mps")
    return name


def resolve_device(name: str = "auto") -> "torch.device":
    """The torch device of that name; `auto` is the first GPU, else the CPU.

    Raises UsageError when this machine has no such device, MissingError when torch is not installed.
    """
    check_device(name)
    require_torch()
    import torch

    available = available_devices()
    if name == "auto":
        return torch.device(next((device for device in available if device != "cpu"), "cpu"))
    device = f"{name}:0" if name == "cuda" else name
    if device not in available:
        raise UsageError(f"--device {name}: this machine has {', '.join(available)} (torch {torch.__version__})")
    return torch.device(device)


def resolve_dtype(name: Precision, device: "torch.device", auto: Literal["fp32", "fast"] = "fast") -> "torch.dtype":
    """The torch dtype of that name on a device.

    For the name `auto`, the argument `auto` decides: fp32, or the fastest: fp16 on CUDA and Apple GPUs, bf16 on CPUs
    where it is faster, else fp32. Raises UsageError for a precision that the device does not support.
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
    """Names of torch's devices on this machine: cuda:0, cuda:1, mps, and last, always, cpu."""
    import torch

    gpus = [f"cuda:{number}" for number in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    return [*gpus, *(["mps"] if torch.backends.mps.is_available() else []), "cpu"]


def has_fast_bf16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether this CPU multiplies bf16 faster than fp32: with AMX, ARMv8.6, or AMD's AVX-512 BF16.

    GFLOP/s of one core in linear layers, fp32 and bf16 (see lrm/matrices.py): Intel Xeon, AMX, 162 and 1136, the same
    with AMX disabled 157 and 109, AMD with AVX-512 BF16 80 and 193. Other CPUs emulate bf16.
    """
    try:
        text = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    line = re.search(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    flags = set(line[1].split()) if line else set()
    intel = re.search(r"^vendor_id\s*:\s*GenuineIntel", text, re.MULTILINE)
    return not flags.isdisjoint(FAST_BF16_FLAGS if intel else FAST_BF16_FLAGS + AVX512_BF16_FLAGS)


def dtype_name(dtype: "torch.dtype") -> str:
    """Name of a dtype as on the command line, for records."""
    return {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}[str(dtype).removeprefix("torch.")]


def require_torch() -> None:
    """Raise a MissingError with install instructions when torch cannot be imported."""
    try:
        import torch  # noqa: F401
    except (ImportError, OSError) as error:  # OSError: one of its libraries is missing
        reason = "torch is not installed" if isinstance(error, ModuleNotFoundError) else f"torch: {error}"
        raise MissingError(f"this engine needs the extra `models` ({reason}): {install_hint()}") from error


def _fast_precision(device: str) -> Literal["fp32", "bf16", "fp16"]:
    if device == "cpu":
        return "bf16" if has_fast_bf16() else "fp32"
    return "fp16"
