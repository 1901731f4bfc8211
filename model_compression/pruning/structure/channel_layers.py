"""Rules for layers: each makes labels of channels, reads them, or passes them on."""

from typing import Any

import torch
from torch import Tensor, fx, nn

from model_compression.pruning.structure.channel_rules import ACTIVATIONS, SPATIAL, Reduction
from model_compression.pruning.structure.channel_walk import ChannelWalk
from model_compression.pruning.structure.contractions import attend, is_attention
from model_compression.pruning.structure.labels import varying

CHANNEL_NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm)
FEATURE_NORMS = (nn.LayerNorm, nn.RMSNorm)


def through_layer(walk: ChannelWalk, node: fx.Node) -> Any:
    """Return the labels of what a layer gives."""
    if is_attention(walk, node):
        return attend(walk, node)
    module: Any = walk.model.get_submodule(str(node.target))
    module = getattr(module, "table", module)  # a trimmed table looks tokens up in a smaller one
    source = walk.at.get(node.args[0]) if node.args else None  # type: ignore[arg-type]
    rule = next((rule for kinds, rule in LAYERS if isinstance(module, kinds)), None)
    if rule is None or not isinstance(source, Tensor) or len(node.all_input_nodes) != 1:
        return walk.unknown(node)
    return rule(walk, node, module, source)


def _linear(walk: ChannelWalk, node: fx.Node, module: Any, source: Tensor) -> Tensor:
    if _is_apart(walk, source):
        return _in_each_channel(walk, node, module, source)
    walk.reads(str(node.target), walk.labels.slab(source, -1))
    return walk.made(node, module.out_features, -1)


def _in_each_channel(walk: ChannelWalk, node: fx.Node, module: Any, source: Tensor) -> Tensor:
    """Return the labels behind a layer whose features are places of other channels, as a mixer of tokens has them."""
    path = str(node.target)
    if path in walk.flow.outputs:
        walk.keep(walk.flow.outputs[path], f"{node.name} makes places of other channels")
    walk.flow.outputs.setdefault(path, torch.zeros(module.out_features, dtype=torch.long))
    walk.flow.why.setdefault(path, f"its features are places of the channels that {node.name} reads")
    walk.fix(path, f"{node.name} reads places of other channels")
    return walk.labels.classes(source).narrow(-1, 0, 1).expand(walk.values[node].shape)


def _is_apart(walk: ChannelWalk, source: Tensor) -> bool:
    """Tell whether channels are along another dimension than the last."""
    differ = varying(walk.labels.classes(source))
    return bool(differ) and source.dim() - 1 not in differ


def _table(walk: ChannelWalk, node: fx.Node, _module: Any, _source: Tensor) -> Tensor:
    return walk.made(node, walk.values[node].shape[-1], -1)


def _feature_norm(walk: ChannelWalk, node: fx.Node, module: Any, source: Tensor) -> Any:
    if len(module.normalized_shape) != 1:
        return walk.unknown(node)
    if not walk.is_bare(source):
        source = walk.together(source, [source.dim() - 1])  # a norm of each head has weights for one head
    if _is_apart(walk, source):
        walk.fix(str(node.target), f"{node.name} reads places of other channels")
        return walk.labels.classes(source)
    classes = walk.labels.slab(source, -1)
    walk.reads(str(node.target), classes)
    walk.labels.mix(classes)
    return walk.labels.classes(source)


def _slopes(walk: ChannelWalk, node: fx.Node, module: Any, source: Tensor) -> Tensor:
    if module.num_parameters > 1:
        walk.reads(str(node.target), walk.labels.slab(source, 1))
    return walk.labels.classes(source)


def _softmax(walk: ChannelWalk, node: fx.Node, module: Any, source: Tensor) -> Any:
    return walk.reduced(node, source, [int(module.dim or 0)], Reduction.ALL)


def _passed(_walk: ChannelWalk, _node: fx.Node, _module: Any, source: Tensor) -> Tensor:
    return source


def _pooled(walk: ChannelWalk, node: fx.Node, _module: Any, source: Tensor) -> Any:
    return walk.spatial(node, source)


def _convolution(walk: ChannelWalk, node: fx.Node, module: Any, source: Tensor) -> Tensor:
    path = str(node.target)
    walk.reads(path, walk.labels.slab(source, 1))
    made = walk.made(node, module.out_channels, 1)
    groups = module.groups
    if groups == 1:
        return made
    outputs, inputs = walk.flow.outputs[path].view(groups, -1), walk.flow.inputs[path].view(groups, -1)
    if groups == module.in_channels:  # depthwise: each input goes with its own outputs
        walk.labels.join(outputs, inputs.expand_as(outputs))
    else:
        walk.labels.join(outputs, outputs[:1].expand_as(outputs))
        walk.labels.join(inputs, inputs[:1].expand_as(inputs))
    return made


def _channel_norm(walk: ChannelWalk, node: fx.Node, module: nn.Module, source: Tensor) -> Tensor:
    path = str(node.target)
    classes = walk.labels.slab(source, 1)
    walk.reads(path, classes)
    if isinstance(module, nn.GroupNorm):
        places = classes.view(module.num_groups, -1)
        if places.shape[1] > 1:
            walk.labels.join(places, places[:1].expand_as(places))
            walk.labels.mix(classes)
        else:  # one group for each channel: the number of groups is fixed
            walk.keep(classes, f"{path} has a group for each channel")
    return walk.labels.classes(source)


LAYERS: tuple[tuple[Any, Any], ...] = (
    (nn.modules.conv._ConvNd, _convolution),
    (nn.Linear, _linear),
    (nn.Embedding, _table),
    (CHANNEL_NORMS, _channel_norm),
    (FEATURE_NORMS, _feature_norm),
    (nn.PReLU, _slopes),
    ((nn.Softmax, nn.LogSoftmax), _softmax),
    (SPATIAL, _pooled),
    (ACTIVATIONS, _passed),
)
"""Kind of layer -> the rule for what it does to labels."""
