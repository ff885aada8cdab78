"""torch.compile for the UNet's blocks: costs minutes once per machine, then every step is faster."""

from collections.abc import Iterator
from contextlib import contextmanager

from diffusers.models.attention import FeedForward
from diffusers.models.resnet import ResnetBlock2D
from torch import nn

from meshcli.errors import MissingError

# Graphs of one class of block: one for each number of channels and feature map size; a UNet has fewer than this many
# blocks. Beyond torch's default, 8, further sizes would run uncompiled.
RECOMPILE_LIMIT = 128


@contextmanager
def compiled_blocks(unet: nn.Module) -> Iterator[None]:
    """Compile the residual and feed-forward blocks of a UNet; attentions stay eager, they cache keys between passes.

    Each block is compiled on its first call. Results agree to rounding. Raises MissingError when compilation fails: it
    takes a C++ compiler on a CPU and Triton on CUDA.
    """
    from torch._dynamo import config
    from torch._dynamo.exc import TorchDynamoException
    from torch._inductor.runtime.cache_dir_utils import cache_dir

    blocks = [block for block in unet.modules() if isinstance(block, ResnetBlock2D | FeedForward)]
    for block in blocks:
        block.compile()
    try:
        with config.patch(recompile_limit=RECOMPILE_LIMIT):
            yield
    except TorchDynamoException as error:
        reason = " ".join(str(error).split())[:150]
        raise MissingError(
            "zero123plus.compile needs a C++ compiler, on CUDA Triton, and a sound cache, which may be deleted "
            f"({cache_dir()}): {reason}; or leave the setting out"
        ) from error
    finally:
        for block in blocks:
            block._compiled_call_impl = None
