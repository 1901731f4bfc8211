"""Operators that a rebuilt program keeps as they are: they read weights that no layer has."""

import operator
from dataclasses import dataclass, replace

from torch import fx, nn

from model_compression.intake.nodes import operator_name

ELEMENTWISE = frozenset({
    "add", "sub", "rsub", "mul", "div", "pow", "minimum", "maximum", "where", "lerp", "addcmul", "cat", "stack",
    "expand_as", "add_", "sub_", "mul_", "div_",
})  # fmt: skip
"""Operators that treat every element of a weight alike, so that channels can be followed through them."""


@dataclass(frozen=True)
class KeptOperator:
    """An operator with weights of its own, by the name of its first node; `weights` counts the numbers that it reads.

    A loop that is written out, as over the cells of a recurrent layer, reads the same weights in each of its `calls`.
    """

    name: str
    operator: str
    weights: int
    shared: tuple[str, ...]
    calls: int = 1

    def __str__(self) -> str:
        also = f", of which layers share {', '.join(self.shared)}" if self.shared else ""
        calls = f" that {self.calls} calls of it read" if self.calls > 1 else ""
        return (
            f"its operator `{self.operator}` has no layer here and stays as it is, with {self.weights:,} weights{calls}"
            f"{also}"
        )


def kept_as_they_are(model: nn.Module) -> list[KeptOperator]:
    """List the operators of a rebuilt program that read weights in a way that no layer does; none for another module.

    Sums, products and the like with a bare parameter are not among them: they treat all channels alike.
    """
    if not isinstance(model, fx.GraphModule):
        return []
    parameters = dict(model.named_parameters())
    layers = {str(node.target) for node in model.graph.find_nodes(op="call_module")}
    read: dict[fx.Node, frozenset[str]] = {}
    found: dict[tuple[str, frozenset[str]], KeptOperator] = {}
    for node in model.graph.nodes:
        names = frozenset[str]().union(*(read.get(source, frozenset()) for source in node.all_input_nodes))
        if node.op == "get_attr":
            read[node] = frozenset({str(node.target)} & parameters.keys())
        elif names and all(source in read or _is_number(source) for source in node.all_input_nodes):
            read[node] = names  # made of weights alone, so whatever reads it reads them
        elif names and operator_name(node) not in ELEMENTWISE | {""}:
            shared = tuple(sorted(name for name in names if name.rpartition(".")[0] in layers))
            count = sum(parameters[name].numel() for name in names)
            first = KeptOperator(node.name, operator_name(node), count, shared, calls=0)
            known = found.get((first.operator, names), first)
            found[first.operator, names] = replace(known, calls=known.calls + 1)
    return list(found.values())


def _is_number(node: fx.Node) -> bool:
    """Tell whether a node is a size, or computed from sizes alone."""
    if operator_name(node) == "sym_size":
        return True
    plain = node.op == "call_function" and not operator_name(node) and node.target is not operator.getitem
    return plain and all(_is_number(source) for source in node.all_input_nodes)
