"""Layer-by-layer weight loading: a layer's parameters are in memory only while it computes.

Every layer runs once per reconstruction, so that keeping its parameters gains nothing: a network of 1.5 GB runs in the
memory of its largest layer. Tensors mapped from a file are read from disk when their layer runs and unmapped after it.
"""

from collections.abc import Callable, MutableMapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from meshcli.lrm.matrices import pack_matrix

ModuleDone = Callable[[str], None]  # called with the name of each module that has run


def stream_parameters(
    module: nn.Module,
    weights: MutableMapping[str, Tensor],
    prefix: str,
    device: torch.device,
    dtype: torch.dtype,
    on_done: ModuleDone | None = None,
) -> None:
    """Make a network on the meta device load each layer's parameters from `weights` for the time of its call.

    A layer is an item of a ModuleList with everything in it, or a module outside of such lists. Loading removes tensors
    from `weights`, so the network can be called once. Parameter names in `weights` begin with `prefix`. Matrices may
    become packed: the network must multiply by them with `matrices.linear` only.
    """
    lists = [name for name, part in module.named_modules() if isinstance(part, nn.ModuleList)]
    layers = {f"{name}.{number}" for name in lists for number, _ in module.get_submodule(name).named_children()}
    for name, part in module.named_modules():
        inside = any(name.startswith(f"{layer}.") for layer in layers)
        own = [] if inside else [key for key, _ in part.named_parameters(recurse=name in layers)]
        if own:
            _LayerParameters(part, f"{prefix}{name}." if name else prefix, own, weights, device, dtype)
        if on_done:
            part.register_forward_hook(_completion_hook(on_done, name))


def load_parameters(module: nn.Module, weights: MutableMapping[str, Tensor], prefix: str, device: torch.device) -> None:
    """Load all parameters of a network on the meta device in float32, removing them from `weights`."""
    for name, _ in list(module.named_parameters()):
        _set_parameter(module, name, weights.pop(prefix + name).to(device, torch.float32, copy=True))


class _LayerParameters:
    """Loads a layer's parameters before its call and releases them after it."""

    def __init__(
        self, module: nn.Module, prefix: str, names: list[str], weights: MutableMapping[str, Tensor],
        device: torch.device, dtype: torch.dtype,
    ) -> None:  # fmt: skip
        self._prefix, self._names, self._weights = prefix, names, weights
        self._device, self._dtype = device, dtype
        self._handles: list[RemovableHandle] = [
            module.register_forward_pre_hook(self._load), module.register_forward_hook(self._release)
        ]  # fmt: skip

    def _load(self, module: nn.Module, inputs: Any) -> None:
        for name in self._names:
            value = self._weights.pop(self._prefix + name).to(self._device, self._dtype)
            _set_parameter(module, name, pack_matrix(value) if value.ndim == 2 else value)

    def _release(self, module: nn.Module, inputs: Any, output: Any) -> None:
        for name in self._names:
            _set_parameter(module, name, torch.empty(0, device="meta"))


def _set_parameter(module: nn.Module, name: str, value: Tensor) -> None:
    *path, last = name.split(".")
    owner = module.get_submodule(".".join(path))
    setattr(owner, last, nn.Parameter(value, requires_grad=False))


def _completion_hook(on_done: ModuleDone, name: str) -> Callable[[nn.Module, Any, Any], None]:
    return lambda module, inputs, output: on_done(name)
