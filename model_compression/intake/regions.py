"""Regions of a program that only switch gradients or autocast off, written out in place."""

from typing import Any

from torch import fx, nn
from torch._ops import HigherOrderOperator
from torch.export import ExportedProgram
from torch.export.graph_signature import TensorArgument

_GRADIENTS = "wrap_with_set_grad_enabled"
_AUTOCAST = "wrap_with_autocast"
_ENABLED_AT = 2  # of autocast's arguments: device, dtype, enabled, cache


def inline_regions(program: ExportedProgram) -> ExportedProgram:
    """Write out regions without gradients and regions without autocast, in place; returns the program.

    Authors compute positions and angles so. What such a region computes does not depend on either. Other operators
    that call subgraphs stay.
    """
    graph = program.graph
    while (node := next((each for each in graph.nodes if _is_transparent(each)), None)) is not None:
        _inline(program.graph_module, node)
    _name_outputs(program)
    graph.eliminate_dead_code(is_impure_node=lambda node: not _is_unused_region(node))
    program.graph_module.recompile()
    return program


def _name_outputs(program: ExportedProgram) -> None:
    """Let the signature name the nodes that the outputs come from now."""
    results = program.graph.output_node().args[0]
    for result, spec in zip(results, program.graph_signature.output_specs, strict=True):
        if isinstance(result, fx.Node) and isinstance(spec.arg, TensorArgument):
            spec.arg = TensorArgument(result.name)


def _is_transparent(node: fx.Node) -> bool:
    if node.op != "call_function" or not isinstance(node.target, HigherOrderOperator):
        return False
    name = node.target.name()
    return name == _GRADIENTS or (name == _AUTOCAST and node.args[_ENABLED_AT] is False)


def _is_unused_region(node: fx.Node) -> bool:
    return node.op == "get_attr" and not node.users


def _inline(root: nn.Module, node: fx.Node) -> None:
    place = next(index for index, value in enumerate(node.args) if isinstance(value, fx.Node))
    region: Any = root.get_submodule(str(node.args[place].target))  # type: ignore[union-attr]
    given = iter(node.args[place + 1 :])
    copies: dict[fx.Node, Any] = {}
    results: Any = ()
    with node.graph.inserting_before(node):
        for inner in region.graph.nodes:
            if inner.op == "placeholder":
                copies[inner] = next(given)
            elif inner.op == "output":
                results = fx.map_arg(inner.args[0], copies.__getitem__)
            else:
                copies[inner] = node.graph.node_copy(inner, copies.__getitem__)
                if inner.op == "get_attr":  # a region inside, whose name may be taken outside
                    copies[inner].target = f"inlined_{copies[inner].name}"
                    root.add_module(copies[inner].target, region.get_submodule(str(inner.target)))
    for user in list(node.users):
        result = results[int(user.args[1])] if isinstance(results, tuple | list) else results  # type: ignore[arg-type]
        user.replace_all_uses_with(result)
        node.graph.erase_node(user)
    node.graph.erase_node(node)
