"""Kinds of operators, by what they do to channels: move them, work in each for itself, or read all of them together."""

import operator
from enum import Enum
from typing import Any

import torch
from torch import fx, nn
from torch._ops import OpOverload

from model_compression.intake import aten
from model_compression.pruning.structure.observation import MOVES as VIEWED_MOVES
from model_compression.pruning.structure.observation import VIEWS

__all__ = [
    "ACTIVATIONS",
    "MOVES",
    "SPATIAL",
    "VIEWS",
    "Reduction",
    "is_elementwise",
    "is_like",
    "is_padding",
    "is_spatial",
    "reduction",
]


class Reduction(Enum):
    """A way to read many channels together: an average of any number of them, or all of them."""

    AVERAGE = "average"
    ALL = "all"


MOVES = {
    *(VIEWED_MOVES - {operator.getitem}),
    *(getattr(getattr(aten, packet), overload) for packet, overload in (
        ("cat", "default"), ("stack", "default"), ("repeat", "default"), ("repeat_interleave", "self_int"),
        ("flip", "default"), ("roll", "default"), ("pixel_shuffle", "default"), ("pixel_unshuffle", "default"),
        ("channel_shuffle", "default"), ("index", "Tensor"), ("index_select", "default"), ("movedim", "int"),
        ("movedim", "intlist"), ("squeeze", "default"), ("expand_as", "default"), ("view_as", "default"),
        ("swapaxes", "default"), ("numpy_T", "default"), ("mT", "default"), ("narrow", "default"),
        ("unfold", "default"), ("reshape_as", "default"),
    )),
}  # fmt: skip
"""Operators that put values elsewhere, so that they can be given labels in place of values."""
SPATIAL = (
    nn.modules.pooling._MaxPoolNd,
    nn.modules.pooling._AvgPoolNd,
    nn.modules.pooling._AdaptiveAvgPoolNd,
    nn.modules.pooling._AdaptiveMaxPoolNd,
)
"""Modules that work in each channel for itself."""
ACTIVATIONS: tuple[type[nn.Module], ...] = (
    nn.ReLU, nn.ReLU6, nn.SiLU, nn.Mish, nn.SELU, nn.Sigmoid, nn.Tanh, nn.Hardswish, nn.Hardsigmoid, nn.Hardtanh,
    nn.GELU, nn.LeakyReLU, nn.ELU, nn.RReLU, nn.Softplus, nn.Identity, nn.modules.dropout._DropoutNd,
)  # fmt: skip
"""Modules that compute each element from the element at the same place."""
_PADDINGS = ("pad", "constant_pad_nd", "reflection_pad1d", "reflection_pad2d", "reflection_pad3d", "replication_pad1d",
             "replication_pad2d", "replication_pad3d")  # fmt: skip
_SPATIAL_NAMES = ("upsample_", "_upsample_", "max_pool", "avg_pool", "adaptive_avg_pool", "adaptive_max_pool",
                  "_adaptive_avg_pool", "lp_pool")  # fmt: skip
_COMPOSED = ("where", "to", "_to_copy", "type_as", "clip", "float_power", "square", "relu6", "selu", "dropout",
             "feature_dropout", "lift_fresh_copy", "true_divide", "fill", "nan_to_num")  # fmt: skip
_LIKE = ("zeros_like", "ones_like", "full_like", "empty_like", "rand_like", "randn_like")
_AVERAGES = ("mean", "var", "std")
_OTHERS = ("sum", "amax", "amin", "prod", "logsumexp", "softmax", "_softmax", "log_softmax", "_log_softmax", "cumsum",
           "linalg_vector_norm", "argmax", "argmin", "all", "any", "norm", "max", "min", "median", "sort", "topk",
           "cummax", "cummin")  # fmt: skip
_OF_TWO = ("max.other", "min.other")
"""Overloads of reductions that compare two tensors element by element."""


def is_like(node: fx.Node) -> bool:
    """Tell whether a node makes a tensor of another's shape that does not depend on its values."""
    return _name(node) in _LIKE


def is_padding(node: fx.Node) -> bool:
    """Tell whether a node adds places at the ends of dimensions."""
    return _name(node) in _PADDINGS


def is_spatial(node: fx.Node) -> bool:
    """Tell whether an operator works in each channel for itself, over places."""
    return _name(node).startswith(_SPATIAL_NAMES)


def is_elementwise(node: fx.Node) -> bool:
    """Tell whether a node computes each element from the elements at the same place."""
    if not isinstance(node.target, OpOverload):
        return False
    if _name(node).removesuffix("_") in _COMPOSED or _is_of_two(node):
        return True
    plain = getattr(getattr(aten, _name(node).removesuffix("_"), None), node.target._overloadname, None)
    return any(torch.Tag.pointwise in target.tags for target in (node.target, plain) if target is not None)


def reduction(node: fx.Node) -> tuple[list[int], Reduction] | None:
    """Return the dimensions that a node reads together, empty for all, and in which way; None for another operator."""
    if _name(node) not in _AVERAGES + _OTHERS or _is_of_two(node):
        return None
    schema = node.target._schema.arguments  # type: ignore[union-attr]
    usual: dict[str, Any] = {argument.name: argument.default_value for argument in schema}
    given: dict[str, Any] = {argument.name: value for argument, value in zip(schema, node.args, strict=False)}
    dims = {**usual, **given, **node.kwargs}.get("dim")
    kind = Reduction.AVERAGE if _name(node) in _AVERAGES else Reduction.ALL
    if isinstance(dims, int):
        return [dims], kind
    return [int(dim) for dim in dims or []], kind


def _is_of_two(node: fx.Node) -> bool:
    return isinstance(node.target, OpOverload) and f"{_name(node)}.{node.target._overloadname}" in _OF_TWO


def _name(node: fx.Node) -> str:
    return node.target._schema.name.removeprefix("aten::") if isinstance(node.target, OpOverload) else ""
