"""Settings that training needs and that an exported program does not tell.

Evaluation needs no momentum, no dropout of attention weights and no stochastic depth, so torch.export writes nothing of
them, or a number that has two meanings.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram
from torch.nn.modules.batchnorm import _BatchNorm

from model_compression.intake.nodes import arguments, aten, is_operator, origin

BATCH_COUNTER = "num_batches_tracked"
_TRAINING = ("train", "training")
_SHOWN = 5
_REMEDY = "give the workload a build_model() where that matters"


def untold_settings(program: ExportedProgram) -> tuple[str, ...]:
    """Return a sentence for each kind of setting that rebuild() cannot restore, with the layers and what is done."""
    found = (
        (
            "the momentum of batch norms",
            "0, which torch.export also writes for None",
            _norms_of_two_meanings(program),
            "each training averages their statistics anew, as None does",
        ),
        (
            "the dropout of attention weights",
            "none, because the program was exported in evaluation mode",
            _attentions(program),
            "they are trained without dropout",
        ),
        (
            "what every module does in training",
            "modules that compute nothing in evaluation mode",
            _idle_modules(program),
            "they stay idle in training, where stochastic depth or noise would not",
        ),
    )
    return tuple(
        f"expected the program to tell {what}, got {got}, in {_listed(layers)}: {done}; {_REMEDY}"
        for what, got, layers, done in found
        if layers
    )


def restore_momentum(program: ExportedProgram, node: fx.Node, module: nn.Module) -> None:
    """Set a batch norm's momentum back to None, in place, where the program may mean that.

    In evaluation mode torch.export writes 0 for None. A momentum of 0 leaves statistics as they were made, so that
    only norms whose statistics moved, or that never saw a batch, can have meant None.
    """
    if isinstance(module, _BatchNorm) and _may_mean_none(program, node):
        module.momentum = None


def _norms_of_two_meanings(program: ExportedProgram) -> list[str]:
    norms = [node for node in program.graph.nodes if is_operator(node) and "batch_norm" in str(node.target)]
    return _places(node for node in norms if _may_mean_none(program, node))


def _may_mean_none(program: ExportedProgram, node: fx.Node) -> bool:
    args = arguments(node)
    if args["momentum"] != 0 or args.get("training", False) or args.get("running_mean") is None:
        return False
    mean, variance = (_held(program, args[name]) for name in ("running_mean", "running_var"))
    if mean is None or variance is None:
        return False
    fresh = bool((mean == 0).all() and (variance == 1).all())
    batches = program.state_dict.get(f"{origin(node)[0]}.{BATCH_COUNTER}", torch.tensor(0))
    return not fresh or int(batches) == 0


def _held(program: ExportedProgram, node: fx.Node) -> Tensor | None:
    name = program.graph_signature.inputs_to_buffers.get(node.name, "")
    return program.state_dict.get(name, program.constants.get(name))  # type: ignore[no-any-return]


def _attentions(program: ExportedProgram) -> list[str]:
    """Return the attentions without dropout in a program of evaluation mode."""
    operators = [node for node in program.graph.nodes if is_operator(node)]
    if any(arguments(node).get(flag) for node in operators for flag in _TRAINING):
        return []
    attentions = (node for node in operators if node.target is aten.scaled_dot_product_attention.default)
    return _places(node for node in attentions if not arguments(node)["dropout_p"])


def _idle_modules(program: ExportedProgram) -> list[str]:
    """Return the innermost modules that were called and left neither an operator nor a weight."""
    called = [entry.fqn.split("@")[0] for entry in program.module_call_graph if entry.fqn]
    stacks = (node.meta.get("nn_module_stack") or {} for node in program.graph.nodes)
    busy = {path.split("@")[0] for stack in stacks for path, _ in stack.values()}
    names = (*called, *program.state_dict, *program.constants)
    outer = {name.rsplit(".", dots)[0] for name in names for dots in range(1, name.count(".") + 1)}
    return [path for path in dict.fromkeys(called) if path not in busy | outer]


def _places(nodes: Iterator[fx.Node]) -> list[str]:
    return list(dict.fromkeys(origin(node)[0] or node.name for node in nodes))


def _listed(layers: Sequence[str]) -> str:
    more = f" and {len(layers) - _SHOWN} more" if len(layers) > _SHOWN else ""
    return ", ".join(f"`{layer}`" for layer in layers[:_SHOWN]) + more
