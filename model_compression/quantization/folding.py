"""Batch norms folded into other layers, for a model whose statistics no longer change."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node
from torch.fx.passes.shape_prop import ShapeProp
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def fold_batch_norm(model: GraphModule, example: tuple[Tensor, ...]) -> GraphModule:
    """Fold every batch norm whose only input is a convolution or linear used once, in place.

    Returns the model. Its outputs in evaluation mode stay the same up to rounding. `example` has at least 2 rows.
    """
    _note_shapes(model.eval(), example)
    for node in list(model.graph.nodes):
        source = _folds_into(model, node)
        if source is None:
            continue
        layer, norm = (model.get_submodule(str(each.target)) for each in (source, node))
        fused = _fuse(layer, norm, _rank(source))  # type: ignore[arg-type]
        if fused is not None:
            model.set_submodule(str(source.target), fused)
            node.replace_all_uses_with(source)
            model.graph.erase_node(node)
    model.delete_all_unused_submodules()
    _drop_folded(model)
    model.recompile()
    return model


def freeze_batch_norm(model: GraphModule, example: tuple[Tensor, ...]) -> GraphModule:
    """Replace every remaining batch norm by the layer that computes the same in evaluation mode, in place.

    On images and signals this is a depthwise convolution with a kernel of one, which quantizes like any other. Returns
    the model.
    """
    _note_shapes(model.eval(), example)
    for node in model.graph.nodes:
        norm = model.get_submodule(str(node.target)) if node.op == "call_module" else None
        if isinstance(norm, _BatchNorm) and norm.running_mean is not None:
            model.set_submodule(str(node.target), _holding(_frozen(norm, _rank(node)), norm))
    model.recompile()
    return model


def _drop_folded(model: GraphModule) -> None:
    """Leave of norms that nothing calls any more only what they hold."""
    called = {str(node.target) for node in model.graph.nodes if node.op == "call_module"}
    for name, module in list(model.named_modules()):
        if isinstance(module, _BatchNorm) and name not in called:
            model.set_submodule(name, _holding(nn.Module(), module))


def _holding(layer: nn.Module, before: nn.Module) -> nn.Module:
    """Give a layer the modules that another one holds, such as the activation of a net's own norm; returns it."""
    for name, inner in before.named_children():
        layer.add_module(name, inner)
    return layer


class ScaleShift(nn.Module):
    """A layer that computes x * weight + bias along the last dimension."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)

    def forward(self, x: Tensor) -> Tensor:
        """Scale and shift every feature."""
        return x * self.weight + self.bias


def _frozen(norm: Any, rank: int) -> nn.Module:
    with torch.no_grad():
        scale = (norm.running_var + norm.eps).rsqrt()
        scale = scale if norm.weight is None else scale * norm.weight
        shift = -norm.running_mean * scale
        shift = shift if norm.bias is None else shift + norm.bias
    if rank == 2:
        return ScaleShift(scale, shift)
    kind = CONVOLUTIONS[rank - 3]
    layer = kind(norm.num_features, norm.num_features, 1, groups=norm.num_features)
    layer.weight.data, layer.bias.data = scale.view_as(layer.weight), shift  # type: ignore[union-attr]
    return layer


def _note_shapes(model: GraphModule, example: tuple[Tensor, ...]) -> None:
    with torch.no_grad():
        ShapeProp(model).propagate(*example)


def _rank(node: Node) -> int:
    return len(node.meta["tensor_meta"].shape)


def _folds_into(model: GraphModule, node: Node) -> Node | None:
    """Return the call of a layer that is called once and read by this batch norm alone, else None."""
    if node.op != "call_module" or not isinstance(norm := model.get_submodule(str(node.target)), _BatchNorm):
        return None
    source = node.args[0]
    if norm.running_mean is None or not isinstance(source, Node) or source.op != "call_module":
        return None
    calls = sum(other.op == "call_module" and other.target == source.target for other in model.graph.nodes)
    return source if calls == len(source.users) == 1 else None


def _fuse(layer: nn.Module, norm: _BatchNorm, rank: int) -> nn.Module | None:
    if isinstance(layer, CONVOLUTIONS):
        return fuse_conv_bn_eval(layer, norm)
    if isinstance(layer, TRANSPOSED) and layer.groups == 1:
        return fuse_conv_bn_eval(layer, norm, transpose=True)
    # with more dimensions, a linear and a norm have their channels on different ones
    if isinstance(layer, nn.Linear) and rank == 2:
        return fuse_linear_bn_eval(layer, norm)
    return None
