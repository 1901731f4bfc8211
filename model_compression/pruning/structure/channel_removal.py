"""Removal of channels, by the classes of their labels: layers get smaller, and literal sizes are updated."""

from collections.abc import Collection
from typing import Any

from torch import Tensor, fx, nn

from model_compression.errors import PruningError
from model_compression.pruning.structure.channel_walk import ChannelFlow
from model_compression.pruning.structure.labels import STAYS, are_among, without_copies
from model_compression.pruning.structure.literal_sizes import along, kept_places, remaining_shape, rewrite_sizes


def remove_classes(model: fx.GraphModule, flow: ChannelFlow, gone: Collection[int]) -> None:
    """Remove all channels of some classes, in place.

    `flow` is that of this model or of one that it is a copy of. Raises PruningError where what remains is no rectangle,
    or nothing.
    """
    if STAYS in gone:
        raise PruningError("expected channels that may go, got some that must stay; leave them in")
    gone = frozenset(gone)
    nodes = {node.name: node for node in model.graph.nodes}
    at: dict[fx.Node, Any] = {nodes[name]: labels for name, labels in flow.at.items()}
    for node, labels in at.items():
        if node.op == "call_function" and _loses_any(at, node, gone):
            rewrite_sizes(node, at, labels, gone)
    for path in {**flow.outputs, **flow.inputs}:
        _shrink(model, path, flow.outputs.get(path), flow.inputs.get(path), gone)
    for path, labels in flow.bare.items():
        if are_among(labels, gone).any():
            _shrink_bare(model, path, labels, gone)
    model.recompile()


def _loses_any(at: dict[fx.Node, Any], node: fx.Node, gone: Collection[int]) -> bool:
    tensors = [each for value in (at[node], *(at.get(source) for source in node.all_input_nodes))
               for each in (value if isinstance(value, list | tuple) else [value])]  # fmt: skip
    return any(isinstance(each, Tensor) and bool(are_among(without_copies(each), gone).any()) for each in tensors)


def _shrink(
    model: fx.GraphModule, path: str, outputs: Tensor | None, inputs: Tensor | None, gone: Collection[int]
) -> None:
    module: Any = model.get_submodule(path)
    module = getattr(module, "table", module)
    kept_out, kept_in = (_kept(labels, gone) for labels in (outputs, inputs))
    if any(kept is not None and not len(kept) for kept in (kept_out, kept_in)):
        raise PruningError(f"expected some channels of {path} to stay, got none; remove fewer")
    both = ((kept_out, outputs), (kept_in, inputs))
    if all(kept is None or labels is None or len(kept) == len(labels) for kept, labels in both):
        return
    if isinstance(module, nn.modules.conv._ConvNd):
        _shrink_convolution(module, kept_out, kept_in)
    elif isinstance(module, nn.Linear):
        _select(module, "weight", 0, kept_out)
        _select(module, "bias", 0, kept_out)
        _select(module, "weight", 1, kept_in)
        module.out_features, module.in_features = module.weight.shape
    elif isinstance(module, nn.Embedding):
        _select(module, "weight", 1, kept_out)
        module.embedding_dim = module.weight.shape[1]
    elif kept_in is not None:
        _shrink_norm(module, kept_in)


def _shrink_convolution(module: Any, kept_out: Any, kept_in: Any) -> None:
    groups, transposed = module.groups, isinstance(module, nn.modules.conv._ConvTransposeNd)
    depthwise = groups == module.in_channels
    by_out, by_in = (1, 0) if transposed else (0, 1)
    in_group = kept_in[: len(kept_in) // groups]  # the same places of each group go
    out_group = kept_out[: len(kept_out) // groups]
    if groups == 1:
        _select(module, "weight", by_out, kept_out)
        _select(module, "weight", by_in, kept_in)
    elif depthwise:
        _select(module, "weight", 0, kept_in if transposed else kept_out)
        module.groups = len(kept_in)
    elif transposed:
        _select(module, "weight", 0, kept_in)
        _select(module, "weight", 1, out_group)
    else:
        _select(module, "weight", 0, kept_out)
        _select(module, "weight", 1, in_group)
    _select(module, "bias", 0, kept_out)
    module.out_channels, module.in_channels = len(kept_out), len(kept_in)


def _shrink_norm(module: Any, kept: Tensor) -> None:
    for name in ("weight", "bias", "running_mean", "running_var"):
        _select(module, name, 0, kept)
    for name in ("num_features", "num_channels", "num_parameters"):
        if hasattr(module, name):
            setattr(module, name, len(kept))
    if hasattr(module, "normalized_shape"):
        module.normalized_shape = (len(kept),)


def _shrink_bare(model: fx.GraphModule, path: str, labels: Tensor, gone: Collection[int]) -> None:
    remaining_shape(labels, gone)
    owner: Any = model.get_submodule(path.rpartition(".")[0])
    for dim in range(labels.dim()):
        _select(owner, path.rpartition(".")[2], dim, along(kept_places(labels, gone), dim).nonzero().flatten())


def _kept(labels: Tensor | None, gone: Collection[int]) -> Tensor | None:
    return None if labels is None else kept_places(labels, gone).nonzero().flatten()


def _select(module: Any, name: str, dim: int, kept: Tensor | None) -> None:
    """Keep some places of a tensor of a module, in one dimension."""
    tensor = getattr(module, name, None)
    if tensor is None or kept is None:
        return
    part = tensor.detach().index_select(dim, kept.to(tensor.device)).clone()
    setattr(module, name, nn.Parameter(part, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else part)
