"""Removal of attention heads: layers lose rows and columns, and literal sizes in the graph are updated."""

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, fx, nn

from model_compression.pruning.structure.attention import Attention, attentions
from model_compression.pruning.structure.literal_sizes import rewrite_sizes
from model_compression.pruning.structure.observation import observe


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
            rewrite_sizes(node, attention.heads_at, heads, gone)
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
