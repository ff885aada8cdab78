"""Linear layers whose weight may be packed for oneDNN where its matrix product is the faster one."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from meshcli.lrm.processor import has_bfloat16, is_intel, is_x86


class Linear(nn.Linear):
    """torch.nn.Linear whose weight may be packed by `pack_matrix`."""

    def forward(self, input: Tensor) -> Tensor:
        """Rows (..., C) to (..., D)."""
        return linear(input, self.weight, self.bias)


def linear(rows: Tensor, matrix: Tensor, bias: Tensor | None = None) -> Tensor:
    """Rows (..., C) times a matrix (D, C), which may be packed: (..., D)."""
    if matrix.is_mkldnn:
        result: Tensor = torch.ops.mkldnn._linear_pointwise(rows, matrix, bias, "none", [], "")
        return result
    return functional.linear(rows, matrix, bias)


def pack_matrix(matrix: Tensor) -> Tensor:
    """Prepare a matrix for `linear`: a copy packed for oneDNN where that is faster, else the matrix itself."""
    if matrix.device.type != "cpu" or not packing_is_faster(matrix.dtype):
        return matrix
    result: Tensor = torch.ops.mkldnn._reorder_linear_weight(matrix)
    return result


def packing_is_faster(dtype: torch.dtype) -> bool:
    """Whether packed matrices of this dtype are faster on this CPU, by the following measurements.

    GFLOP/s of one core, 1024 rows by a matrix of 1024 x 4096, by tests/bench/products.py. Packing, 2 ms each, is not
    counted; a packed matrix serves three products:

    | processor                           | float32: plain | packed | bfloat16: plain | packed |
    |-------------------------------------|----------------|--------|-----------------|--------|
    | Intel Xeon, AMX                     | 162            | 161    | 916             | 1136   |
    | the same, AMX disabled              | 157            | 160    | 101             | 109    |
    | AMD, AVX-512 BF16, no AMX           | 94             | 200    |                 |        |
    | the same, two cores, in the network | 80             | 95     | 193             |        |
    """
    # torch has no public names for these operations; without the private ones nothing is packed.
    available = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")
    if not (available and is_x86()):
        return False
    return has_bfloat16() if dtype == torch.bfloat16 else dtype == torch.float32 and not is_intel()
