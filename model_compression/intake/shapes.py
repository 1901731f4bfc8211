"""Replaces the literal sizes that pruning would break by sizes read at run time.

An exported program writes `view(x, [batch, 512])` where its author wrote flatten(x, 1). After pruning, 512 is wrong.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import fx
from torch.fx.experimental.symbolic_shapes import statically_known_true

from model_compression.intake.nodes import aten, size_of

Sizes = tuple[Any, ...]
SizeReader = Callable[[fx.Node, int], fx.Node]
_VIEWS = (aten.view.default, aten.reshape.default, aten._unsafe_view.default)


class Rewritten(NamedTuple):
    """What takes the place of a node's operator and of its arguments."""

    target: Any
    args: tuple[Any, ...]


def without_literals(node: fx.Node, read_size: SizeReader) -> Rewritten | None:
    """The same operation with as few literal sizes as its input's shape allows; None where there is nothing to do.

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
    """How many leading and how many trailing sizes a view leaves as they are."""
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
