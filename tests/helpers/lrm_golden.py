"""Weights that the published numbers were computed with, and networks that take them: see tests/golden/README.md."""

import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch

from helpers.golden import Numbers
from meshcli.lrm.model import parameter_shapes
from meshcli.lrm.sizes import Kind, Sizes, VitSizes

CPU = torch.device("cpu")


def tensors(numbers: Numbers, topic: str) -> dict[str, torch.Tensor]:
    """The arrays of a topic."""
    return {
        name: torch.from_numpy(values) for name, values in numbers.arrays(topic).items() if values.dtype.kind != "U"
    }


def tensor(name: str, shape: Iterable[int], rule: Mapping[str, Any], extra: Mapping[str, Any]) -> torch.Tensor:
    """One parameter by the rule of tests/golden/README.md."""
    noise = np.random.default_rng(zlib.crc32(name.encode()) + rule["seed"]).standard_normal(tuple(shape))
    value = noise.astype(np.float32)
    if name.endswith(".weight") and value.ndim == 1:
        value = np.float32(1) + np.float32(0.02) * value
    else:
        value = np.float32(0.02 if name.endswith("bias") else rule["scale"]) * value
    for overrides in (rule["overrides"], extra):
        change = overrides.get(name, {})
        value = value * np.float32(change.get("mul", 1)) + np.float32(change.get("add", 0))
    return torch.from_numpy(np.asarray(value, np.float32))


def weights(
    sizes: Sizes, rule: Mapping[str, Any], part: str = "", extra: Mapping[str, Any] | None = None
) -> dict[str, torch.Tensor]:
    """The parameters whose names begin with `part`, under their names in the whole network."""
    shapes = {name: shape for name, shape in parameter_shapes(sizes).items() if name.startswith(part)}
    return {name: tensor(name, shape, rule, extra or {}) for name, shape in shapes.items()}


def filled(module: torch.nn.Module, values: Mapping[str, torch.Tensor], prefix: str) -> torch.nn.Module:
    """A part of the network with its share of the parameters."""
    module.load_state_dict({name.removeprefix(prefix): value for name, value in values.items()}, strict=True)
    return module.requires_grad_(False)


def vit(table: Mapping[str, int]) -> VitSizes:
    return VitSizes(
        table["hidden_size"], table["num_hidden_layers"], table["num_attention_heads"], table["intermediate_size"],
        table["patch_size"], table["image_size"],
    )  # fmt: skip


def sizes(model: Mapping[str, Any]) -> Sizes:
    """Of a small model as the JSON files describe it."""
    kind: Kind = "nerf" if model["model"] == "InstantNeRF" else "mesh"
    return Sizes(kind, **model["params"], encoder_feat_dim=model["encoder_feat_dim"], vit=vit(model["vit"]))


def largest(one: torch.Tensor, other: torch.Tensor) -> float:
    """The largest difference; the shapes must be equal."""
    assert one.shape == other.shape
    return float((one.double() - other.double()).abs().max()) if one.numel() else 0.0


def pictures(values: torch.Tensor) -> torch.Tensor:
    return values.float() / 255
