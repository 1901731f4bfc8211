"""Modules for ATen operators with weights: convolutions, linear layers, norms, embeddings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import fx, nn
from torch._ops import OpOverload

from model_compression.intake.nodes import arguments, aten, size_of

Arguments = dict[str, Any]


@dataclass(frozen=True)
class Layer:
    """A module on the meta device, its input nodes, and for each of its attributes the node of that tensor.

    Where it is `transposed`, the program holds the weight as (inputs, outputs).
    """

    module: nn.Module
    inputs: tuple[Any, ...]
    tensors: dict[str, fx.Node]
    transposed: bool = False

    def same_as(self, other: "Layer") -> bool:
        """Tell whether both are one layer that is called twice."""
        same_form = repr(self.module) == repr(other.module) and self.transposed == other.transposed
        return same_form and self.tensors == other.tensors


def is_transpose(node: fx.Node) -> bool:
    """Tell whether the node swaps the two dimensions of a matrix."""
    if node.target is aten.permute.default:
        return list(node.args[1]) == [1, 0]  # type: ignore[arg-type]
    if node.target is aten.transpose.int:
        return {dim % 2 for dim in node.args[1:]} == {0, 1}  # type: ignore[operator]
    return node.target is aten.t.default


def build_layer(node: fx.Node) -> Layer | None:
    """Return the layer that computes what `node` computes, or None if there is none for its operator.

    The layer's tensors are the nodes that the operator takes. The caller checks whether they are parameters.
    """
    builder = BUILDERS.get(node.target) if isinstance(node.target, OpOverload) else None
    return None if builder is None else builder(arguments(node))


def _layer(module: nn.Module, inputs: tuple[Any, ...], **tensors: fx.Node | None) -> Layer:
    return Layer(module, inputs, {name: node for name, node in tensors.items() if node is not None})


def _convolution(args: Arguments) -> Layer:
    out_channels, in_channels, *kernel = size_of(args["weight"])
    kind: Any = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[len(kernel)]
    module = kind(
        in_channels * args["groups"],
        out_channels,
        tuple(kernel),
        stride=_spread(args["stride"], kernel),
        padding=args["padding"] if isinstance(args["padding"], str) else _spread(args["padding"], kernel),
        dilation=_spread(args["dilation"], kernel),
        groups=args["groups"],
        bias=args["bias"] is not None,
        device="meta",
    )
    return _layer(module, (args["input"],), weight=args["weight"], bias=args["bias"])


def _transposed_convolution(args: Arguments) -> Layer:
    in_channels, out_channels, *kernel = size_of(args["weight"])
    kind: Any = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}[len(kernel)]
    module = kind(
        in_channels,
        out_channels * args["groups"],
        tuple(kernel),
        stride=_spread(args["stride"], kernel),
        padding=_spread(args["padding"], kernel),
        output_padding=_spread(args["output_padding"], kernel),
        groups=args["groups"],
        bias=args["bias"] is not None,
        dilation=_spread(args["dilation"], kernel),
        device="meta",
    )
    return _layer(module, (args["input"],), weight=args["weight"], bias=args["bias"])


def _any_convolution(args: Arguments) -> Layer:
    return _transposed_convolution(args) if args["transposed"] else _convolution(args)


def _spread(sizes: list[int], kernel: list[int]) -> Any:
    return tuple(sizes) * (len(kernel) // len(sizes))


def _linear(args: Arguments) -> Layer | None:
    return _dense(args["input"], args["weight"], args["bias"])


def _addmm(args: Arguments) -> Layer | None:
    plain = args["beta"] == 1 and args["alpha"] == 1 and size_of(args["self"]) == size_of(args["mat2"])[1:]
    return _product(args["mat1"], args["mat2"], args["self"]) if plain else None


def _mm(args: Arguments) -> Layer | None:
    return _product(args["self"], args["mat2"], None)


def _matmul(args: Arguments) -> Layer | None:
    return _product(args["self"], args["other"], None) if len(size_of(args["self"])) > 1 else None


def _product(source: fx.Node, weight: fx.Node, bias: fx.Node | None) -> Layer | None:
    """Return the linear layer for a product with a matrix: a decomposed one has it behind `weight.t()`."""
    if is_transpose(weight):
        return _dense(source, weight.args[0], bias)  # type: ignore[arg-type]
    if not _is_matrix(weight):
        return None
    in_features, out_features = size_of(weight)
    module = nn.Linear(in_features, out_features, bias=bias is not None, device="meta")
    return replace(_layer(module, (source,), weight=weight, bias=bias), transposed=True)


def _dense(source: fx.Node, weight: fx.Node, bias: fx.Node | None) -> Layer | None:
    if not _is_matrix(weight) or (bias is not None and size_of(bias) != size_of(weight)[:1]):
        return None
    out_features, in_features = size_of(weight)
    module = nn.Linear(in_features, out_features, bias=bias is not None, device="meta")
    return _layer(module, (source,), weight=weight, bias=bias)


def _is_matrix(node: fx.Node) -> bool:
    return len(size_of(node)) == 2 and all(isinstance(size, int) for size in size_of(node))


def _batch_norm(args: Arguments) -> Layer:
    return _norm_of_channels({2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}, args)


def _instance_norm(args: Arguments) -> Layer:
    return _norm_of_channels({3: nn.InstanceNorm1d, 4: nn.InstanceNorm2d, 5: nn.InstanceNorm3d}, args)


def _norm_of_channels(kinds: Mapping[int, type[nn.Module]], args: Arguments) -> Layer:
    """Return the norm of the kind for the input's rank, which can have weights and running statistics."""
    shape = size_of(args["input"])
    module = kinds[len(shape)](
        shape[1],
        eps=args["eps"],
        momentum=args["momentum"],
        affine=args["weight"] is not None,
        track_running_stats=args["running_mean"] is not None,
        device="meta",
    )
    names = ("weight", "bias", "running_mean", "running_var")
    return _layer(module, (args["input"],), **{name: args[name] for name in names})


