from typing import Any

import pytest
import torch

from helpers.golden import Numbers
from helpers.lrm_golden import filled, largest, sizes, tensors, weights
from meshcli.lrm.attention import attend, attend_in_blocks, blocks_are_faster, join_heads, split_heads
from meshcli.lrm.transformer import TriplaneTransformer

TOLERANCE = 1e-5


def transformer_of(table: dict[str, Any], extra: dict[str, Any] | None = None) -> TriplaneTransformer:
    small = sizes(table["model"])
    values = weights(small, table["model"]["weights"], "transformer.", extra)
    return filled(TriplaneTransformer(small), values, "transformer.")


def test_planes_of_tokens(numbers: Numbers) -> None:
    """TriplaneTransformer (InstantMesh's src/models/decoder/transformer.py), and what its layers hand on."""
    given = tensors(numbers, "triplane_small")
    transformer = transformer_of(numbers.facts("triplane_small"))
    seen: list[torch.Tensor] = []
    for layer in transformer.layers:
        layer.register_forward_hook(lambda _, args, found: seen.append(found.clone()))
    assert largest(transformer(given["image_feats"]), given["planes"]) < TOLERANCE
    assert [largest(found, given[f"layer{number}_out"]) < TOLERANCE for number, found in enumerate(seen)] == [True] * 2


def test_epsilons_of_the_layer_norms(numbers: Numbers) -> None:
    table, given = numbers.facts("triplane_small"), tensors(numbers, "triplane_small")
    transformer = transformer_of(table, table["lowvar_extra_overrides"])
    assert largest(transformer(given["image_feats"]), given["lowvar_planes"]) < TOLERANCE
    for layer in transformer.layers:
        layer.norm1.eps = layer.norm2.eps = layer.norm3.eps = 1e-6
    assert largest(transformer(given["image_feats"]), given["lowvar_planes"]) > TOLERANCE  # the test can fail


def formula(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    return torch.softmax(query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5, dim=-1) @ value


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(("length", "count"), [(1, 1), (900, 50), (100, 2000), (2, 5000)])
def test_attention_is_the_written_out_formula(
    length: int, count: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meshcli.lrm.attention.WEIGHTS_PER_BLOCK", 64 * 1024)  # 1 to 900 queries at a time
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    query, key, value = (torch.randn(2, 2, rows, 8, dtype=torch.float64) for rows in (length, count, count))
    expected = formula(query, key, value)
    assert largest(attend(query, key, value), expected) < 1e-12
    assert largest(attend_in_blocks(query, key, value), expected) < 1e-12
    assert torch.get_num_threads() == threads
    torch.set_num_threads(before)


def test_large_products_do_not_overflow() -> None:
    query, key, value = (torch.randn(1, 1, 60, 8) for _ in range(3))
    found = attend_in_blocks(query * 1000, key * 1000, value)
    assert largest(found, formula(query.double() * 1000, key.double() * 1000, value.double())) < 1e-2


@pytest.mark.parametrize("intel", [True, False])
def test_bfloat16_attention_is_near(intel: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshcli.lrm.attention.is_intel", lambda: intel)
    monkeypatch.setattr("meshcli.lrm.attention.has_bfloat16", lambda: True)
    assert blocks_are_faster(torch.bfloat16) is not intel
    assert not blocks_are_faster(torch.float32)
    query, key, value = (torch.randn(1, 2, 500, 16) for _ in range(3))
    found = attend(query.bfloat16(), key.bfloat16(), value.bfloat16())
    assert found.dtype == torch.bfloat16
    assert largest(found, attend(query, key, value)) < 0.03


def test_heads_split_and_join() -> None:
    tokens = torch.randn(2, 5, 12)
    assert split_heads(tokens, 3).shape == (2, 3, 5, 4)
    assert torch.equal(join_heads(split_heads(tokens, 3)), tokens)
