"""An independent check of removal: which numbers of each weight are left, and the whole model with the others at zero.

A copy's weights are replaced by the places of their numbers, and the same removal tells what is left of each. The whole
model with all other numbers at zero must then answer as the pruned one. Norms and means over channels are replaced in
both by such that do not count channels, because zeros count in them.
"""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

TOLERANCE = 1e-3  # of the largest output: float kernels differ in summation order
SHARE = 1 / 16  # what a mean multiplies a sum by, whatever was added up
ASLEEP = 0.02  # the largest number of a parameter that hardly counts
SCALE = 0.25  # of attention, whatever is left of a head
LARGEST = 1 << 24  # numbers up to which float32 counts exactly
_ATEN: Any = torch.ops.aten


def places_left(model: nn.Module, remove: Callable[[nn.Module], nn.Module]) -> tuple[nn.Module, dict[str, Tensor]]:
    """Return a pruned copy that has its own numbers back, and the places of those that are left, by name."""
    own = {name: value.detach().clone() for name, value in _floats(model).items()}
    counted = copy.deepcopy(model)
    for value in _floats(counted).values():
        if value.numel() > LARGEST:
            raise ValueError(f"expected weights of at most {LARGEST} numbers, got {value.numel()}")
        value.data = torch.arange(value.numel(), dtype=torch.float32).reshape(value.shape).to(value.dtype)
    pruned = remove(counted)
    left = {}
    for name, value in _floats(pruned).items():
        if name in own:
            left[name] = value.detach().round().long()
            value.data = own[name].flatten()[left[name].flatten()].reshape(value.shape)
    return pruned, left


def silenced_whole(model: nn.Module, left: dict[str, Tensor]) -> nn.Module:
    """Return a copy of the whole model in which only the numbers that are left are not zero."""
    silenced = copy.deepcopy(model)
    for name, value in _floats(silenced).items():
        if name.endswith("running_var"):
            continue
        kept = torch.zeros(value.numel(), dtype=torch.bool)
        if name in left:
            kept[left[name].flatten()] = True
        value.data = torch.where(kept.reshape(value.shape), value.data, torch.zeros_like(value))
    return silenced


def differs(model: nn.Module, pruned: nn.Module, left: dict[str, Tensor], rows: tuple[Tensor, ...]) -> float:
    """Return the larger difference of removal and silencing: with the model's own numbers, and with all of them awake.

    Numbers near zero, such as fresh scales of layers, would hide what the layers behind them make of their channels.
    """
    awake = _awake(model)
    own, filled = _floats(awake), copy.deepcopy(pruned)
    for name, value in _floats(filled).items():
        if name in left:
            value.data = own[name].flatten()[left[name].flatten()].reshape(value.shape)
    return max(
        difference(pruned, silenced_whole(model, left), rows), difference(filled, silenced_whole(awake, left), rows)
    )


def _awake(model: nn.Module) -> nn.Module:
    """Return a copy in which each parameter near zero is scaled up to 1, or drawn anew where it is zero."""
    awake, generator = copy.deepcopy(model), torch.Generator().manual_seed(0)
    for parameter in awake.parameters():
        largest = float(parameter.detach().abs().max()) if parameter.numel() else 1.0
        if not largest:
            parameter.data = 0.5 + torch.rand(parameter.shape, generator=generator) / 2
        elif largest < ASLEEP:
            parameter.data = parameter.data / largest
    return awake


@torch.no_grad()
def difference(pruned: nn.Module, whole: nn.Module, rows: tuple[Tensor, ...]) -> float:
    """Return the largest difference of the answers as a share of the largest answer; infinity where shapes differ."""
    with _CountsNoChannels():  # type: ignore[no-untyped-call]  # torch's class has no types
        got, expected = pruned.eval()(*rows), whole.eval()(*rows)
    if got.shape != expected.shape:
        return float("inf")
    return float((got - expected).abs().max() / expected.abs().max().clamp(min=1e-12))


def _floats(model: nn.Module) -> dict[str, Tensor]:
    named = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return {name: value for name, value in named.items() if value.is_floating_point()}


class _CountsNoChannels(TorchDispatchMode):
    """Computes norms and means without the number of what they are over, so that zeros do not count."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        replaced = _REPLACED.get(func)
        return func(*args, **kwargs) if replaced is None else replaced(*args, **kwargs)


def _size(rows: Tensor, dims: tuple[int, ...]) -> Tensor:
    return torch.rsqrt((rows * rows).sum(dims, keepdim=True) * SHARE + 1e-6)


def _layer_norm(rows: Tensor, shape: list[int], weight: Tensor | None, bias: Tensor | None, _: float) -> Any:
    dims = tuple(range(-len(shape), 0))
    normed = rows * _size(rows, dims)
    normed = normed if weight is None else normed * weight
    return normed if bias is None else normed + bias, rows, rows


def _rms_norm(rows: Tensor, shape: list[int], weight: Tensor | None, eps: float | None) -> Any:
    return _layer_norm(rows, shape, weight, None, eps or 0.0)[:2]


def _group_norm(
    rows: Tensor, weight: Tensor | None, bias: Tensor | None, count: int, _c: int, _s: int, groups: int, _e: float
) -> Any:
    parts = rows.reshape(count, groups, -1)
    normed = (parts * _size(parts, (-1,))).reshape(rows.shape)
    sizes = (1, -1, *(1,) * (rows.dim() - 2))
    normed = normed if weight is None else normed * weight.reshape(sizes)
    return normed if bias is None else normed + bias.reshape(sizes), rows, rows


def _mean(rows: Tensor, dims: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    return torch.sum(rows, dims, keepdim, dtype=dtype) * SHARE


def _variance(rows: Tensor, dims: Any = None, *, correction: Any = None, keepdim: bool = False) -> Tensor:
    return torch.sum(rows * rows, dims, keepdim) * SHARE + 0 * (correction or 0)


def _variance_and_mean(rows: Tensor, dims: Any = None, *, correction: Any = None, keepdim: bool = False) -> Any:
    variance = _variance(rows, dims, correction=correction, keepdim=keepdim)
    return variance, torch.zeros_like(variance)


def _attention(*args: Any, **kwargs: Any) -> Any:
    return _ATEN._scaled_dot_product_flash_attention_for_cpu.default(*args, **{**kwargs, "scale": SCALE})


_REPLACED: dict[Any, Callable[..., Any]] = {
    _ATEN.native_layer_norm.default: _layer_norm,
    _ATEN._fused_rms_norm.default: _rms_norm,
    _ATEN.native_group_norm.default: _group_norm,
    _ATEN.mean.dim: _mean,
    _ATEN.var.correction: _variance,
    _ATEN.var_mean.correction: _variance_and_mean,
    _ATEN._scaled_dot_product_flash_attention_for_cpu.default: _attention,
}
