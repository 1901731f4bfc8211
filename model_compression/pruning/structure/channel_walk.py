"""Walk through a graph with labels in place of values: what is known so far, and the rules that layers share."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils import _pytree as pytree

from model_compression.pruning.structure.channel_rules import Reduction
from model_compression.pruning.structure.labels import Labels, varying
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
        """Replace all labels by their final classes, in place."""
        for kind in (self.outputs, self.inputs, self.bare):
            kind.update({name: self.labels.classes(tensor) for name, tensor in kind.items()})
        self.at = {name: pytree.tree_map_only(Tensor, self.labels.classes, value) for name, value in self.at.items()}
        return self


class ChannelWalk:
    """The labels of each node so far, and what they were found to need."""

    def __init__(self, model: fx.GraphModule, values: Values) -> None:
        self.model, self.values = model, values
        self.labels = Labels()
        self.flow = ChannelFlow(self.labels)
        self.at: dict[fx.Node, Any] = {}
        self.read_elsewhere: dict[str, str] = {}

    def none(self, node: fx.Node) -> Any:
        """Return label 0 for each element of a node's value."""
        return pytree.tree_map_only(
            Tensor, lambda value: value.new_zeros(value.shape, dtype=torch.long), self.values[node]
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
        classes = self.labels.classes(labels.unique())
        for path, made in self.flow.outputs.items():
            if path not in self.flow.why and torch.isin(self.labels.classes(made), classes[classes > 0]).any():
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
        if path in self.flow.inputs:
            self.labels.join(self.flow.inputs[path], classes)
        else:
            self.flow.inputs[path] = classes

    def spatial(self, node: fx.Node, source: Tensor) -> Any:
        """Return the labels behind an operator that works in each channel for itself."""
        value = self.values[node]
        source = self.labels.classes(source)
        if not isinstance(value, Tensor) or value.dim() != source.dim() or any(dim > 1 for dim in varying(source)):
            return self.unknown(node)
        if value.shape[:2] != source.shape[:2]:
            return self.unknown(node)
        return source[(slice(None), slice(None), *[slice(0, 1)] * (source.dim() - 2))].expand(value.shape)

    def reduced(self, node: fx.Node, source: Tensor, dims: Sequence[int], kind: Reduction) -> Any:
        """Return the labels behind an operator that reads all places of some dimensions together."""
        value = self.values[node]
        source = self.labels.classes(source)
        dims = [dim % source.dim() for dim in dims] or list(range(source.dim()))
        if set(dims) & set(varying(source)):
            if kind is not Reduction.AVERAGE:
                return self.unknown(node)
            self.labels.mix(source)
            rest = [dim for dim in varying(source) if dim not in dims]
            return self.none(node) if not rest else self.unknown(node)
        if not isinstance(value, Tensor):
            return self.unknown(node)
        if value.shape == source.shape:
            return source
        return source.amax(dims, keepdim=value.dim() == source.dim())
