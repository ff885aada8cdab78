"""The largest resident memory of this process, counted anew on request. Light: standard library only."""

import resource
import sys
from contextlib import suppress
from pathlib import Path

CLEAR_REFS = Path("/proc/self/clear_refs")
RESET_PEAK = "5"  # see proc_pid_clear_refs(5): resets the peak resident set size


def peak_rss() -> int:
    """The largest resident set size in bytes, since `reset_peak_rss` or since the process started."""
    if sys.platform == "linux":
        with suppress(OSError, ValueError, StopIteration):
            lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
            return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in KiB


def reset_peak_rss() -> bool:
    """Count the peak anew from here on, where the system can (Linux); False where it stays that of the process."""
    with suppress(OSError):
        CLEAR_REFS.write_text(RESET_PEAK)
        return True
    return False
