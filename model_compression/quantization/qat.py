"""Quantization-aware training: fine-tuning with fake quantization, exported as an INT8 file."""

import copy
import types
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import torch
from onnx import NodeProto, helper, numpy_helper
from torch import Tensor, nn
from torch.fx import GraphModule

from model_compression.errors import QuantizationError, cause_of
from model_compression.intake import rebuild_code
from model_compression.onnx_files import OUTPUT, compact, names_read, pack_weights, save_onnx, to_onnx
from model_compression.quantization.folding import fold_batch_norm, freeze_batch_norm
from model_compression.quantization.qat_masks import masked_nodes
from model_compression.quantization.ranges import check_rows
from model_compression.quiet import quiet
from model_compression.training import (
    Arrays,
    Augment,
    FineTuning,
    LossFunction,
    Progress,
    SoftLabelLoss,
    Teacher,
    Validate,
    batches,
    fine_tune,
    soft_label_loss,
)

CALIBRATION_BATCH = 256
LARGEST_BIAS = 2.0**30  # half of int32, because the kernel adds its products to the bias


def train_quantized(
    model: nn.Module,
    example: tuple[Tensor, ...],
    calibration: Arrays,
    inputs: Arrays,
    targets: np.ndarray,
    teacher: Teacher | None,
    loss: LossFunction,
    settings: FineTuning,
    *,
    reduce_range: bool,
    names: Sequence[str],
    path: Path,
    in_float: Sequence[str] = (),
    progress: Progress | None = None,
    validate: Validate | None = None,
    augment: Augment | None = None,
    weights: np.ndarray | None = None,
    soft_labels: SoftLabelLoss = soft_label_loss,
    outputs: Sequence[str] = OUTPUT,
) -> Path:
    """Train a float snapshot with fake quantization and export it as INT8 QDQ ONNX; returns the path.

    The layers called `in_float` are not quantized. `model` stays as it is; `example` has at least 2 rows. A model that
    gives several tensors, called `outputs`, is trained on all of them side by side, shape (rows, numbers). The other
    arguments are those of fine_tune(). Raises QuantizationError, TrainingError and ExportError.
    """
    prepared = prepare_for_qat(model, example, calibration, reduce_range=reduce_range, in_float=in_float)
    trained = prepared if len(outputs) == 1 else _SideBySide(prepared)
    exact = replace(settings, precision="float32")  # a second kind of rounding would hide the one to train for
    fine_tune(trained, inputs, targets, teacher, loss, exact, progress, validate, augment, weights, soft_labels)
    quantized = quantize_biases(to_onnx(convert(prepared), example, names, outputs))
    pack_weights(quantized)
    return save_onnx(compact(quantized), path)


class _SideBySide(nn.Module):
    """A model whose tensors are one output, each of them flattened from axis 1."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *rows: Tensor) -> Tensor:
        return torch.cat([output.reshape(len(output), -1) for output in self.model(*rows)], dim=1)


def prepare_for_qat(
    model: nn.Module, example: tuple[Tensor, ...], calibration: Arrays, *, reduce_range: bool,
    in_float: Sequence[str] = (),
) -> GraphModule:  # fmt: skip
    """Copy a float model into one with fake quantization, its ranges observed on calibration rows.

    A module of code is exported for it. Batch norms are folded into other layers first, so that training sees the
    layers that ship. Operations on masked values stay in float. `example` has at least 2 rows. Raises
    QuantizationError.
    """
    from torchao.quantization.pt2e.quantize_pt2e import prepare_qat_pt2e

    from model_compression.quantization.qat_quantizer import OnnxRuntimeQuantizer

    check_rows({f"input {index}": rows for index, rows in enumerate(calibration)})
    try:
        with quiet():
            copied, left_out = _program(model, example, in_float)
            plain = freeze_batch_norm(fold_batch_norm(copied, example), example)
            graph = _export(plain, example).module(check_guards=False)
            quantizer = OnnxRuntimeQuantizer(reduce_range, left_out, masked_nodes(graph, calibration))
            prepared: GraphModule = prepare_qat_pt2e(graph, quantizer)
    except Exception as error:  # torch.export and torchao raise errors of many kinds
        raise QuantizationError(
            f"expected the model to take fake quantization, got {cause_of(error)}; drop `qat` from the recipe's ladder"
        ) from error
    _observe(prepared, calibration)
    _let_modes_switch(prepared)
    return prepared


def _program(model: nn.Module, example: tuple[Tensor, ...], layers: Sequence[str]) -> tuple[GraphModule, Sequence[str]]:
    """Return a fresh rebuilt program of a model, because folding writes into it, and the names of layers there."""
    if isinstance(model, GraphModule):
        return copy.deepcopy(model), layers
    rebuilt = rebuild_code(model, example)
    names = {name.removesuffix(".weight"): place.path.removesuffix(".weight") for name, place in rebuilt.places.items()}
    return rebuilt.program, [names.get(layer, layer) for layer in layers]


def convert(prepared: GraphModule) -> GraphModule:
    """Turn fake quantization into int8 weights and operators that quantize and dequantize.

    `prepared` cannot be used afterwards. Raises QuantizationError.
    """
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e

    try:
        with quiet():
            converted: GraphModule = convert_pt2e(prepared)
    except Exception as error:
        raise QuantizationError(
            f"expected the trained model to convert to INT8, got {cause_of(error)}; drop `qat` from the recipe's ladder"
        ) from error
    return converted


def _export(model: nn.Module, example: tuple[Tensor, ...]) -> torch.export.ExportedProgram:
    batch = torch.export.Dim("batch", min=1)
    return torch.export.export(model.eval(), example, dynamic_shapes=tuple({0: batch} for _ in example))


def _observe(prepared: GraphModule, calibration: Arrays) -> None:
    """Observe the float model's ranges on calibration rows, where training starts from."""
    from torchao.quantization.pt2e import disable_fake_quant, enable_fake_quant

    prepared.apply(disable_fake_quant)
    with torch.no_grad():
        for rows, _ in batches(calibration, np.zeros(len(calibration[0])), CALIBRATION_BATCH):
            prepared(*rows)
    prepared.apply(enable_fake_quant)


