"""Masks that were written out for every head: they lose a head with it."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, fx

from model_compression.intake import aten
from model_compression.pruning.structure.cores import ELEMENTWISE, Core
from model_compression.pruning.structure.index_flow import MOVES, STAYS, follow
from model_compression.pruning.structure.observation import Values


def heads_of_masks(model: fx.GraphModule, values: Values, core: Core, place_heads: Tensor) -> dict[fx.Node, Any]:
    """Which head each element belongs to at the nodes that spread a core's masks over its heads.

    Empty where masks are the same for all heads by broadcasting.
    """
    found: dict[fx.Node, Any] = {}
    for mask in core.masks:
        behind = _behind(mask)
        for node, dim in _spreads(values, behind):
            shape = values[node].shape
            numbers = torch.arange(shape[dim], dtype=torch.float64).view(-1, *[1] * (len(shape) - dim - 1))
            reached = _through(model, values, {node: numbers.expand(shape)}, behind)
            if mask in reached and _is_by_head(reached[mask], place_heads):
                found |= reached
    return found


def _behind(mask: fx.Node) -> set[fx.Node]:
    pending, behind = [mask], set()
    while pending:
        node = pending.pop()
        if node not in behind and (node.target in MOVES or node.target in STAYS or node.target in ELEMENTWISE):
            behind.add(node)
            pending.extend(node.all_input_nodes)
    return behind


def _spreads(values: Values, nodes: set[fx.Node]) -> Iterator[tuple[fx.Node, int]]:
    for node in nodes:
        if node.target is not aten.expand.default:
            continue
        before, after = values[node.args[0]].shape, values[node].shape  # type: ignore[index]
        new = len(after) - len(before)
        for dim, size in enumerate(after):
            if size > 1 and (dim < new or before[dim - new] == 1):
                yield node, dim


def _through(
    model: fx.GraphModule, values: Values, seeds: dict[fx.Node, Any], nodes: set[fx.Node]
) -> dict[fx.Node, Any]:
    """Follow the numbers inside `nodes`, past sums with what is the same for all heads."""
    reached = {node: numbers for node, numbers in follow(model, values, seeds).items() if node in nodes}
    for node in model.graph.nodes:
        sources = [each for each in node.all_input_nodes if each in reached]
        if node in nodes and node not in reached and len(sources) == 1 and node.target in ELEMENTWISE:
            spread = torch.broadcast_to(reached[sources[0]], values[node].shape)
            return _through(model, values, {**reached, node: spread}, nodes)
    return reached


def _is_by_head(numbers: Tensor, place_heads: Tensor) -> bool:
    """Whether the numbers tell the heads apart as the places of the attention do."""
    places = numbers.reshape(-1, *numbers.shape[-2:]) if numbers.dim() > 2 else numbers[None]
    if len(places) != len(place_heads) or not (places == places[:, :1, :1]).all():
        return False
    pairs = torch.stack([places[:, 0, 0].long(), place_heads], 1).unique(dim=0)
    return len(pairs) == int(place_heads.max()) + 1 == len(pairs[:, 0].unique())
