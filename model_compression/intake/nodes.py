"""Questions about one node of a program, and nodes rewritten without literal sizes.

An exported program writes `view(x, [batch, 512])` where its author wrote flatten(x, 1). After pruning, 512 is wrong, so
a literal size that pruning would break is replaced by one that is read when the model runs.
"""

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import torch
from torch import fx
from torch._ops import OpOverload
from torch.fx.experimental.symbolic_shapes import statically_known_true

aten = torch.ops.aten
Sizes = tuple[Any, ...]
SizeReader = Callable[[fx.Node, int], fx.Node]
_VIEWS = (aten.view.default, aten.reshape.default, aten._unsafe_view.default)


def arguments(node: fx.Node) -> dict[str, Any]:
    """Return the arguments of an ATen node by their names in the operator's schema, defaults included."""
    schema = node.target._schema.arguments  # type: ignore[union-attr]
    named = {argument.name: argument.default_value for argument in schema if argument.has_default_value()}
    named.update({argument.name: value for argument, value in zip(schema, node.args, strict=False)})
    return {**named, **node.kwargs}


def origin(node: fx.Node) -> tuple[str, str]:
    """Return the path and the class of the innermost module that the node came from, ("", "") if unknown."""
    stack = node.meta.get("nn_module_stack") or {}
    path, kind = list(stack.values())[-1] if stack else ("", "")
    name = kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"
    return path.split("@")[0], name


def callers_of(node: fx.Node) -> tuple[str, ...]:
    """Return the paths of the modules that the node ran in, the outermost first."""
    return tuple(path.split("@")[0] for path, _ in (node.meta.get("nn_module_stack") or {}).values())


def size_of(node: fx.Node) -> tuple[Any, ...]:
    """Return the shape that the node had when it was exported; a size that may change is a SymInt."""
    return tuple(node.meta["val"].shape)


def is_operator(node: fx.Node) -> bool:
    """Tell whether the node calls an ATen operator."""
    return node.op == "call_function" and isinstance(node.target, OpOverload)


def operator_name(node: fx.Node) -> str:
    """Return the name of the node's ATen operator without its overload, "" for anything else."""
    return node.target._schema.name.removeprefix("aten::") if is_operator(node) else ""  # type: ignore[union-attr]


def written_argument(node: fx.Node) -> fx.Node | None:
    """Return the node whose tensor this one changes in place, or None."""
    if not is_operator(node):
        return None
    for argument in node.target._schema.arguments:  # type: ignore[union-attr]
        if argument.alias_info is not None and argument.alias_info.is_write:
            value = arguments(node)[argument.name]
            return value if isinstance(value, fx.Node) else None
    return None


def is_view(node: fx.Node) -> bool:
    """Tell whether the node may return the memory of its first argument."""
    if not is_operator(node):
        return node.op == "call_function"
    returns = node.target._schema.returns  # type: ignore[union-attr]
    return any(value.alias_info is not None for value in returns)


def memory_of(node: fx.Node) -> fx.Node:
    """Return the node whose memory `node` may be a view of: itself, if it is no view."""
    while is_view(node) and isinstance(node.args[0], fx.Node):
        node = node.args[0]
    return node


def overwritten_is_free(node: fx.Node, written: fx.Node) -> bool:
    """Tell whether only `written` itself sees, after `node`, the memory that `node` writes to.

    If so, the write needs no memory of its own: later uses of `written` can take the result instead.
    """
    root = memory_of(written)
    if root.op == "placeholder":
        return False
    aliases = [root]
    for alias in aliases:
        aliases.extend(user for user in alias.users if user < node and is_view(user) and user not in aliases)
    return not any(user > node for alias in aliases if alias is not written for user in alias.users)


def without_write(target: OpOverload) -> OpOverload | None:
    """Return the operator that computes the same without writing in place: `add` for `add_`."""
    packet = target._schema.name.removeprefix("aten::")
    if not packet.endswith("_") or packet.endswith("__"):
        return None
    plain = getattr(aten, packet[:-1], None)
    return getattr(plain, target._overloadname, None)


