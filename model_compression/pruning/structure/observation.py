"""A graph run once on an example: what every node gave."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx

from model_compression.intake import aten

Values = dict[fx.Node, Any]


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
    """Runs a graph and shows every node's value to `seen`."""

    def __init__(self, model: fx.GraphModule, seen: Callable[[fx.Node, Any], None]) -> None:
        super().__init__(model, garbage_collect_values=False)
        self.seen = seen

    def run_node(self, node: fx.Node) -> Any:
        value = super().run_node(node)
        self.seen(node, value)
        return value


def reads_sizes_only(node: fx.Node) -> bool:
    """Whether a node takes another's shape, not its values."""
    return node.target is aten.sym_size.int


def layer_of(model: fx.GraphModule, node: fx.Node, kind: Any) -> Any:
    """The module that a node calls, if it is of a kind; else None."""
    module = model.get_submodule(str(node.target)) if node.op == "call_module" else None
    return module if isinstance(module, kind) else None


def calls(model: fx.GraphModule, target: str) -> int:
    """How often a module is called."""
    return sum(node.op == "call_module" and node.target == target for node in model.graph.nodes)
