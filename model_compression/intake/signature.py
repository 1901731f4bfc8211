"""What a program takes and gives."""

from typing import NamedTuple

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind, TensorArgument

from model_compression.errors import IntakeError

_LOG_AGAIN = "register with an input_example of 2 or more rows"


class InputSpec(NamedTuple):
    """One input: its name, its dtype, its shape with None for a size that may change."""

    name: str
    dtype: torch.dtype
    shape: tuple[int | None, ...]


def input_specs(program: ExportedProgram) -> list[InputSpec]:
    """List the program's inputs in the order in which they are passed.

    Raises IntakeError for an input that is no tensor.
    """
    return [_spec(str(node.target), node.meta["val"]) for node in user_inputs(program)]


def user_inputs(program: ExportedProgram) -> list[fx.Node]:
    """The placeholders that a caller fills. Raises IntakeError for one that is no plain tensor argument."""
    placeholders = [node for node in program.graph.nodes if node.op == "placeholder"]
    pairs = zip(placeholders, program.graph_signature.input_specs, strict=True)
    inputs = [(node, spec.arg) for node, spec in pairs if spec.kind is InputKind.USER_INPUT]
    arguments, keywords = program.call_spec.in_spec.children()
    nested = any(not child.is_leaf() for child in (*arguments.children(), *keywords.children()))
    others = [node.name for node, arg in inputs if not isinstance(arg, TensorArgument)]
    if nested or others:
        got = f"{', '.join(others)} of another type" if others else "nested containers"
        raise IntakeError(f"expected tensors as the model's inputs, got {got}; let forward() take tensors only")
    return [node for node, _ in inputs]


def check_dynamic_batch(program: ExportedProgram) -> None:
    """Raise IntakeError if the program was exported for one batch size only."""
    for name, _, shape in input_specs(program):
        if not shape or shape[0] is not None:
            got = f"a fixed batch size of {shape[0]}" if shape else "no batch dimension"
            raise IntakeError(
                f"expected a program whose batch size may change, got {got} in input '{name}' of shape "
                f"{list(shape)}; {_LOG_AGAIN} (and, where a signature is given, -1 as its first size)"
            )


def output_node(program: ExportedProgram) -> fx.Node:
    """The node of the program's one output tensor. Raises IntakeError for any other kind of output."""
    results = program.graph.output_node().args[0]
    results = results if isinstance(results, (tuple, list)) else (results,)
    specs = program.graph_signature.output_specs
    found = [result for result, spec in zip(results, specs, strict=True) if spec.kind is OutputKind.USER_OUTPUT]
    if len(found) == 1 and isinstance(found[0], fx.Node) and isinstance(found[0].meta["val"], Tensor):
        return found[0]
    names = ", ".join(str(result) for result in found)
    raise IntakeError(
        f"expected one output tensor (alone, or alone in a tuple or dict), got {len(found)} outputs: {names}; "
        "let forward() return the tensor that is scored"
    )


def _spec(name: str, value: Tensor) -> InputSpec:
    shape = tuple(size if isinstance(size, int) else None for size in value.shape)
    return InputSpec(name, value.dtype, shape)
