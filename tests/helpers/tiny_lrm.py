"""Reconstruction networks of a few thousand parameters, with weights whose field has a surface."""

import json
import zlib
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from meshcli.lrm.model import parameter_shapes
from meshcli.lrm.sizes import Kind, Sizes, VitSizes
from meshcli.reconstructors.network_file import NetworkFile

VIT = VitSizes(hidden=32, layers=1, heads=2, inner=64, patch=64, image=320)


def tiny_sizes(kind: Kind = "mesh") -> Sizes:
    return Sizes(kind, 32, 1, 2, 6, 12, 4, 16, grid_res=20, grid_scale=2.1, encoder_feat_dim=32, vit=VIT)


def tiny_file(kind: Kind = "mesh") -> NetworkFile:
    return NetworkFile(tiny_sizes(kind), 20 if kind == "mesh" else 24, 0.0 if kind == "mesh" else 1.0, "")


def tiny_weights(kind: Kind = "mesh", seed: int = 0) -> dict[str, torch.Tensor]:
    """By name, so that the same name always has the same values."""
    tensors = {}
    for name, shape in parameter_shapes(tiny_sizes(kind)).items():
        noise = np.random.default_rng(zlib.crc32(name.encode()) + seed).standard_normal(shape).astype(np.float32)
        scale = 3.0 if name.endswith(("net_sdf.6.weight", "net_rgb.6.weight", "net.6.weight")) else 0.2
        tensors[name] = torch.from_numpy(noise * np.float32(scale))
    return tensors


def write_weights(folder: Path, engine: str = "instant-mesh-large", seed: int = 0) -> Path:
    """As a conversion lies in a folder of weights."""
    kind: Kind = "nerf" if "nerf" in engine else "mesh"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{engine.replace('-', '_')}.safetensors"
    save_file(tiny_weights(kind, seed), path, {"original_sha256": f"{seed:064x}"})
    return path


def shapes_of(path: Path) -> dict[str, list[int]]:
    """What a safetensors file holds."""
    with path.open("rb") as file:
        table = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return {name: row["shape"] for name, row in table.items() if name != "__metadata__"}
