"""The form of a program: the shapes of its weights by name, and a digest of its graph of operators.

Two programs of one form differ in the values of their weights alone, so that what was removed from one can be removed
from the other.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, fx
from torch.export import ExportedProgram


def weight_shapes(program: ExportedProgram) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a program's parameters and persistent buffers, by their names."""
    return {name: tuple(tensor.shape) for name, tensor in program.state_dict.items()}


def graph_digest(program: ExportedProgram) -> str:
    """Return the sha256 of a program's inputs, operators, connections and whole numbers, such as a stride.

    Names of values do not count, nor do numbers with a fraction: a rate of dropout or an epsilon is in the place of
    another one and makes no other form.
    """
    text = "\n".join(_lines(program))
    return hashlib.sha256(text.encode()).hexdigest()


def _lines(program: ExportedProgram) -> Iterator[str]:
    """Yield a line for each node; nodes are named by their places."""
    weights = {**program.graph_signature.inputs_to_parameters, **program.graph_signature.inputs_to_buffers}
    places = {node: index for index, node in enumerate(program.graph.nodes)}
    for node in program.graph.nodes:
        if node.op == "placeholder":
            yield f"placeholder {weights.get(node.name) or _described(node.meta.get('val'))}"
        else:
            target = str(node.target) if node.op == "call_function" else ""
            yield f"{node.op} {target} {_written(node.args, places)} {_written(node.kwargs, places)}"


def _described(value: object) -> str:
    """Return the type and the shape of an input or a constant; a size that may change is a star."""
    if not isinstance(value, Tensor):
        return type(value).__name__
    return f"{value.dtype} {[size if isinstance(size, int) else '*' for size in value.shape]}"


def _written(value: Any, places: Mapping[fx.Node, int]) -> str:
    if isinstance(value, fx.Node):
        return f"%{places[value]}"
    if isinstance(value, tuple | list):
        return f"[{', '.join(_written(each, places) for each in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_written(each, places)}' for key, each in sorted(value.items()))}}}"
    return "a number" if isinstance(value, float) else str(value)
