"""Reads a node of a program: its arguments by name, the module that it came from, what it writes to."""

from typing import Any

import torch
from torch import fx
from torch._ops import OpOverload

aten = torch.ops.aten


def arguments(node: fx.Node) -> dict[str, Any]:
    """The arguments of an ATen node by their names in the operator's schema, defaults included."""
    schema = node.target._schema.arguments  # type: ignore[union-attr]
    named = {argument.name: argument.default_value for argument in schema if argument.has_default_value()}
    named.update({argument.name: value for argument, value in zip(schema, node.args, strict=False)})
    return {**named, **node.kwargs}


def origin(node: fx.Node) -> tuple[str, str]:
    """The path and the class of the innermost module that the node came from, ("", "") where unknown."""
    stack = node.meta.get("nn_module_stack") or {}
    path, kind = list(stack.values())[-1] if stack else ("", "")
    name = kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"
    return path.split("@")[0], name


def size_of(node: fx.Node) -> tuple[Any, ...]:
    """The shape that the node had when it was exported; a size that may change is a SymInt."""
    return tuple(node.meta["val"].shape)


def is_operator(node: fx.Node) -> bool:
    """Whether the node calls an ATen operator."""
    return node.op == "call_function" and isinstance(node.target, OpOverload)


def operator_name(node: fx.Node) -> str:
    """The name of the node's ATen operator without its overload, "" for anything else."""
    return node.target._schema.name.removeprefix("aten::") if is_operator(node) else ""  # type: ignore[union-attr]


def written_argument(node: fx.Node) -> fx.Node | None:
    """The node whose tensor this one changes in place, if any."""
    if not is_operator(node):
        return None
    for argument in node.target._schema.arguments:  # type: ignore[union-attr]
        if argument.alias_info is not None and argument.alias_info.is_write:
            value = arguments(node)[argument.name]
            return value if isinstance(value, fx.Node) else None
    return None


def is_view(node: fx.Node) -> bool:
    """Whether the node may return the memory of its first argument."""
    if not is_operator(node):
        return node.op == "call_function"
    returns = node.target._schema.returns  # type: ignore[union-attr]
    return any(value.alias_info is not None for value in returns)


def memory_of(node: fx.Node) -> fx.Node:
    """The node whose memory `node` may be a view of: itself, if it is no view."""
    while is_view(node) and isinstance(node.args[0], fx.Node):
        node = node.args[0]
    return node


def overwritten_is_free(node: fx.Node, written: fx.Node) -> bool:
    """Whether nothing but `written` itself sees, after `node`, the memory that `node` writes to.

    Then the write needs no memory of its own: later uses of `written` can take the result instead.
    """
    root = memory_of(written)
    if root.op == "placeholder":
        return False
    aliases = [root]
    for alias in aliases:
        aliases.extend(user for user in alias.users if user < node and is_view(user) and user not in aliases)
    return not any(user > node for alias in aliases if alias is not written for user in alias.users)


def without_write(target: OpOverload) -> OpOverload | None:
    """The operator that computes the same without writing in place: `add` for `add_`."""
    packet = target._schema.name.removeprefix("aten::")
    if not packet.endswith("_") or packet.endswith("__"):
        return None
    plain = getattr(aten, packet[:-1], None)
    return getattr(plain, target._overloadname, None)


def live_nodes(graph: fx.Graph, output: fx.Node) -> set[fx.Node]:
    """The nodes that `output` needs, and those that write in place to memory that it needs.

    Assertions and the bookkeeping of batch counters are not among them.
    """
    needed = {output}
    for node in reversed(graph.nodes):
        written = written_argument(node)
        if node in needed or (written is not None and memory_of(written) in needed):
            needed.update(node.all_input_nodes)
            needed.add(node)
    return needed
