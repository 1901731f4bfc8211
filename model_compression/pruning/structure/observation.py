"""Observation of a graph: the value of every node on an example, and the way of single values through it.

Numbers take the place of values and pass every operator that only moves values. So the rows and columns of a head are
known however an attention was written with views, transposes and splits.
"""

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx

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
