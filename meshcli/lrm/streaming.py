"""Layer-by-layer weight loading: a layer's parameters are in memory only while it computes, unless they are kept.

Every layer runs once per reconstruction, so that keeping its parameters gains nothing within one: a network of 1.5 GB
runs in the memory of its largest layer. Tensors mapped from a file are read from disk when their layer runs, unmapped
after it. A process that reconstructs many objects keeps the parameters as they were computed with.
"""

from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
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
    keep: bool = False,
) -> None:
    """Make a network on the meta device load each layer's parameters from `weights` for the time of its call.

    A layer is an item of a ModuleList with everything in it, or a module outside of such lists. Loading removes tensors
    from `weights`, so the network can be called once, unless its layers `keep` what they loaded. Parameter names in
    `weights` begin with `prefix`. Matrices may become packed: the network must multiply by them with `matrices.linear`
    only.
    """
    lists = [name for name, part in module.named_modules() if isinstance(part, nn.ModuleList)]
    layers = {f"{name}.{number}" for name in lists for number, _ in module.get_submodule(name).named_children()}
    for name, part in module.named_modules():
        inside = any(name.startswith(f"{layer}.") for layer in layers)
        own = [] if inside else [key for key, _ in part.named_parameters(recurse=name in layers)]
        if own:
            _LayerParameters(part, f"{prefix}{name}." if name else prefix, own, weights, device, dtype, keep)


@contextmanager
def telling_progress(module: nn.Module, on_done: ModuleDone) -> Iterator[None]:
    """Call `on_done` with the name of each part of a network that runs within the block."""
    hooks = [part.register_forward_hook(_completion_hook(on_done, name)) for name, part in module.named_modules()]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def load_parameters(module: nn.Module, weights: MutableMapping[str, Tensor], prefix: str, device: torch.device) -> None:
    """Load all parameters of a network on the meta device in float32, removing them from `weights`."""
    for name, _ in list(module.named_parameters()):
        _set_parameter(module, name, weights.pop(prefix + name).to(device, torch.float32, copy=True))


class _LayerParameters:
    """Loads a layer's parameters before its call and releases them after it."""

    def __init__(
        self, module: nn.Module, prefix: str, names: list[str], weights: MutableMapping[str, Tensor],
        device: torch.device, dtype: torch.dtype, keep: bool,
    ) -> None:  # fmt: skip
        self._prefix, self._names, self._weights = prefix, names, weights
        self._device, self._dtype = device, dtype
        self._loading: RemovableHandle = module.register_forward_pre_hook(self._load)
        module.register_forward_hook(self._keep if keep else self._release)

    def _load(self, module: nn.Module, inputs: Any) -> None:
        for name in self._names:
            value = self._weights.pop(self._prefix + name).to(self._device, self._dtype)
            _set_parameter(module, name, pack_matrix(value) if value.ndim == 2 else value)

    def _keep(self, module: nn.Module, inputs: Any, output: Any) -> None:
        self._loading.remove()

    def _release(self, module: nn.Module, inputs: Any, output: Any) -> None:
        for name in self._names:
            _set_parameter(module, name, torch.empty(0, device="meta"))


def _set_parameter(module: nn.Module, name: str, value: Tensor) -> None:
    *path, last = name.split(".")
    owner = module.get_submodule(".".join(path))
    setattr(owner, last, nn.Parameter(value, requires_grad=False))


def _completion_hook(on_done: ModuleDone, name: str) -> Callable[[nn.Module, Any, Any], None]:
    return lambda module, inputs, output: on_done(name)
