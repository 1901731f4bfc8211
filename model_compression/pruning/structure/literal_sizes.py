"""Literal sizes in a graph, updated after units were removed from its layers."""

import operator
from collections.abc import Collection, Mapping, Sequence
from math import prod
from typing import Any

from torch import Tensor, fx

from model_compression.errors import PruningError
from model_compression.intake import aten
from model_compression.pruning.structure.labels import are_among, without_copies

SIZES_AT = {aten.view.default, aten.reshape.default, aten._unsafe_view.default, aten.expand.default}
SPLITS = {aten.split_with_sizes.default, aten.split.sizes, aten.split.Tensor, aten.chunk.default}


def rewrite_sizes(node: fx.Node, units_at: Mapping[fx.Node, Any], units: Any, gone: Collection[int]) -> None:
    """Update the literal sizes of a node to those of the remaining units.

    `units_at` has the unit of each element at the nodes before it, `units` those of the node itself. Raises
    PruningError where what remains is no rectangle.
    """
    if node.target in SIZES_AT:
        _resize(node, node.args[1], 0, units_at, units, gone)  # type: ignore[arg-type]
    elif node.target is aten.unflatten.int:
        dim, sizes = node.args[1:]
        rank = units.dim() - len(sizes) + 1  # type: ignore[arg-type]
        _resize(node, sizes, int(dim) % rank, units_at, units, gone)  # type: ignore[arg-type]
    elif node.target in SPLITS:
        _resplit(node, units, gone)
    elif node.target is aten.slice.Tensor and len(node.args) > 2:
        _reslice(node, units_at[node.args[0]], gone)  # type: ignore[index]


def kept_places(units: Tensor, gone: Collection[int]) -> Tensor:
    """Return a mask of the elements that stay."""
    return ~are_among(without_copies(units), gone).expand(units.shape)


def along(kept: Tensor, dim: int) -> Tensor:
    """Tell for each place of a dimension whether anything is kept there."""
    small = without_copies(kept).movedim(dim, 0)
    return small.reshape(small.shape[0], -1).any(1).expand(kept.shape[dim])


def remaining_shape(units: Tensor, gone: Collection[int]) -> list[int]:
    """Return the shape of what remains. Raises PruningError where it is no rectangle."""
    kept = kept_places(units, gone)
    sizes = [int(along(kept, dim).sum()) for dim in range(kept.dim())]
    small = without_copies(kept)
    if prod(sizes) * small.numel() != int(small.sum()) * kept.numel():
        raise PruningError(
            f"expected units of one layout, got a shape of {list(units.shape)} that is none without the units "
            f"{sorted(gone)[:8]}; leave the units of this layer as they are"
        )
    return sizes


def _resplit(node: fx.Node, parts: Sequence[Tensor], gone: Collection[int]) -> None:
    dim = int(node.args[2] if len(node.args) > 2 else node.kwargs.get("dim", 0))  # type: ignore[arg-type]
    after = [remaining_shape(part, gone)[dim] for part in parts]
    before = [part.shape[dim] for part in parts]
    if after == before or (node.target is aten.chunk.default and len(set(after)) == 1):
        return
    node.target = aten.split_with_sizes.default
    node.args, node.kwargs = (node.args[0], after, dim), {}


def _resize(
    node: fx.Node,
    written: Sequence[Any],
    first: int,
    units_at: Mapping[fx.Node, Any],
    units: Tensor,
    gone: Collection[int],
) -> None:
    before, after = units.shape, remaining_shape(units, gone)
    sizes = list(written)
    for index, size in enumerate(written):
        old, new = before[first + index], after[first + index]
        if old == new or size == -1:
            continue
        if isinstance(size, int):
            sizes[index] = new
        elif _is_read(size, units_at, gone, new):
            continue
        elif -1 not in sizes and node.target is not aten.expand.default:
            sizes[index] = -1
        else:
            sizes[index] = _scaled(node, size, new, old)
    node.update_arg(list(node.args).index(written), sizes)


def _is_read(size: fx.Node, units_at: Mapping[fx.Node, Any], gone: Collection[int], new: int) -> bool:
    """Tell whether a size is read where the model runs, from a value that has it by then."""
    if size.target is not aten.sym_size.int:
        return False
    source, dim = size.args
    units = units_at.get(source)  # type: ignore[arg-type]
    return isinstance(units, Tensor) and remaining_shape(units, gone)[int(dim)] == new  # type: ignore[arg-type]


def _scaled(node: fx.Node, size: fx.Node, new: int, old: int) -> fx.Node:
    with node.graph.inserting_before(node):
        return node.graph.call_function(operator.floordiv, (node.graph.call_function(operator.mul, (size, new)), old))


def _reslice(node: fx.Node, units: Tensor, gone: Collection[int]) -> None:
    dim, *ends = node.args[1:]
    step = int(ends[2]) if len(ends) > 2 else 1  # type: ignore[arg-type]
    kept = along(kept_places(units, gone), int(dim) % units.dim())  # type: ignore[arg-type]
    if kept.all():
        return
    for position, end in enumerate(ends[:2], start=2):
        if isinstance(end, int):
            place = min(end % len(kept) if end < 0 else end, len(kept))
            node.update_arg(position, int(kept[: place - place % step].sum()) + place % step)
