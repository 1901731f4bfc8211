"""Follows where values stand: numbers take the place of values and pass every operator that only moves them.

So a head's rows and columns are read off whatever views, transposes and splits an attention was written with.
"""

import operator
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn

from model_compression.intake import aten
from model_compression.pruning.structure.observation import Values, layer_of

MOVES = {
    aten.view.default,
    aten.reshape.default,
    aten._unsafe_view.default,
    aten.unflatten.int,
    aten.flatten.using_ints,
    aten.transpose.int,
    aten.t.default,
    aten.permute.default,
    aten.select.int,
    aten.slice.Tensor,
    aten.unbind.int,
    aten.chunk.default,
    aten.split.Tensor,
    aten.split_with_sizes.default,
    aten.split.sizes,
    aten.unsqueeze.default,
    aten.squeeze.dim,
    aten.squeeze.dims,
    aten.expand.default,
    operator.getitem,
}
STAYS = {aten.contiguous.default, aten.clone.default, aten.alias.default, aten.detach.default, aten.to.dtype}
VIEWS: dict[Any, Any] = dict.fromkeys((aten.view.default, aten._unsafe_view.default), aten.reshape.default)
SCALARS = {aten.mul.Tensor, aten.div.Tensor, aten.mul.Scalar, aten.div.Scalar}
SAME_PLACE = (nn.Dropout, nn.Identity)


def follow(model: fx.GraphModule, values: Values, seeds: Mapping[fx.Node, Any]) -> dict[fx.Node, Any]:
    """Send numbers from the seeds through all operators that only move values.

    `seeds` are tensors of the shape of their node's value. Returns the numbers at each node reached, a tuple of
    tensors where the operator gives several; where values are computed with others, the way ends.
    """
    reached: dict[fx.Node, Any] = dict(seeds)
    for node in model.graph.nodes:
        source = node.args[0] if node.args and isinstance(node.args[0], fx.Node) else None
        if source not in reached or node in reached:
            continue
        if _stays(model, node, values):
            reached[node] = reached[source]
        elif node.target in MOVES:
            move: Any = VIEWS.get(node.target, node.target)
            reached[node] = move(reached[source], *_given(node.args[1:], values), **_given(node.kwargs, values))
    return reached


def way_back(model: fx.GraphModule, values: Values, node: Any) -> list[fx.Node]:
    """The nodes behind `node` up to the first that computes: that one is the last of the list."""
    path = []
    while isinstance(node, fx.Node):
        path.append(node)
        if not (node.target in MOVES or _stays(model, node, values)):
            return path
        node = node.args[0]
    return path


def features(value: Tensor) -> Tensor:
    """Number the features (last dimension) of a value; in a float type, for operators that take no integers."""
    return torch.arange(value.shape[-1], dtype=torch.float64).expand(value.shape)


def _stays(model: fx.GraphModule, node: fx.Node, values: Values) -> bool:
    """Whether every value keeps its place: copies, dropout, a product with a single number."""
    if node.target in SCALARS:
        other = node.args[1]
        other = values[other] if isinstance(other, fx.Node) else other
        return not isinstance(other, Tensor) or other.numel() == 1
    return node.target in STAYS or layer_of(model, node, SAME_PLACE) is not None


def _given(arguments: Any, values: Values) -> Any:
    return fx.map_arg(arguments, lambda node: values[node])