def _layer_norm(args: Arguments) -> Layer:
    has_weight, has_bias = args["weight"] is not None, args["bias"] is not None
    shape = args["normalized_shape"]
    module = nn.LayerNorm(shape, args["eps"], elementwise_affine=has_weight, bias=has_bias, device="meta")
    return _layer(module, (args["input"],), weight=args["weight"], bias=args["bias"])


def _rms_norm(args: Arguments) -> Layer:
    shape, weight = args["normalized_shape"], args["weight"]
    module = nn.RMSNorm(shape, args["eps"], elementwise_affine=weight is not None, device="meta")
    return _layer(module, (args["input"],), weight=weight)


def _group_norm(args: Arguments) -> Layer:
    groups = args["num_groups"] if "num_groups" in args else args["group"]
    channels = size_of(args["input"])[1]
    module = nn.GroupNorm(groups, channels, args["eps"], affine=args["weight"] is not None, device="meta")
    return _layer(module, (args["input"],), weight=args["weight"], bias=args["bias"])


def _embedding(args: Arguments) -> Layer:
    count, width = size_of(args["weight"])
    padding = args["padding_idx"] if args["padding_idx"] >= 0 else None
    by_frequency, sparse = args["scale_grad_by_freq"], args["sparse"]
    module = nn.Embedding(count, width, padding, scale_grad_by_freq=by_frequency, sparse=sparse, device="meta")
    return _layer(module, (args["indices"],), weight=args["weight"])


def _prelu(args: Arguments) -> Layer:
    module = nn.PReLU(size_of(args["weight"])[0], device="meta")
    return _layer(module, (args["self"],), weight=args["weight"])


BUILDERS: dict[OpOverload, Callable[[Arguments], Layer | None]] = {
    aten.conv1d.default: _convolution,
    aten.conv1d.padding: _convolution,
    aten.conv2d.default: _convolution,
    aten.conv2d.padding: _convolution,
    aten.conv3d.default: _convolution,
    aten.conv3d.padding: _convolution,
    aten.conv_transpose1d.default: _transposed_convolution,
    aten.conv_transpose2d.input: _transposed_convolution,
    aten.conv_transpose3d.input: _transposed_convolution,
    aten.convolution.default: _any_convolution,
    aten.linear.default: _linear,
    aten.addmm.default: _addmm,
    aten.mm.default: _mm,
    aten.matmul.default: _matmul,
    aten.batch_norm.default: _batch_norm,
    aten._native_batch_norm_legit_no_training.default: _batch_norm,
    aten._native_batch_norm_legit_functional.default: _batch_norm,
    aten._native_batch_norm_legit.default: _batch_norm,
    aten.instance_norm.default: _instance_norm,
    aten.layer_norm.default: _layer_norm,
    aten.native_layer_norm.default: _layer_norm,
    aten.rms_norm.default: _rms_norm,
    aten.group_norm.default: _group_norm,
    aten.native_group_norm.default: _group_norm,
    aten.embedding.default: _embedding,
    aten.prelu.default: _prelu,
}
"""ATen operator -> function that makes its module from the arguments, by their names in the operator's schema."""
