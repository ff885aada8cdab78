"""torch.compile of single blocks: a whole UNet takes minutes."""

import shutil
from pathlib import Path

import pytest
import torch
from diffusers.models.attention import FeedForward
from torch import nn

from meshcli.errors import MissingError
from meshcli.generators.zero123plus.compiling import compiled_blocks


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("TORCHINDUCTOR_COMPILE_THREADS", "1")
    torch._dynamo.reset()
    return tmp_path


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="there is no C++ compiler")
def test_the_same_numbers(cache: Path) -> None:
    torch.manual_seed(0)
    block, tokens = nn.Sequential(FeedForward(32)), torch.randn(2, 24, 32)
    with torch.inference_mode():
        expected = block(tokens)
        with compiled_blocks(block):
            found = block(tokens)
    assert list(cache.rglob("*.so"))
    assert torch.allclose(found, expected, atol=1e-5)
    assert block[0]._compiled_call_impl is None


def test_without_a_compiler(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", ("/nowhere/g++",))
    block = nn.Sequential(FeedForward(16))
    with torch.inference_mode(), pytest.raises(MissingError, match=r"needs a C\+\+ compiler"), compiled_blocks(block):
        block(torch.zeros(2, 24, 16))
