"""The UNet's blocks through torch.compile, for who paints much on one machine: minutes first, then faster steps."""

from collections.abc import Iterator
from contextlib import contextmanager

from diffusers.models.attention import FeedForward
from diffusers.models.resnet import ResnetBlock2D
from torch import nn

from meshcli.errors import MissingError

VARIANTS = 128  # of one kind of block, by its channels and the size of its pictures; torch gives up at 8 by default


@contextmanager
def compiled(unet: nn.Module) -> Iterator[None]:
    """Let torch fuse convolutions' and MLPs' surroundings; attentions stay as they are, they keep notes between passes.

    Each block is compiled when it is first called. The numbers are the same to rounding. Raises MissingError where that
    fails: on a processor it takes a C++ compiler, on CUDA Triton.
    """
    from torch._dynamo import config
    from torch._dynamo.exc import TorchDynamoException
    from torch._inductor.runtime.cache_dir_utils import cache_dir

    blocks = [block for block in unet.modules() if isinstance(block, ResnetBlock2D | FeedForward)]
    for block in blocks:
        block.compile()
    try:
        with config.patch(recompile_limit=VARIANTS):
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
