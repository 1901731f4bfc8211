"""Channels: the labels of every layer's outputs are sent through the graph, so each reader says what belongs together.

Whatever views, slices, shuffles, splits, concatenations, gates and repeats an author wrote, a label comes out where a
value would. Where two labels meet in a sum or a product, they can only go together. What no rule here knows keeps its
channels.
"""

import operator
from math import prod
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils import _pytree as pytree

from model_compression.pruning.structure.channel_layers import through_layer
from model_compression.pruning.structure.channel_rules import (
    MOVES,
    VIEWS,
    is_elementwise,
    is_like,
    is_padding,
    is_spatial,
    reduction,
)
from model_compression.pruning.structure.channel_walk import ChannelFlow, ChannelWalk
from model_compression.pruning.structure.contractions import CONTRACTIONS, FUSED, attend, contract
from model_compression.pruning.structure.labels import as_copies, varying, without_copies
from model_compression.pruning.structure.observation import STAYS as COPIES
from model_compression.pruning.structure.observation import Values

FEW_ELEMENTS = 1 << 22  # of a bare parameter, whose every element gets a label


def channel_flow(model: fx.GraphModule, values: Values) -> ChannelFlow:
    """Send the labels of all channels through a graph that was observed."""
    return _Walk(model, values).run().settle()


