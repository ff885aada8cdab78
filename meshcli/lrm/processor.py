"""CPU features that decide which implementation is fastest."""

import torch


def has_bfloat16() -> bool:
    """Whether the CPU has instructions for bfloat16 products: AVX-512 BF16, AMX or ARM's."""
    known = torch.cpu.get_capabilities()
    return any(known.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def is_intel() -> bool:
    """Whether the CPU is Intel's: MKL, torch's float32 matrix product on x86, is tuned for these."""
    return str(torch.cpu.get_capabilities().get("cpu_name", "")).startswith("Intel")


def is_x86() -> bool:
    """Whether the CPU is x86: Intel, AMD or compatible."""
    return str(torch.cpu.get_capabilities().get("architecture", "")).startswith("x86")