def _let_modes_switch(model: GraphModule) -> None:
    """Give an exported module train() and eval(), in place; ranges move in training only.

    Export fixes the mode of every dropout, and torchao's own switch sets every dropout to p = 0.5.
    """
    from torchao.quantization.pt2e import disable_observer, enable_observer

    from model_compression.quantization.qat_quantizer import DROPOUTS

    def train(self: GraphModule, mode: bool = True) -> GraphModule:
        dropouts = [node for node in self.graph.nodes if node.target in DROPOUTS]
        for node in dropouts:
            node.update_arg(2, mode)
        if dropouts:
            self.recompile()
        self.apply(enable_observer if mode else disable_observer)
        self.training = mode
        return self

    model.train = types.MethodType(train, model)  # type: ignore[method-assign]
    model.eval = types.MethodType(lambda self: self.train(False), model)  # type: ignore[method-assign]
    model.eval()


def quantize_biases(model: onnx.ModelProto) -> onnx.ModelProto:
    """Turn the bias of every quantized convolution and linear into int32, in place; returns the model.

    The scale of a bias is that of the integer products it is added to: input scale x weight scale, per output channel.
    Without this, a linear whose output stays float runs in float, because ONNX Runtime quantizes a float bias only
    where the output is quantized too. Where a channel's weights are so small that its bias would not fit, their scale
    is raised.
    """
    graph = _Graph(model)
    for node in model.graph.node:
        if node.op_type in ("Conv", "Gemm") and len(node.input) == 3:
            _quantize_bias(graph, node)
    graph.close()
    return model


class _Dequantized(NamedTuple):
    """A tensor that a DequantizeLinear makes: the node, the constant that it reads, and its scale."""

    node: NodeProto
    values: np.ndarray | None
    scale: np.ndarray


class _Graph:
    """The constants of a graph by name, and the node that makes each tensor."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.graph = model.graph
        self.constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in self.graph.initializer}
        self.makers = {name: node for node in self.graph.node for name in node.output}
        self.added: list[NodeProto] = []

    def dequantized(self, name: str) -> _Dequantized | None:
        node = self.makers.get(name)
        if node is None or node.op_type != "DequantizeLinear" or node.input[1] not in self.constants:
            return None
        return _Dequantized(node, self.constants.get(node.input[0]), self.constants[node.input[1]])

    def add_dequantized(self, name: str, values: np.ndarray, scale: np.ndarray, zero_point: str = "") -> str:
        """Add constants and the node that dequantizes them by their first axis; returns the name of its output."""
        quantized, scales, output = f"{name}_quantized", f"{name}_scale", f"{name}_dequantized"
        for constant, array in ((quantized, values), (scales, scale)):
            self.graph.initializer.append(numpy_helper.from_array(array, constant))
        inputs = [quantized, scales, zero_point] if zero_point else [quantized, scales]
        self.added.append(helper.make_node("DequantizeLinear", inputs, [output], axis=0))
        return output

    def close(self) -> None:
        """Put the added nodes first, and drop what nothing reads."""
        read = names_read(self.graph.node) | {out.name for out in self.graph.output}
        nodes = [node for node in [*self.added, *self.graph.node] if read & set(node.output)]
        read = names_read(nodes)
        kept = [tensor for tensor in self.graph.initializer if tensor.name in read]
        del self.graph.node[:], self.graph.initializer[:]
        self.graph.node.extend(nodes)
        self.graph.initializer.extend(kept)


def _quantize_bias(graph: _Graph, node: NodeProto) -> None:
    activation, weight = graph.dequantized(node.input[0]), graph.dequantized(node.input[1])
    bias = graph.constants.get(node.input[2])
    if activation is None or weight is None or weight.values is None or bias is None or not _per_output(node, weight):
        return
    name = f"{node.input[2]}_of_{node.output[0]}"
    needed = np.abs(bias) / (activation.scale * LARGEST_BIAS)
    if (needed > weight.scale).any():
        raised = np.maximum(weight.scale, needed).astype(np.float32)
        shrink = (weight.scale / raised).reshape(-1, *[1] * (weight.values.ndim - 1))
        values = np.rint(weight.values * shrink).astype(weight.values.dtype)
        node.input[1] = graph.add_dequantized(f"{name}_weight", values, raised, *weight.node.input[2:])
        weight = weight._replace(scale=raised)
    scale = (activation.scale * weight.scale).astype(np.float32)
    values = np.clip(np.rint(bias.astype(np.float64) / scale), -LARGEST_BIAS, LARGEST_BIAS).astype(np.int32)
    node.input[2] = graph.add_dequantized(name, values, np.broadcast_to(scale, values.shape).copy())


def _per_output(node: NodeProto, weight: _Dequantized) -> bool:
    """Tell whether the weight has one scale, or one for each output channel on its first axis."""
    attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    if node.op_type == "Gemm" and (attributes.get("alpha", 1), attributes.get("beta", 1)) != (1, 1):
        return False
    axis = next((attribute.i for attribute in weight.node.attribute if attribute.name == "axis"), 1)
    return weight.scale.size == 1 or (axis == 0 and (node.op_type == "Conv" or attributes.get("transB", 0) == 1))
