from typing import Any

import pytest
import torch
from lrm_golden import filled, largest, sizes, tensors, weights
from published import Numbers

from meshcli.lrm.attention import _in_blocks, attend, join_heads, split_heads
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


def test_attention_is_the_written_out_formula() -> None:
    query, key, value = (torch.randn(1, 2, length, 8, dtype=torch.float64) for length in (900, 50, 50))
    expected = torch.softmax(query @ key.transpose(-1, -2) / 8**0.5, dim=-1) @ value
    assert largest(attend(query, key, value), expected) < 1e-12
    assert largest(_in_blocks(query, key, value), expected) < 1e-12


@pytest.mark.parametrize("tiles", [True, False])
def test_bfloat16_attention_is_near(tiles: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshcli.lrm.attention._has_tiles", lambda: tiles)
    query, key, value = (torch.randn(1, 2, 500, 16) for _ in range(3))
    found = attend(query.bfloat16(), key.bfloat16(), value.bfloat16())
    assert found.dtype == torch.bfloat16
    assert largest(found, attend(query, key, value)) < 0.03


def test_heads_split_and_join() -> None:
    tokens = torch.randn(2, 5, 12)
    assert split_heads(tokens, 3).shape == (2, 3, 5, 4)
    assert torch.equal(join_heads(split_heads(tokens, 3)), tokens)
