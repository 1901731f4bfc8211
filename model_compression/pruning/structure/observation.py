"""Observation of a graph: the value of every node on an example, and the way of single values through it.

Numbers take the place of values and pass every operator that only moves values. So the rows and columns of a head are
known however an attention was written with views, transposes and splits.
"""

import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn

from model_compression.intake import aten

Values = dict[fx.Node, Any]
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


def observe(model: fx.GraphModule, example: tuple[Tensor, ...]) -> Values:
    """Run the model in evaluation mode without gradients; returns the value of every node."""
    values: Values = {}
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            Watching(model, values.__setitem__).run(*example)
    finally:
        model.train(was_training)
    return values


class Watching(fx.Interpreter):
    """An interpreter of a graph that passes every node's value to `seen`."""

    def __init__(self, model: fx.GraphModule, seen: Callable[[fx.Node, Any], None]) -> None:
        super().__init__(model, garbage_collect_values=False)
        self.seen = seen

    def run_node(self, node: fx.Node) -> Any:
        """Run a node and pass its value on."""
        value = super().run_node(node)
        self.seen(node, value)
        return value


def reads_sizes_only(node: fx.Node) -> bool:
    """Tell whether a node takes another's shape and not its values."""
    return node.target is aten.sym_size.int


def layer_of(model: fx.GraphModule, node: fx.Node, kind: Any) -> Any:
    """Return the module that a node calls, if it is of a kind, else None."""
    module = model.get_submodule(str(node.target)) if node.op == "call_module" else None
    return module if isinstance(module, kind) else None


def calls(model: fx.GraphModule, target: str) -> int:
    """Count the calls of a module."""
    return sum(node.op == "call_module" and node.target == target for node in model.graph.nodes)


def follow(model: fx.GraphModule, values: Values, seeds: Mapping[fx.Node, Any]) -> dict[fx.Node, Any]:
    """Send numbers from the seeds through all operators that only move values.

    `seeds` are tensors of the shape of their node's value. Returns the numbers at each node that they reach, a tuple of
    tensors where the operator returns several. The way ends where values are computed with others.
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
    """Return the nodes behind `node` up to the first that computes, which is the last of the list."""
    path = []
    while isinstance(node, fx.Node):
        path.append(node)
        if not (node.target in MOVES or _stays(model, node, values)):
            return path
        node = node.args[0]
    return path


def features(value: Tensor) -> Tensor:
    """Enumerate the features (last dimension) of a value, in floats because some operators take no integers."""
    return torch.arange(value.shape[-1], dtype=torch.float64).expand(value.shape)


def _stays(model: fx.GraphModule, node: fx.Node, values: Values) -> bool:
    """Tell whether every value keeps its place: copies, dropout, a product with a single number."""
    if node.target in SCALARS:
        other = node.args[1]
        other = values[other] if isinstance(other, fx.Node) else other
        return not isinstance(other, Tensor) or other.numel() == 1
    return node.target in STAYS or layer_of(model, node, SAME_PLACE) is not None


def _given(arguments: Any, values: Values) -> Any:
    return fx.map_arg(arguments, lambda node: values[node])
