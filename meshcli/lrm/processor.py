"""What the processor that computes is fast at."""

import torch


def has_bfloat16() -> bool:
    """Whether it has instructions for products of bfloat16: AVX-512 BF16, AMX or ARM's."""
    known = torch.cpu.get_capabilities()
    return any(known.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def is_intel() -> bool:
    """Whether it is one that MKL, which torch multiplies matrices of float32 with on x86, was written for."""
    return str(torch.cpu.get_capabilities().get("cpu_name", "")).startswith("Intel")


def is_x86() -> bool:
    """Whether it is one of Intel's, AMD's or their like."""
    return str(torch.cpu.get_capabilities().get("architecture", "")).startswith("x86")
