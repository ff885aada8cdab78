"""Scaled dot-product attention by whichever implementation is fastest on this machine."""

from itertools import product

import torch
from torch import Tensor
from torch.nn import functional

from meshcli.lrm.processor import has_bfloat16, is_intel
from meshcli.lrm.threads import run_in_threads

WEIGHTS_PER_BLOCK = 1 << 19  # attention weights computed at a time: two buffers of 1 MB in bfloat16 stay in the cache
QUERY_ROWS = 16  # blocks have a multiple of this many queries: the rows of an AMX tile


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention of queries (B, H, N, D) to keys and values (B, H, M, D): (B, H, N, D).

    On a CPU heads are made contiguous first, which speeds up torch's kernel by a seventh in float32.
    """
    if query.device.type != "cpu":
        return functional.scaled_dot_product_attention(query, key, value)
    query, key, value = query.contiguous(), key.contiguous(), value.contiguous()
    if blocks_are_faster(query.dtype):
        return attend_in_blocks(query, key, value)
    return functional.scaled_dot_product_attention(query, key, value)


def blocks_are_faster(dtype: torch.dtype) -> bool:
    """Whether `attend_in_blocks` is faster than torch's kernel on this CPU, by the following measurements.

    GFLOP/s of one core, 1024 queries and 3072 keys in 16 heads of 64, by tests/bench/products.py, which also says how
    AMX is disabled:

    | processor                           | float32: torch   | blocks | bfloat16: torch   | blocks |
    |-------------------------------------|------------------|--------|-------------------|--------|
    | Intel Xeon, AMX                     | 134              | 87     | 340               | 163    |
    | the same, AMX disabled              | 141              | 97     | 128               | 75     |
    | AMD, AVX-512 BF16, no AMX           | 101              |        | 90                | 250    |
    | the same, two cores, in the network | 75               |        |                   | 80     |

    The AMD rows were measured with blocks of all heads at once, whose products did not fit the cache (54 in the second
    row that way). Blocks of one head take half as long on Intel; not measured on AMD. The speed of products decides:
    AMD multiplies bfloat16 twice as fast as float32, Intel without AMX more slowly, so that torch's kernel, which
    widens to float32, wins there.
    """
    return dtype == torch.bfloat16 and has_bfloat16() and not is_intel()


def attend_in_blocks(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Same result as `attend`, for one head and some queries at a time, so that intermediates stay in the cache."""
    result = torch.empty_like(query, memory_format=torch.contiguous_format)
    query = query * query.shape[-1] ** -0.5
    length, count = query.shape[2], key.shape[2]
    rows = min(length, max(1, WEIGHTS_PER_BLOCK // (count * QUERY_ROWS)) * QUERY_ROWS)

    def attend_head(head: tuple[int, ...]) -> None:
        buffers = query.new_empty(2, rows, count)
        for part, found in zip(query[head].split(rows), result[head].split(rows), strict=True):
            products, weights = buffers[:, : len(part)]
            torch.mm(part, key[head].t(), out=products)
            torch.softmax(products, dim=-1, out=weights)
            torch.mm(weights, value[head], out=found)

    run_in_threads(attend_head, product(*map(range, query.shape[:2])), query.device)
    return result


def split_heads(tokens: Tensor, heads: int) -> Tensor:
    """(B, N, H * D) to (B, H, N, D), a view."""
    batch, length, width = tokens.shape
    return tokens.view(batch, length, heads, width // heads).transpose(1, 2)


def join_heads(tokens: Tensor) -> Tensor:
    """(B, H, N, D) to (B, N, H * D)."""
    return tokens.transpose(1, 2).flatten(2)
