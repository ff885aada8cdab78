"""Configuration files in InstantMesh's format: a network's sizes, extraction settings and path of weights.

Light: no numpy, no torch.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meshcli.config import find_config, read_yaml
from meshcli.errors import UsageError
from meshcli.lrm.sizes import Kind, Sizes

KINDS: dict[str, Kind] = {"InstantMesh": "mesh", "InstantNeRF": "nerf"}  # by the last part of `target`
# For radiance fields whose file has none: the defaults of extract_mesh in InstantMesh's lrm.py.
DEFAULT_GRID, DEFAULT_THRESHOLD = 256, 10.0


@dataclass(frozen=True)
class NetworkFile:
    """A parsed configuration file."""

    sizes: Sizes
    grid: int  # cells along a side; for a radiance field points
    threshold: float  # of the density; 0 for a mesh network
    weights: str  # path as written in the file; empty when there is none


def read_network(name: str) -> NetworkFile:
    """Read a file, or a packaged one by name; UsageError when it describes no network known here."""
    path = find_config(Path(name))
    table = read_yaml(path)
    model = table.get("model_config") if isinstance(table, dict) else None
    if not isinstance(model, dict) or not isinstance(model.get("params"), dict):
        raise UsageError(f"{path} describes no network: model_config.params is missing")
    if unknown := sorted(model.keys() - {"target", "params"}, key=str):
        raise UsageError(f"{path}: model_config has no setting {unknown[0]}; known: target, params")
    infer: dict[str, Any] = table.get("infer_config") or {}
    if not isinstance(infer, dict):
        raise UsageError(f"{path}: infer_config must hold keys and values")
    kind = _kind(model.get("target"), path)
    sizes = Sizes.from_table(kind, model["params"], str(path))
    if kind == "mesh":
        return NetworkFile(sizes, sizes.grid_res, 0.0, str(infer.get("model_path") or ""))
    grid, threshold = infer.get("mesh_resolution", DEFAULT_GRID), infer.get("mesh_threshold", DEFAULT_THRESHOLD)
    for key, value in (("mesh_resolution", grid), ("mesh_threshold", threshold)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 10**6:
            raise UsageError(f"{path}: infer_config.{key} must be a number above 0, not {value!r:.40}")
    return NetworkFile(sizes, int(grid), float(threshold), str(infer.get("model_path") or ""))


def _kind(target: Any, path: Path) -> Kind:
    name = str(target).rpartition(".")[2]
    if name not in KINDS:
        raise UsageError(f"{path}: model_config.target is {target!r}; known: {', '.join(KINDS)}")
    return KINDS[name]
