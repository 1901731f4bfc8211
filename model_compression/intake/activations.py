"""Modules for ATen operators without weights: activations, pooling, dropout, softmax, attention."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn
from torch._ops import OpOverload
from torch.nn import functional as F

from model_compression.intake.nodes import arguments, aten, size_of

Arguments = dict[str, Any]
IN_ONNX = 4
"""Dimensions of the attention that ONNX's exporter writes."""
Builder = Callable[[Arguments], nn.Module | None]


class Activation(NamedTuple):
    """A module without weights, and the arguments that it is called with."""

    module: nn.Module
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class ScaledDotProductAttention(nn.Module):
    """Attention with dropout on its weights while training.

    Shapes as in torch.nn.functional.scaled_dot_product_attention. ONNX's exporter knows four dimensions alone: (rows,
    heads, places, features). Windows beside the rows are computed as more rows, and rows without heads as one head.
    """

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, **kwargs: Any
    ) -> Tensor:
        """Attend to the values; takes the function's arguments except `dropout_p`."""
        kwargs["dropout_p"] = self.dropout if self.training else 0.0
        beside = query.shape[:-3]
        asked, keys, values = (_in_four_dimensions(each, beside) for each in (query, key, value))
        mask = attn_mask if attn_mask is None or attn_mask.dim() <= 2 else _in_four_dimensions(attn_mask, beside)
        attended = F.scaled_dot_product_attention(asked, keys, values, mask, **kwargs)
        if query.dim() == 3:
            return attended.squeeze(1)
        return attended if query.dim() == 4 else attended.unflatten(0, beside)

    def extra_repr(self) -> str:
        """Return the dropout, so that modules with different dropouts have different texts."""
        return f"dropout={self.dropout}"


def _in_four_dimensions(values: Tensor, beside: torch.Size) -> Tensor:
    if not beside:
        return values.unsqueeze(-3)
    if len(beside) == 1:
        return values
    return values.expand(*beside, *values.shape[-3:]).flatten(0, len(beside) - 1)


def build_activation(node: fx.Node, operator: OpOverload) -> Activation | None:
    """Return the module that computes what `node` computes, or None if there is none.

    `operator` is the node's own operator, or the one that computes the same without writing in place.
    """
    if operator is aten.scaled_dot_product_attention.default:
        return _attention(arguments(node))
    builder = BUILDERS.get(operator)
    if builder is None:
        return None
    rank = len(size_of(node.args[0]))  # type: ignore[arg-type]
    module = builder({**arguments(node), "rank": rank})
    return None if module is None else Activation(module, (node.args[0],), {})


def _attention(args: Arguments) -> Activation | None:
    dropout = args.pop("dropout_p")
    if not dropout and len(size_of(args["query"])) == IN_ONNX:
        return None
    inputs = tuple(args.pop(name) for name in ("query", "key", "value"))
    return Activation(ScaledDotProductAttention(dropout), inputs, args)


def _bounded(args: Arguments) -> nn.Module:
    if (args["min_val"], args["max_val"]) == (0, 6):
        return nn.ReLU6()
    return nn.Hardtanh(args["min_val"], args["max_val"])


def _max_pool(kind: type[nn.Module]) -> Builder:
    def build(args: Arguments) -> nn.Module:
        sizes = [_plain(args[name]) for name in ("kernel_size", "stride", "padding", "dilation")]
        return kind(sizes[0], sizes[1] or None, *sizes[2:], ceil_mode=args["ceil_mode"])

    return build


def _average_pool(kind: type[nn.Module]) -> Builder:
    def build(args: Arguments) -> nn.Module:
        kernel, stride, padding = (_plain(args[name]) for name in ("kernel_size", "stride", "padding"))
        rest = {"divisor_override": args["divisor_override"]} if "divisor_override" in args else {}
        return kind(kernel, stride or None, padding, args["ceil_mode"], args["count_include_pad"], **rest)

    return build


def _adaptive_pool(kind: type[nn.Module]) -> Builder:
    return lambda args: kind(_plain(args["output_size"]))


def _plain(sizes: list[int] | int) -> Any:
    """Return one number for all directions where they agree, as people write it."""
    if isinstance(sizes, int):
        return sizes
    return sizes[0] if len(set(sizes)) == 1 else tuple(sizes)


def _channel_dropout(args: Arguments) -> nn.Module:
    kind = {2: nn.Dropout1d, 3: nn.Dropout1d, 4: nn.Dropout2d, 5: nn.Dropout3d}[args["rank"]]
    return kind(args["p"])


def _softmax(kind: type[nn.Module]) -> Builder:
    return lambda args: kind(dim=args["dim"]) if args["dtype"] is None else None


def _always(kind: type[nn.Module]) -> Builder:
    return lambda _args: kind()


_PLAIN: dict[str, Builder] = {
    "relu": _always(nn.ReLU),
    "relu6": _always(nn.ReLU6),
    "silu": _always(nn.SiLU),
    "mish": _always(nn.Mish),
    "selu": _always(nn.SELU),
    "sigmoid": _always(nn.Sigmoid),
    "tanh": _always(nn.Tanh),
    "hardswish": _always(nn.Hardswish),
    "hardsigmoid": _always(nn.Hardsigmoid),
    "hardtanh": _bounded,
    "gelu": lambda args: nn.GELU(args["approximate"]),
    "leaky_relu": lambda args: nn.LeakyReLU(args["negative_slope"]),
    "elu": lambda args: nn.ELU(args["alpha"]) if args["scale"] == args["input_scale"] == 1 else None,
    "rrelu": lambda args: nn.RReLU(args["lower"], args["upper"]),
    "softplus": lambda args: nn.Softplus(args["beta"], args["threshold"]),
    "dropout": lambda args: nn.Dropout(args["p"]),
    "feature_dropout": _channel_dropout,
    "alpha_dropout": lambda args: nn.AlphaDropout(args["p"]),
    "feature_alpha_dropout": lambda args: nn.FeatureAlphaDropout(args["p"]),
    "native_dropout": lambda args: nn.Dropout(args["p"]),
    "max_pool1d": _max_pool(nn.MaxPool1d),
    "max_pool2d": _max_pool(nn.MaxPool2d),
    "max_pool3d": _max_pool(nn.MaxPool3d),
    "max_pool2d_with_indices": _max_pool(nn.MaxPool2d),
    "max_pool3d_with_indices": _max_pool(nn.MaxPool3d),
    "avg_pool1d": _average_pool(nn.AvgPool1d),
    "avg_pool2d": _average_pool(nn.AvgPool2d),
    "avg_pool3d": _average_pool(nn.AvgPool3d),
    "adaptive_avg_pool1d": _adaptive_pool(nn.AdaptiveAvgPool1d),
    "adaptive_avg_pool2d": _adaptive_pool(nn.AdaptiveAvgPool2d),
    "_adaptive_avg_pool2d": _adaptive_pool(nn.AdaptiveAvgPool2d),
    "adaptive_avg_pool3d": _adaptive_pool(nn.AdaptiveAvgPool3d),
}
DROPOUTS = {
    getattr(aten, name).default for name in ("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout")
}
_SOFTMAX = {aten.softmax.int: _softmax(nn.Softmax), aten.log_softmax.int: _softmax(nn.LogSoftmax)}

BUILDERS: dict[OpOverload, Builder] = {
    **{getattr(aten, name).default: builder for name, builder in _PLAIN.items()},
    **_SOFTMAX,
}
"""ATen operator -> function that makes its module from the arguments by name and the `rank` of the input."""
