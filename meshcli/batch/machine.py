"""What this machine has for workers: processors, memory, GPUs. Light: standard library only."""

import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from meshcli.system.memory_check import available_cores

MEMORY_SHARE = 0.9  # of the memory that is free at the start, which a batch may fill; by choice
UNKNOWN_MEMORY = 4 * 2**30  # bytes assumed where the system does not tell
NVIDIA_GPUS = Path("/proc/driver/nvidia/gpus")
CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Machine:
    """What a batch may use."""

    cores: int
    memory: int  # bytes
    gpus: tuple[str, ...] = ()  # as CUDA_VISIBLE_DEVICES names each


def this_machine() -> Machine:
    """What this machine has left now."""
    return Machine(available_cores(), int(_free_memory() * MEMORY_SHARE), _gpus())


def _free_memory() -> int:
    """Bytes that processes can still take: of the machine, or of the container that this process is in."""
    room = [room for room in (_free_of_machine(), _free_of_cgroup()) if room]
    return min(room, default=UNKNOWN_MEMORY)


def _free_of_machine() -> int:
    if sys.platform == "linux":
        with suppress(OSError, ValueError, StopIteration):
            lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
            return int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1]) * 1024
    with suppress(OSError, ValueError, AttributeError):  # macOS tells what it has, not what is free
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return 0


def _free_of_cgroup() -> int:
    """What the limit of a control group leaves, of version 2 or 1; 0 where there is none."""
    for limit, used in (
        (CGROUPS / "memory.max", CGROUPS / "memory.current"),
        (CGROUPS / "memory" / "memory.limit_in_bytes", CGROUPS / "memory" / "memory.usage_in_bytes"),
    ):
        with suppress(OSError, ValueError):  # "max" is no number: there is no limit
            return max(int(limit.read_text()) - int(used.read_text()), 0)
    return 0


def _gpus() -> tuple[str, ...]:
    """The GPUs that CUDA shows a process."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return tuple(name.strip() for name in named.split(",") if name.strip() not in ("", "-1"))
    with suppress(OSError):
        return tuple(str(number) for number, _ in enumerate(NVIDIA_GPUS.iterdir()))
    return ()
