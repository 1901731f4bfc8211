"""Attention heads: found in a graph, each with its rows and columns of the layers around it.

An attention is one operator, or a product of values with what a softmax made of another product. Its heads are the
labels that come out of it: each stands for all that goes with one head, however views, rotary embeddings, norms and
masks were written, and heads that share keys and values (grouped queries) have one label.
"""

import operator
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from model_compression.intake import ScaledDotProductAttention, aten
from model_compression.pruning.structure.channel_rules import ACTIVATIONS, MOVES, is_elementwise
from model_compression.pruning.structure.channel_walk import ChannelFlow
from model_compression.pruning.structure.contractions import CONTRACTIONS, FUSED
from model_compression.pruning.structure.labels import without_copies
from model_compression.pruning.structure.observation import STAYS, layer_of

SOFTMAX = {aten.softmax.int, aten._softmax.default}
OPERATORS = {*CONTRACTIONS, *SOFTMAX}
"""Operators between an attention's layers, where it spends its time."""
PASSED = {*MOVES, *STAYS, operator.getitem}
READERS = (nn.modules.conv._ConvNd, nn.Linear)


@dataclass(frozen=True)
class Core:
    """The operators of one attention: the products and the softmax; `node` is the last of them."""

    node: fx.Node
    operators: tuple[fx.Node, ...]


def cores(model: fx.GraphModule) -> Iterator[Core]:
    """Yield the attentions of a graph in the order in which they run."""
    for node in model.graph.nodes:
        if node.target is FUSED or layer_of(model, node, ScaledDotProductAttention):
            yield Core(node, (node,))
        elif node.target in CONTRACTIONS:
            for softmax in _behind(model, node, _is_softmax):
                for scores in _behind(model, softmax, _is_product):
                    yield Core(node, (scores, softmax, node))
                    break
                else:
                    continue
                break


def _is_softmax(model: fx.GraphModule, node: fx.Node) -> bool:
    return node.target in SOFTMAX or layer_of(model, node, nn.Softmax) is not None


def _is_product(_model: fx.GraphModule, node: fx.Node) -> bool:
    return node.target in CONTRACTIONS and node.target is not FUSED


def _behind(model: fx.GraphModule, node: fx.Node, wanted: Any) -> Iterator[fx.Node]:
    """Yield the nearest wanted nodes behind a node, through operators that keep or move each element."""
    pending, seen = list(node.all_input_nodes), set()
    while pending:
        source = pending.pop(0)
        if source in seen:
            continue
        seen.add(source)
        if wanted(model, source):
            yield source
        elif source.target in PASSED or is_elementwise(source) or _keeps(model, source):
            pending.extend(source.all_input_nodes)


def _keeps(model: fx.GraphModule, node: fx.Node) -> bool:
    return layer_of(model, node, ACTIVATIONS) is not None


@dataclass(frozen=True)
class Head:
    """One head: its outputs (rows) of the layers before it, and its inputs (columns) of the layer behind it."""

    rows: dict[str, list[int]]
    columns: list[int]


@dataclass(frozen=True)
class Attention:
    """The heads of one attention; `name` is the layer that reads them.

    `nodes` are all that carry heads between the layers, `core` is the last of the `operators`, where the heads' tokens
    meet. `classes` has the label of each head in the flow of its graph. Heads that share keys and values (grouped
    queries) count as one.
    """

    name: str
    core: fx.Node
    heads: tuple[Head, ...]
    nodes: tuple[fx.Node, ...]
    operators: tuple[fx.Node, ...]
    classes: tuple[int, ...]

    @property
    def makers(self) -> list[str]:
        """The layers that make queries, keys and values."""
        return list(dict.fromkeys(layer for head in self.heads for layer in head.rows))


class NotFoundError(Exception):
    """The heads of an attention cannot be told apart; the message says why."""


def attentions(model: fx.GraphModule, flow: ChannelFlow) -> tuple[list[Attention], dict[str, str]]:
    """Find the heads of every attention in a graph, by the labels of its channels.

    Returns the attentions, and a reason for each attention whose heads cannot be told apart, by its node's name.
    """
    found: list[Attention] = []
    unknown: dict[str, str] = {}
    for core in cores(model):
        try:
            attention = _attention(model, core, flow)
        except NotFoundError as error:
            unknown[core.node.name] = str(error)
            continue
        if any({*attention.classes} & {*other.classes} for other in found):
            unknown[core.node.name] = "its heads go with those of another attention"
        else:
            found.append(attention)
    return found, unknown


def _attention(model: fx.GraphModule, core: Core, flow: ChannelFlow) -> Attention:
    labels = flow.at[core.node.name]
    classes = torch.unique(without_copies(labels)) if isinstance(labels, Tensor) else torch.zeros(1)
    if 0 in classes:
        raise NotFoundError(_why(core, flow))
    readers = [path for path, read in flow.inputs.items()
               if isinstance(model.get_submodule(path), READERS) and torch.isin(read, classes).any()]  # fmt: skip
    if len(readers) != 1:
        raise NotFoundError(f"what its heads make is read in {len(readers)} places ({', '.join(readers)}), not in one")
    makers = [path for path, made in flow.outputs.items() if torch.isin(made, classes).any()]
    heads = tuple(
        Head({path: _places(flow.outputs[path], each) for path in makers}, _places(flow.inputs[readers[0]], each))
        for each in classes.tolist()
    )
    heads_only = not any((_without(flow.outputs[path], classes) > 0).any() for path in makers)
    if not heads_only:
        raise NotFoundError(f"{', '.join(makers)} make channels beside its heads")
    carrying = tuple(
        node for node in model.graph.nodes if node.op.startswith("call") and _carries(flow.at[node.name], classes)
    )
    return Attention(readers[0], core.node, heads, carrying, core.operators, tuple(classes.tolist()))


def _why(core: Core, flow: ChannelFlow) -> str:
    """Return the reason of the nearest layers behind an attention whose outputs stay."""
    pending, seen = list(core.operators[0].all_input_nodes), set()
    while pending:
        node = pending.pop(0)
        if node.op == "call_module" and str(node.target) in flow.why:
            return f"{node.target}: {flow.why[str(node.target)]}"
        if node not in seen:
            seen.add(node)
            pending.extend(node.all_input_nodes)
    return f"what {core.node.name} takes is made by no layer that could lose a head"


def _places(labels: Tensor, each: int) -> list[int]:
    places: list[int] = (labels == each).nonzero().flatten().tolist()
    return places


def _without(labels: Tensor, classes: Tensor) -> Tensor:
    return labels[~torch.isin(labels, classes)]


def _carries(labels: Any, classes: Tensor) -> bool:
    return any(
        bool(torch.isin(without_copies(each), classes).any())
        for each in pytree.tree_leaves(labels)
        if isinstance(each, Tensor)
    )
