"""Annotation of the tensors that quantization-aware training quantizes, by ONNX Runtime's fusion rules.

ONNX Runtime runs an operator in integers when every tensor input and the (activated) output carry a quantize/dequantize
pair, so these are annotated. Operators that only move values share one pair of parameters between input and output,
because ONNX Runtime would otherwise compute in float between them.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch.fx import GraphModule, Node
from torchao.quantization.pt2e import (
    FakeQuantize,
    FusedMovingAvgObsFakeQuantize,
    MovingAverageMinMaxObserver,
    MovingAveragePerChannelMinMaxObserver,
)
from torchao.quantization.pt2e.quantizer import (
    QuantizationAnnotation,
    QuantizationSpec,
    QuantizationSpecBase,
    Quantizer,
    SharedQuantizationSpec,
)

from model_compression.quantization.float_regions import GraphStep, region

aten = torch.ops.aten
ANNOTATION = "quantization_annotation"

WEIGHTED = {
    aten.conv1d.default,
    aten.conv1d.padding,
    aten.conv2d.default,
    aten.conv2d.padding,
    aten.linear.default,
}
TRANSPOSED = {aten.conv_transpose1d.default, aten.conv_transpose2d.input}
GROUPS = 6  # place of that argument
BINARY = {aten.add.Tensor, aten.add_.Tensor, aten.mul.Tensor, aten.mul_.Tensor}
ACTIVATIONS = {
    aten.relu.default,
    aten.relu_.default,
    aten.relu6.default,
    aten.relu6_.default,
    aten.hardtanh.default,
    aten.hardtanh_.default,
}
AVERAGES = {aten.avg_pool1d.default, aten.avg_pool2d.default}
MOVES = {
    aten.max_pool1d.default,
    aten.max_pool2d.default,
    aten.flatten.using_ints,
    aten.view.default,
    aten.reshape.default,
    aten.squeeze.dim,
    aten.squeeze.dims,
    aten.unsqueeze.default,
    aten.permute.default,
    aten.transpose.int,
}
DROPOUTS = {aten.dropout.default, aten.feature_dropout.default, aten.alpha_dropout.default}

ACTIVATION = QuantizationSpec(
    dtype=torch.uint8,
    quant_min=0,
    quant_max=255,
    qscheme=torch.per_tensor_affine,
    observer_or_fake_quant_ctr=FusedMovingAvgObsFakeQuantize.with_args(observer=MovingAverageMinMaxObserver),
)
# Weights do not use the fused operator, because its symmetric scale is 1/128 larger than the one of the conversion.
# Their range is that of the present weights, not an average over earlier ones.
NOW = {"averaging_constant": 1.0}
TABLE = replace(
    ACTIVATION, observer_or_fake_quant_ctr=FakeQuantize.with_args(observer=MovingAverageMinMaxObserver, **NOW)
)
WEIGHT = QuantizationSpec(
    dtype=torch.int8,
    quant_min=-127,
    quant_max=127,
    qscheme=torch.per_channel_symmetric,
    ch_axis=0,
    observer_or_fake_quant_ctr=FakeQuantize.with_args(observer=MovingAveragePerChannelMinMaxObserver, **NOW),
)
REDUCED = 64  # of 127, so that two products with uint8 fit into the 16 bits of CPUs without VNNI


class OnnxRuntimeQuantizer(Quantizer):
    """A torchao quantizer with uint8 per-tensor activations and int8 symmetric per-channel weights.

    `reduce_range` keeps weights within -64 to 64. The weighted layers called `in_float` are left out with what lies
    between them alone, and so are the nodes called `masked` and all numbers that are no float32.
    """

    def __init__(self, reduce_range: bool, in_float: Sequence[str] = (), masked: Collection[str] = ()) -> None:
        super().__init__()
        self.masked = frozenset(masked)
        self.in_float = frozenset(f"{name}.weight" for name in in_float)
        self.weight = replace(WEIGHT, quant_min=-REDUCED, quant_max=REDUCED) if reduce_range else WEIGHT

    def annotate(self, model: GraphModule) -> GraphModule:
        """Annotate the nodes of an exported graph, in place; returns the graph."""
        left_out = self._left_out(model)
        for node in model.graph.nodes:
            if node.name not in left_out and _is_float(node):
                self._annotate(node)
        return model

    def _annotate(self, node: Any) -> None:
        if node.target in WEIGHTED:
            _quantize_input(node.args[0], node, ACTIVATION)
            _quantize_input(node.args[1], node, self.weight)
            _quantize_output(node, ACTIVATION)
        elif node.target in TRANSPOSED:
            _quantize_input(node.args[1], node, self._transposed_weight(node))
        elif node.target is aten.embedding.default:
            _quantize_output(node, SharedQuantizationSpec(_quantize_input(node.args[0], node, TABLE)))
        elif node.target in BINARY and all(_is_activation(argument) for argument in node.args[:2]):
            _quantize_all(node, node.args[:2])
        elif node.target is aten.cat.default and all(_is_activation(argument) for argument in node.args[0]):
            _quantize_all(node, node.args[0])
        elif node.target in AVERAGES:
            _quantize_all(node, node.args[:1])
        elif node.target in MOVES and _is_quantized(node.args[0]):
            _quantize_output(node, SharedQuantizationSpec(_quantize_input(node.args[0], node, ACTIVATION)))

    def _transposed_weight(self, node: Any) -> QuantizationSpec:
        """Return the form of a weight whose output channels are on its second axis, spread over the groups.

        ONNX Runtime computes these layers in float, so only the weight is quantized, to 8 bits on any CPU.
        """
        groups = node.args[GROUPS] if len(node.args) > GROUPS else 1
        return replace(WEIGHT, ch_axis=1 if groups == 1 else 0)

    def _left_out(self, model: GraphModule) -> set[str]:
        """Return the names of the nodes that stay in float by their name, or with the layers around them."""
        layers = {node.name: node for node in model.graph.nodes if node.target in WEIGHTED | TRANSPOSED}
        chosen = {name for name, node in layers.items() if str(node.args[1].target) in self.in_float}
        transposed = {name for name, node in layers.items() if node.target in TRANSPOSED}
        steps = [
            GraphStep(node.name, tuple(source.name for source in node.all_input_nodes), node.name in layers)
            for node in model.graph.nodes
        ]
        masked = self.masked.intersection(layers)
        return {*self.masked, *(region(steps, {*chosen, *masked, *transposed}) - (transposed - chosen))}

    def validate(self, model: GraphModule) -> None:
        """Accept any graph: nodes without annotation stay in float."""


def _quantize_all(node: Node, sources: Any) -> None:
    for source in sources:
        _quantize_input(source, node, ACTIVATION)
    _quantize_output(node, ACTIVATION)


def _quantize_input(source: Node, user: Node, spec: QuantizationSpecBase) -> tuple[Node, Node]:
    """Annotate an edge and return it.

    An edge behind a dropout is annotated before it, because training scales what passes a dropout, and no dropout
    ships.
    """
    while source.target in DROPOUTS:
        source, user = source.args[0], source  # type: ignore[assignment]
    _annotation(user).input_qspec_map[source] = spec
    return source, user


def _quantize_output(node: Node, spec: QuantizationSpecBase) -> None:
    """Annotate the output behind the fused activation; the model's own output stays in float."""
    users = list(node.users)
    last = users[0] if len(users) == 1 and users[0].target in ACTIVATIONS else node
    if not _reaches_output(last):
        _annotation(last).output_qspec = spec


def _annotation(node: Node) -> QuantizationAnnotation:
    return node.meta.setdefault(ANNOTATION, QuantizationAnnotation(_annotated=True))


def _is_quantized(node: Node) -> bool:
    while node.target in DROPOUTS:
        node = node.args[0]  # type: ignore[assignment]
    return ANNOTATION in node.meta and node.meta[ANNOTATION].output_qspec is not None


def _is_activation(argument: Any) -> bool:
    return isinstance(argument, Node) and argument.op != "get_attr" and _is_float(argument)


def _is_float(node: Node) -> bool:
    value = node.meta.get("val")
    return isinstance(value, torch.Tensor) and value.dtype is torch.float32


def _reaches_output(node: Node) -> bool:
    passing = MOVES | DROPOUTS
    return any(user.op == "output" or (user.target in passing and _reaches_output(user)) for user in node.users)
