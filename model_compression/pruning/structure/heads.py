"""Removal of attention heads: layers lose rows and columns, and literal sizes in the graph are updated."""

import operator
from collections.abc import Collection, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor, fx, nn

from model_compression.errors import PruningError
from model_compression.intake import aten
from model_compression.pruning.structure.attention import Attention, attentions
from model_compression.pruning.structure.observation import observe

SIZES_AT = {aten.view.default, aten.reshape.default, aten._unsafe_view.default, aten.expand.default}


def remove_heads(model: fx.GraphModule, example: tuple[Tensor, ...], name: str, gone: Collection[int]) -> None:
    """Remove heads, by their numbers, from the attention whose reading layer is `name`, in place.

    Raises ValueError for an unknown attention, for heads that it does not have or for all of them, and PruningError
    where the remaining heads do not fit the graph's layout.
    """
    found, _ = attentions(model, observe(model, example))
    attention = next((each for each in found if each.name == name), None)
    if attention is None or not set(gone) < set(range(len(attention.heads))):
        have = f"{len(attention.heads)} heads" if attention else "no attention"
        raise ValueError(f"expected some of the heads of {name}, got {sorted(gone)} where there are {have}")
    for node, heads in attention.heads_at.items():
        if node.op == "call_function" and node is not attention.core:
            _rewrite(node, attention.heads_at, heads, gone)
    _shrink(model, attention, set(gone))
    model.recompile()


def _shrink(model: fx.GraphModule, attention: Attention, gone: set[int]) -> None:
    for layer in attention.makers:
        rows = {row for number in gone for row in attention.heads[number].rows[layer]}
        _keep(model.get_submodule(layer), 0, rows)
    columns = {column for number in gone for column in attention.heads[number].columns}
    _keep(model.get_submodule(attention.name), 1, columns)


def _keep(layer: Any, dim: int, gone: Collection[int]) -> None:
    """Remove outputs (dim 0) or inputs (dim 1) of a linear layer."""
    kept = torch.tensor([index for index in range(layer.weight.shape[dim]) if index not in gone])
    layer.weight = _part(layer.weight, dim, kept)
    if dim == 0 and layer.bias is not None:
        layer.bias = _part(layer.bias, 0, kept)
    layer.out_features, layer.in_features = layer.weight.shape


def _part(parameter: nn.Parameter, dim: int, kept: Tensor) -> nn.Parameter:
    return nn.Parameter(parameter.detach().index_select(dim, kept).clone(), parameter.requires_grad)


def _rewrite(node: fx.Node, heads_at: dict[fx.Node, Any], heads: Any, gone: Collection[int]) -> None:
    """Update the literal sizes of a node to those of the remaining heads."""
    if node.target in SIZES_AT:
        _resize(node, node.args[1], 0, heads, gone)  # type: ignore[arg-type]
    elif node.target is aten.unflatten.int:
        dim, sizes = node.args[1:]
        rank = heads.dim() - len(sizes) + 1  # type: ignore[arg-type]
        _resize(node, sizes, int(dim) % rank, heads, gone)  # type: ignore[arg-type]
    elif node.target in (aten.split_with_sizes.default, aten.split.sizes):
        dim = int(node.args[2] if len(node.args) > 2 else node.kwargs.get("dim", 0))  # type: ignore[arg-type]
        node.update_arg(1, [_left(part, gone)[dim] for part in heads])
    elif node.target is aten.slice.Tensor and len(node.args) > 2:
        _reslice(node, heads_at[node.args[0]], gone)  # type: ignore[index]


def _resize(node: fx.Node, written: Sequence[Any], first: int, heads: Tensor, gone: Collection[int]) -> None:
    before, after = heads.shape, _left(heads, gone)
    sizes = list(written)
    for index, size in enumerate(written):
        old, new = before[first + index], after[first + index]
        if old == new or size == -1:
            continue
        if isinstance(size, int):
            sizes[index] = new
        elif -1 not in sizes and node.target is not aten.expand.default:
            sizes[index] = -1
        else:
            sizes[index] = _scaled(node, size, new, old)
    node.update_arg(list(node.args).index(written), sizes)


def _scaled(node: fx.Node, size: fx.Node, new: int, old: int) -> fx.Node:
    with node.graph.inserting_before(node):
        return node.graph.call_function(operator.floordiv, (node.graph.call_function(operator.mul, (size, new)), old))


def _reslice(node: fx.Node, heads: Tensor, gone: Collection[int]) -> None:
    dim, *ends = node.args[1:]
    kept = _along(_kept(heads, gone), int(dim) % heads.dim())  # type: ignore[arg-type]
    for position, end in enumerate(ends[:2], start=2):
        if isinstance(end, int):
            node.update_arg(position, int(kept[:end].sum()))


def _kept(heads: Tensor, gone: Collection[int]) -> Tensor:
    return ~torch.isin(heads.long(), torch.tensor(sorted(gone)))


def _left(heads: Tensor, gone: Collection[int]) -> list[int]:
    """Return the shape of what remains. Raises PruningError where it is no rectangle."""
    kept = _kept(heads, gone)
    sizes = [int(_along(kept, dim).sum()) for dim in range(kept.dim())]
    if prod(sizes) != int(kept.sum()):
        raise PruningError(
            f"expected heads of one layout, got a shape of {list(heads.shape)} that is none without the heads "
            f"{sorted(gone)}; leave the heads of this attention as they are"
        )
    return sizes


def _along(kept: Tensor, dim: int) -> Tensor:
    """Tell for each position of a dimension whether anything is kept there."""
    return kept.movedim(dim, 0).reshape(kept.shape[dim], -1).any(1)