def live_nodes(graph: fx.Graph, outputs: Collection[fx.Node]) -> set[fx.Node]:
    """Return the nodes that the outputs need, and those that write in place to memory that it needs.

    Assertions and the counters of batch norms are not among them.
    """
    needed = set(outputs)
    memory = {memory_of(node) for node in needed}
    for node in reversed(graph.nodes):
        written = written_argument(node)
        if node in needed or (written is not None and memory_of(written) in memory):
            needed.update((node, *node.all_input_nodes))
            memory.update(memory_of(source) for source in node.all_input_nodes)
    return needed


class Rewritten(NamedTuple):
    """An operator and its arguments, which replace those of a node."""

    target: Any
    args: tuple[Any, ...]


def without_literals(node: fx.Node, read_size: SizeReader) -> Rewritten | None:
    """Return the same operation with as few literal sizes as its input's shape allows, or None.

    `read_size(x, i)` makes the node that reads the size of `x` in dimension i when the model runs.
    """
    if node.target in _VIEWS:
        return _view(node, read_size)
    if node.target is aten.expand.default:
        return _expand(node)
    if node.target in (aten.split.Tensor, aten.split_with_sizes.default, aten.split.sizes):
        return _split(node)
    return None


def _view(node: fx.Node, read_size: SizeReader) -> Rewritten:
    source, written = node.args[0], list(node.args[1])  # type: ignore[arg-type]
    before, after = size_of(source), size_of(node)  # type: ignore[arg-type]
    head, tail = _unchanged(before, after)
    merged, made = before[head : len(before) - tail], after[head : len(after) - tail]
    if len(made) == 1 and len(merged) > 1:
        return Rewritten(aten.flatten.using_ints, (source, head, head + len(merged) - 1))
    carried = {index: index for index in range(head)}
    carried |= {len(after) - 1 - back: len(before) - 1 - back for back in range(tail)}
    for target, origin in carried.items():
        if not isinstance(written[target], fx.Node):
            written[target] = read_size(source, origin)  # type: ignore[arg-type]
    if len(merged) == 1 and len(made) > 1 and -1 not in written and not isinstance(merged[0], fx.Node):
        free = head + (len(made) - 2 if not tail else len(made) - 1)
        if isinstance(written[free], int):
            written[free] = -1
    return Rewritten(node.target, (source, written))


def _unchanged(before: Sizes, after: Sizes) -> tuple[int, int]:
    """Count the leading and the trailing sizes that a view leaves unchanged."""
    shorter = min(len(before), len(after))
    head = 0
    while head < shorter and statically_known_true(before[head] == after[head]):
        head += 1
    tail = 0
    while tail < shorter - head and statically_known_true(before[-1 - tail] == after[-1 - tail]):
        tail += 1
    return head, tail


def _expand(node: fx.Node) -> Rewritten:
    source, written, *rest = node.args
    before = size_of(source)  # type: ignore[arg-type]
    new = len(written) - len(before)  # type: ignore[arg-type]
    kept = [
        -1 if index >= new and isinstance(size, int) and statically_known_true(before[index - new] == size) else size
        for index, size in enumerate(written)  # type: ignore[arg-type]
    ]
    return Rewritten(node.target, (source, kept, *rest))


def _split(node: fx.Node) -> Rewritten | None:
    source, sizes = node.args[0], node.args[1]
    dim = int(node.args[2] if len(node.args) > 2 else node.kwargs.get("dim", 0))  # type: ignore[arg-type]
    whole = size_of(source)[dim]  # type: ignore[arg-type]
    if isinstance(sizes, int) and isinstance(whole, int):
        sizes = [sizes] * (whole // sizes) if whole % sizes == 0 else []
    if not isinstance(sizes, (list, tuple)) or not sizes or any(size != sizes[0] for size in sizes):
        return None
    return Rewritten(aten.chunk.default, (source, len(sizes), dim))
