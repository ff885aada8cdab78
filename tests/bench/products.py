"""Measure the ways to compute attention and matrix products on this processor: python tests/bench/products.py [ROUNDS].

These are the figures quoted in meshcli/lrm/attention.py and matrices.py: GFLOP/s by CPU seconds of one thread, the best
of some interleaved rounds; "<-" marks the way that meshcli takes on this processor.
ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16 MKL_ENABLE_INSTRUCTIONS=AVX512 switches AMX off.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Mapping

import torch
from machine import processor
from torch.nn import functional

from meshcli.lrm.attention import attend_in_blocks, blocks_are_faster
from meshcli.lrm.matrices import linear, packing_is_faster

DTYPES = (torch.float32, torch.bfloat16)
HEADS, WIDTH = 16, 64  # of the large network; the texels of a block and of all planes, and the tokens of six pictures:
ATTENTIONS = ((1024, 3072), (1024, 2406), (401, 401))
PRODUCTS = ((1024, 1024, 4096), (1024, 4096, 1024), (1024, 1024, 1024), (802, 768, 3072))  # rows, inputs, outputs

Ways = Mapping[str, Callable[[], object]]


def main() -> None:
    """Print a table of attention, and one of products with a matrix."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rounds", type=int, nargs="?", default=8)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    print(processor())
    with torch.inference_mode():
        for title, each in (("attention", attentions), ("product with a matrix", products)):
            print(f"\n| {title} | precision | | GFLOP/s |\n|---|---|---|---|")
            for size, dtype, work, ways, taken in each():
                for name, seconds in best(ways, rounds).items():
                    mark = " <-" if name == taken else ""
                    print(
                        f"| {size} | {str(dtype).removeprefix('torch.')} | {name}{mark} | {work / seconds / 1e9:.0f} |"
                    )


def attentions() -> Iterator[tuple[str, torch.dtype, float, Ways, str]]:
    """Sizes, precision, floating-point operations, ways, and which is taken."""
    for length, count in ATTENTIONS:
        for dtype in DTYPES:
            query, key, value = (torch.randn(1, HEADS, many, WIDTH).to(dtype) for many in (length, count, count))
            ways = {
                "library": lambda q=query, k=key, v=value: functional.scaled_dot_product_attention(q, k, v),
                "blocks": lambda q=query, k=key, v=value: attend_in_blocks(q, k, v),
            }
            work = 4.0 * HEADS * length * count * WIDTH
            yield f"{length} x {count}", dtype, work, ways, "blocks" if blocks_are_faster(dtype) else "library"


def products() -> Iterator[tuple[str, torch.dtype, float, Ways, str]]:
    """The same of a linear layer; packing itself is not counted, once a layer."""
    for rows, inputs, outputs in PRODUCTS:
        for dtype in DTYPES:
            given, bias = torch.randn(rows, inputs).to(dtype), torch.randn(outputs).to(dtype)
            matrix = torch.randn(outputs, inputs).to(dtype)
            packed = torch.ops.mkldnn._reorder_linear_weight(matrix)
            ways = {
                "plain": lambda g=given, m=matrix, b=bias: linear(g, m, b),
                "packed": lambda g=given, m=packed, b=bias: linear(g, m, b),
            }
            work = 2.0 * rows * inputs * outputs
            yield f"{rows} x {inputs} x {outputs}", dtype, work, ways, "packed" if packing_is_faster(dtype) else "plain"


def best(ways: Ways, rounds: int) -> dict[str, float]:
    """The least seconds of each way."""
    found = dict.fromkeys(ways, float("inf"))
    for _ in range(rounds):
        for name, work in ways.items():
            start = time.process_time()
            work()
            found[name] = min(found[name], time.process_time() - start)
    return found


if __name__ == "__main__":
    main()
