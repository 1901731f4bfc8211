"""Walk through a graph with labels in place of values: what is known so far, and the rules that layers share."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils import _pytree as pytree

from model_compression.pruning.structure.channel_rules import Reduction
from model_compression.pruning.structure.labels import Labels, as_copies, varying, without_copies
from model_compression.pruning.structure.observation import Values


@dataclass
class ChannelFlow:
    """Classes of labels, after one walk: of layers' outputs and inputs by path, of bare tensors, of each node's value.

    `why` says for each layer whose outputs stay which node made them stay.
    """

    labels: Labels
    outputs: dict[str, Tensor] = field(default_factory=dict)
    inputs: dict[str, Tensor] = field(default_factory=dict)
    bare: dict[str, Tensor] = field(default_factory=dict)
    at: dict[str, Any] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)

    def settle(self) -> "ChannelFlow":
        """Join labels until what remains of every value is a rectangle; replace all by their final classes, in place.

        A label that differs along several dimensions of a value belongs to the places of the longest of them.
        """
        joined = None
        while joined != self.labels.joined:
            joined = self.labels.joined
            self.at = {name: pytree.tree_map_only(Tensor, self._rectangle, value) for name, value in self.at.items()}
        for kind in (self.outputs, self.inputs, self.bare):
            kind.update({name: self.labels.classes(tensor) for name, tensor in kind.items()})
        return self

    def _rectangle(self, labels: Tensor) -> Tensor:
        labels = as_copies(self.labels.classes(labels))
        differ = varying(labels)
        if len(differ) < 2:
            return labels
        self.labels.slab(labels, max(differ, key=lambda dim: (labels.shape[dim], -dim)))
        return as_copies(self.labels.classes(labels))


class ChannelWalk:
    """The labels of each node so far, and what they were found to need."""

    def __init__(self, model: fx.GraphModule, values: Values) -> None:
        self.model, self.values = model, values
        self.labels = Labels()
        self.flow = ChannelFlow(self.labels)
        self.at: dict[fx.Node, Any] = {}
        self.read_elsewhere: dict[str, str] = {}
        self.fixed: dict[str, str] = {}

    def is_bare(self, labels: Tensor) -> bool:
        """Tell whether labels are those of a bare parameter, whose every element has one, before anything met them."""
        some = int(without_copies(labels).max())
        return any(some in range(int(each.min()), int(each.max()) + 1) for each in self.flow.bare.values())

    def none(self, node: fx.Node) -> Any:
        """Return label 0 for each element of a node's value."""
        return pytree.tree_map_only(
            Tensor, lambda value: torch.zeros((), dtype=torch.long).expand(value.shape), self.values[node]
        )

    def unknown(self, node: fx.Node) -> Any:
        """Let everything stay that a node reads for which no rule is known; return what it gives, without labels."""
        self.stay(node, f"{node.name} reads them, which treats channels in a way of its own")
        return self.none(node)

    def stay(self, node: fx.Node, why: str) -> None:
        """Let everything that a node reads stay."""
        for source in node.all_input_nodes:
            for labels in pytree.tree_leaves(self.at.get(source)):
                if isinstance(labels, Tensor):
                    self.keep(labels, why)

    def keep(self, labels: Tensor, why: str) -> None:
        """Let labels stay, and note the reason for the layers that make them."""
        classes = self.labels.classes(without_copies(labels).unique()).unique()
        classes = classes[classes > 0]
        if not len(classes):
            return
        for path, made in self.flow.outputs.items():
            if path not in self.flow.why and torch.isin(self.labels.classes(made), classes).any():
                self.flow.why[path] = why
        self.labels.stay(classes)

    def made(self, node: fx.Node, count: int, dim: int) -> Tensor:
        """Give a layer's outputs their labels, at the dimension `dim` of its value."""
        path = str(node.target)
        if path not in self.flow.outputs:
            self.flow.outputs[path] = self.labels.fresh(count)
        shape = self.values[node].shape
        made = self.flow.outputs[path]
        return made.view(*[-1 if each == dim % len(shape) else 1 for each in range(len(shape))]).expand(shape)

    def reads(self, path: str, classes: Tensor) -> None:
        """Note what a layer reads; a layer that is called again must lose the same inputs."""
        if path in self.fixed:
            self.keep(classes, self.fixed[path])
        elif path in self.flow.inputs:
            self.labels.join(self.flow.inputs[path], classes)
        else:
            self.flow.inputs[path] = classes

    def fix(self, path: str, why: str) -> None:
        """Let a layer keep all of its inputs, whichever call of it reads channels there."""
        self.fixed[path] = why
        if path in self.flow.inputs:
            self.keep(self.flow.inputs.pop(path), why)

    def spatial(self, node: fx.Node, source: Tensor) -> Any:
        """Return the labels behind an operator that works in each channel for itself."""
        source = self.labels.classes(source)
        if any(dim > 1 for dim in varying(source)):
            return self.unknown(node)
        return self.beside(node, source)

    def beside(self, node: fx.Node, source: Tensor) -> Any:
        """Return the labels behind an operator that changes other dimensions than those in which channels differ."""
        value, differ = self._first(node), varying(source)
        if value is None or value.dim() != source.dim():
            return self.unknown(node)
        if any(value.shape[dim] != source.shape[dim] for dim in differ):
            return self.unknown(node)
        for dim in set(range(source.dim())) - {*differ}:
            source = source.narrow(dim, 0, 1)
        return self._for_each(node, source.expand(value.shape))

    def reduced(self, node: fx.Node, source: Tensor, dims: Sequence[int], kind: Reduction) -> Any:
        """Return the labels behind an operator that reads all places of some dimensions together."""
        value = self._first(node)
        source = self.labels.classes(source)
        dims = [dim % source.dim() for dim in dims] or list(range(source.dim()))
        source = self.together(source, dims)
        if set(dims) & set(varying(source)):
            if kind is Reduction.AVERAGE:
                self.labels.mix(source)
                return self.none(node)
            return self.unknown(node)
        if value is None:
            return self.unknown(node)
        if value.shape != source.shape:
            for dim in sorted(dims, reverse=True):
                source = source.narrow(dim, 0, 1) if value.dim() == source.dim() else source.select(dim, 0)
            source = source.expand(value.shape)
        return self._for_each(node, source)

    def _first(self, node: fx.Node) -> Tensor | None:
        """Return what an operator gives: of largest values and their places the values."""
        value = self.values[node]
        value = value[0] if isinstance(value, tuple) and value else value
        return value if isinstance(value, Tensor) else None

    def _for_each(self, node: fx.Node, labels: Tensor) -> Any:
        """Return labels for a node's value; places that come beside the values have theirs."""
        value = self.values[node]
        return tuple(labels for _ in value) if isinstance(value, tuple) else labels

    def together(self, labels: Tensor, dims: Sequence[int]) -> Tensor:
        """Join labels along some dimensions where they also differ along others, as heads do beside their features."""
        labels = self.labels.classes(labels)
        differ = varying(labels)
        if set(differ) <= set(dims):
            return labels
        for dim in set(dims) & set(differ):
            labels = self.labels.along(labels, dim)
        return labels

    def meet(self, node: fx.Node, parts: Sequence[Tensor], shape: Sequence[int]) -> Tensor:
        """Return the labels of a value of a shape that is computed element by element from several, joining them."""
        nothing = torch.zeros((), dtype=torch.long).expand(*shape)
        spread = [self.labels.classes(part).view(*[1] * (len(shape) - part.dim()), *part.shape) for part in parts]
        differ = {dim for part in spread for dim in varying(part)}
        for index, part in enumerate(spread):
            if without_copies(part).any() and not (differ and all(part.shape[dim] == shape[dim] for dim in differ)):
                self.keep(part, f"{node.name} spreads them over other channels")
                spread[index] = self.labels.classes(part)
        for dim in sorted(differ):
            if any(part.shape[dim] == shape[dim] and dim not in varying(part) for part in spread):
                spread = [self._pinned(node, part, dim) for part in spread]
        whole = [part for part in map(self.labels.classes, spread) if varying(part)]
        if not whole:
            return nothing
        first = whole[0].expand(*shape)
        for part in whole[1:]:
            self._join_all(node, first, part.expand(*shape))
        return self.labels.classes(first)

    def _pinned(self, node: fx.Node, part: Tensor, dim: int) -> Tensor:
        """Join labels along a dimension in which they meet a value of a fixed size."""
        differ = varying(part)
        if dim not in differ:
            return part
        if len(differ) > 1:
            return self.labels.along(part, dim)
        self.keep(part, f"{node.name} joins them with what is no channel")
        return self.labels.classes(part)

    def _join_all(self, node: fx.Node, one: Tensor, other: Tensor) -> None:
        one, other = self.labels.classes(one), self.labels.classes(other)
        for some, zeros in ((one, other == 0), (other, one == 0)):
            if bool((zeros & (some != 0)).any()):
                self.keep(some[zeros], f"{node.name} joins them with what is no channel")
        self.labels.join(one, other)
