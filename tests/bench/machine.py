"""The description of the processor that stands beside measured figures."""

import os
import platform
from pathlib import Path

FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
LIMITS = ("ONEDNN_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS", "ATEN_CPU_CAPABILITY")  # what the libraries may not use


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Its name and model, what it knows of vectors and bf16, and what of that is held off in this environment."""
    try:
        text = cpuinfo.read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    lines = (line.partition(":") for line in text.splitlines())
    table = {key.strip(): value.strip() for key, _, value in lines}
    name = f"{table.get('model name', '?')}, family {table.get('cpu family', '?')} model {table.get('model', '?')}"
    known = " ".join(flag for flag in FLAGS if flag in table.get("flags", "").split())
    limits = " ".join(f"{limit}={os.environ[limit]}" for limit in LIMITS if limit in os.environ)
    return f"{name} ({known or 'no avx2'})" + (f", held to {limits}" if limits else "")
