"""Operations of an exported graph that hold masked values, found by running it on calibration rows."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.fx import GraphModule, Interpreter, Node

from model_compression.quantization.masks import Bounds, Operation, operations_in_float
from model_compression.training import Arrays, batches

aten = torch.ops.aten
BATCH_ROWS = 32
SOFTMAXES = {aten.softmax.int, aten._softmax.default, aten.log_softmax.int, aten._log_softmax.default}
PARAMETRIC = {
    "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "linear", "matmul", "bmm",
    "mm", "addmm", "embedding", "batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm", "prelu",
    "scaled_dot_product_attention",
}  # fmt: skip
"""Operators whose constants are weights or tables, and products."""


def masked_nodes(graph: GraphModule, calibration: Arrays) -> frozenset[str]:
    """Return the names of the nodes that write or read a tensor with masked values, on calibration rows."""
    seen = _Ranges(graph)
    with torch.no_grad():
        for rows, _ in batches(calibration, np.zeros(len(calibration[0])), BATCH_ROWS):
            seen.run(*rows)
    operations = [_operation(node, seen.constants) for node in graph.graph.nodes if node.op == "call_function"]
    return frozenset(operations_in_float(operations, seen.ranges))


class _Ranges(Interpreter):
    """Runs of a graph that keep the range of every float tensor, and the largest magnitude of its constants."""

    def __init__(self, graph: GraphModule) -> None:
        super().__init__(graph)
        self.ranges: dict[str, Bounds] = {}
        self.constants: dict[str, float] = {}

    def run_node(self, n: Node) -> Any:
        """Run one node and widen its range."""
        value = super().run_node(n)
        if isinstance(value, Tensor) and value.is_floating_point() and value.numel():
            if n.op == "get_attr":
                self.constants[n.name] = float(value.abs().max())
            else:
                low, high = self.ranges.get(n.name, (np.inf, -np.inf))
                self.ranges[n.name] = (
                    float(np.minimum(low, value.min().item())),
                    float(np.maximum(high, value.max().item())),
                )
        return value


def _operation(node: Node, constants: dict[str, float]) -> Operation:
    is_operator = isinstance(node.target, torch._ops.OpOverload)
    weighs = is_operator and node.target._schema.name.removeprefix("aten::") in PARAMETRIC  # type: ignore[union-attr]
    sources = node.all_input_nodes
    held = [constants[source.name] for source in sources if source.name in constants]
    return Operation(
        node.name,
        tuple(source.name for source in sources if source.op != "get_attr"),
        (node.name,),
        0.0 if weighs else max([*_scalars(node), *held], default=0.0),
        weighs,
        _compared(node),
    )


def _scalars(node: Node) -> list[float]:
    """Return the magnitudes of the numbers that an operator computes with; sizes and axes are none of them."""
    if not isinstance(node.target, torch._ops.OpOverload):
        return []
    return [
        abs(float(value))
        for argument, value in zip(node.target._schema.arguments, node.args, strict=False)
        if argument.type.kind() == "NumberType" and isinstance(value, (int, float))
    ]


def _compared(node: Node) -> tuple[str, ...]:
    if node.target in SOFTMAXES:
        return (str(node.args[0]),)
    if node.target is aten.scaled_dot_product_attention.default:
        mask = node.args[3] if len(node.args) > 3 else node.kwargs.get("attn_mask")
        return (str(mask),) if isinstance(mask, Node) else ()
    return ()