class _Walk(ChannelWalk):
    """The walk itself, and the rules for operators."""

    def run(self) -> ChannelFlow:
        for node in self.model.graph.nodes:
            if node.op == "output":
                self.stay(node, "its units are the model's outputs")
                continue
            found = pytree.tree_map_only(Tensor, as_copies, self._visit(node))
            self.at[node] = found
            self.flow.at[node.name] = found
        for owner, why in self.read_elsewhere.items():
            for made in (self.flow.outputs, self.flow.inputs):
                if owner in made:
                    self.keep(made[owner], why)
        return self.flow

    def _visit(self, node: fx.Node) -> Any:
        if node.op == "get_attr":
            return self._bare(node)
        if node.op == "call_module":
            return through_layer(self, node)
        if node.op == "call_function" and node.all_input_nodes:
            return self._function(node)
        return self.none(node)

    def _bare(self, node: fx.Node) -> Any:
        value, path = self.values[node], str(node.target)
        owner = path.rpartition(".")[0]
        if any(str(call.target) == owner for call in self.model.graph.find_nodes(op="call_module")):
            self.read_elsewhere[owner] = f"an operator beside it reads its weights as {node.name}"
            return self.none(node)
        if not isinstance(value, Tensor) or not value.is_floating_point() or not 1 < value.numel() <= FEW_ELEMENTS:
            return self.none(node)
        if path not in self.flow.bare:
            self.flow.bare[path] = self.labels.fresh(value.numel()).view(value.shape)
        return self.flow.bare[path]

    def _function(self, node: fx.Node) -> Any:
        if not any(isinstance(leaf, Tensor) for leaf in pytree.tree_leaves(self.values[node])):
            if not (node.target is torch.ops.aten.sym_size.int or self._is_plain(node)):
                self.stay(node, f"{node.name} reads them")
            return self.none(node)
        rule = next((rule for applies, rule in OPERATORS if applies(node)), _Walk.unknown)
        return rule(self, node)

    def _part(self, node: fx.Node) -> Any:
        source: Any = self.at.get(node.args[0])  # type: ignore[arg-type]
        index: Any = node.args[1]
        return source[index] if isinstance(source, list | tuple) else self.unknown(node)

    def _copied(self, node: fx.Node) -> Any:
        source = self.at.get(node.args[0])  # type: ignore[arg-type]
        return source if isinstance(source, Tensor) else self.unknown(node)

    def _padded(self, node: fx.Node) -> Any:
        source = self.at.get(node.args[0])  # type: ignore[arg-type]
        if not isinstance(source, Tensor):
            return self.unknown(node)
        source, sizes = self.labels.classes(source), list(node.args[1])  # type: ignore[arg-type]
        padded = {source.dim() - 1 - place // 2 for place, size in enumerate(sizes) if size != 0}
        return self.unknown(node) if padded & {*varying(source)} else self.beside(node, source)

    def _in_each_channel(self, node: fx.Node) -> Any:
        source = self.at.get(node.args[0])  # type: ignore[arg-type]
        return self.spatial(node, source) if isinstance(source, Tensor) else self.unknown(node)

    def _paired(self, node: fx.Node) -> Any:
        """Join the halves of a gated unit."""
        source = self.at.get(node.args[0])  # type: ignore[arg-type]
        if not isinstance(source, Tensor):
            return self.unknown(node)
        gated, gates = source.chunk(2, int(node.args[1]) if len(node.args) > 1 else -1)  # type: ignore[arg-type]
        self.labels.join(gated, gates)
        return self.labels.classes(gated)

    def _read_together(self, node: fx.Node) -> Any:
        source, kind = self.at.get(node.args[0]), reduction(node)  # type: ignore[arg-type]
        if kind is None or not isinstance(source, Tensor):
            return self.unknown(node)
        return self.reduced(node, source, *kind)

    def _is_plain(self, node: fx.Node) -> bool:
        """Tell whether a node computes a number of numbers: sizes, never values of rows."""
        return not any(isinstance(self.values[source], Tensor) for source in node.all_input_nodes)

    def _moved(self, node: fx.Node) -> Any:
        for source in node.all_input_nodes:
            labels = self.at.get(source)
            if isinstance(labels, Tensor):
                self.at[source] = self.labels.classes(labels)
        if node.target in (torch.ops.aten.cat.default, torch.ops.aten.stack.default):
            self._side_by_side(node)
        if self._stays_whole(node):
            return self.unknown(node)
        target: Any = VIEWS.get(node.target, node.target)
        rest: Any = fx.map_arg(node.args[1:], self.values.__getitem__)
        kwargs: Any = fx.map_arg(node.kwargs, self.values.__getitem__)
        moved = target(fx.map_arg(node.args[0], self.at.__getitem__), *rest, **kwargs)
        if node.target is torch.ops.aten.expand.default and not bool(without_copies(moved).any()):
            return self._copies(node, moved)
        return moved

    def _copies(self, node: fx.Node, moved: Tensor) -> Tensor:
        """Give labels to the copies of a value that no channel is in, such as a mask for each head: any can go."""
        written: Any = node.args[1]
        before = [1] * (moved.dim() - self.at[node.args[0]].dim()) + list(self.at[node.args[0]].shape)  # type: ignore[index]
        sizes = [
            size if isinstance(size, int) and size > 1 and old == 1 else 1
            for size, old in zip(written, before, strict=True)
        ]
        if not 1 < prod(sizes) <= FEW_ELEMENTS:
            return moved
        return self.labels.fresh(prod(sizes)).view(sizes).expand(moved.shape)

    def _stays_whole(self, node: fx.Node) -> bool:
        """Join what a select, a strided slice or a literal index needs to stay where it is; tell whether it cannot."""
        first = node.args[0]
        source: Any = self.at.get(first) if isinstance(first, fx.Node) else None
        if not isinstance(source, Tensor):
            return False
        differ = varying(source)
        if node.target is torch.ops.aten.channel_shuffle.default:
            groups = self.labels.slab(source, 1).view(int(node.args[1]), -1)  # type: ignore[arg-type]
            self.labels.join(groups, groups[:1].expand_as(groups))
        elif node.target in INDEXED:
            dims = set(_indexed(node, source.dim())) & set(differ)
            self.at[first] = self.together(source, sorted(dims))  # type: ignore[index]
            return bool(dims and set(differ) <= dims)
        elif node.target in SELECTS:
            dim = int(node.args[1] if len(node.args) > 1 else 0) % source.dim()  # type: ignore[arg-type]
            self.at[first] = self.labels.along(source, dim) if dim in differ else source  # type: ignore[index]
        elif node.target is torch.ops.aten.slice.Tensor and len(node.args) > 4:
            return self._stepped(node, source, int(node.args[4]))  # type: ignore[arg-type]
        return False

    def _stepped(self, node: fx.Node, source: Tensor, step: int) -> bool:
        """Join neighbours under a strided slice; tell whether they are no whole number of steps."""
        dim = int(node.args[1]) % source.dim()  # type: ignore[arg-type]
        if step < 2 or dim not in varying(source):
            return False
        if source.shape[dim] % step:
            return True
        blocks = source.unflatten(dim, (-1, step))
        self.labels.join(blocks, blocks.narrow(dim + 1, 0, 1).expand_as(blocks))
        self.at[node.args[0]] = self.labels.classes(source)  # type: ignore[index]
        return False

    def _side_by_side(self, node: fx.Node) -> None:
        """Join the channels of tensors that are put side by side in another dimension."""
        parts = [self.at[part] for part in node.args[0] if isinstance(part, fx.Node)]  # type: ignore[union-attr]
        if node.target is torch.ops.aten.stack.default:
            for part in parts[1:]:
                self.labels.join(parts[0], part)
            return
        dim = (int(node.args[1]) if len(node.args) > 1 else 0) % parts[0].dim()  # type: ignore[arg-type]
        for each in {each for part in parts for each in varying(part)} - {dim}:
            vectors = [self.labels.slab(part, each) for part in parts]
            for vector in vectors[1:]:
                self.labels.join(vectors[0], vector)

    def _met(self, node: fx.Node) -> Any:
        """Return the labels of a value that is computed element by element from several."""
        met = [self.at[source] for source in node.all_input_nodes if isinstance(self.at.get(source), Tensor)]
        return self.meet(node, met, self.values[node].shape)

    def _complex(self, node: fx.Node) -> Any:
        """Join the two parts of each complex number, or give both the label of their number."""
        source = self.at.get(node.args[0])  # type: ignore[arg-type]
        if not isinstance(source, Tensor):
            return self.unknown(node)
        if node.target is torch.ops.aten.view_as_real.default:
            return source.unsqueeze(-1).expand(self.values[node].shape)
        return self.labels.along(source, source.dim() - 1).select(-1, 0)

    def _contracted(self, node: fx.Node) -> Any:
        return contract(self, node)

    def _attended(self, node: fx.Node) -> Any:
        return attend(self, node)


COMPLEX = {torch.ops.aten.view_as_complex.default, torch.ops.aten.view_as_real.default}
SELECTS = {torch.ops.aten.select.int, torch.ops.aten.unbind.int}
INDEXED = {torch.ops.aten.roll.default, torch.ops.aten.index.Tensor, torch.ops.aten.index_select.default}


def _indexed(node: fx.Node, rank: int) -> list[int]:
    """Return the dimensions that a literal index or shift goes along."""
    if node.target is torch.ops.aten.index.Tensor:
        return [dim for dim, index in enumerate(node.args[1]) if index is not None]  # type: ignore[arg-type]
    if node.target is torch.ops.aten.roll.default:
        dims: Any = node.args[2] if len(node.args) > 2 else range(rank)
        return [dim % rank for dim in dims]
    return [int(node.args[1]) % rank]  # type: ignore[arg-type]


OPERATORS: tuple[tuple[Any, Any], ...] = (
    (lambda node: node.target is operator.getitem, _Walk._part),
    (lambda node: is_like(node) or node.target in COPIES, _Walk._copied),
    (lambda node: node.target in MOVES, _Walk._moved),
    (lambda node: node.target in COMPLEX, _Walk._complex),
    (lambda node: node.target is FUSED, _Walk._attended),
    (lambda node: node.target in CONTRACTIONS, _Walk._contracted),
    (lambda node: node.target is torch.ops.aten.glu.default, _Walk._paired),
    (is_padding, _Walk._padded),
    (is_spatial, _Walk._in_each_channel),
    (lambda node: reduction(node) is not None, _Walk._read_together),
    (is_elementwise, _Walk._met),
)
"""Question about an operator -> the rule for what it does to labels."""
