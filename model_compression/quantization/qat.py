"""Quantization-aware training: the parent teaches a model that already feels its rounding."""

import copy
import types
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.fx import GraphModule
from torchao.quantization.pt2e import disable_fake_quant, disable_observer, enable_fake_quant, enable_observer
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_qat_pt2e

from model_compression.errors import QuantizationError, cause_of
from model_compression.intake import rebuild
from model_compression.onnx_files import compact, save_onnx, to_onnx
from model_compression.quantization.folding import fold_batch_norm, freeze_batch_norm
from model_compression.quantization.integer_bias import quantize_biases
from model_compression.quantization.qat_quantizer import DROPOUTS, OnnxRuntimeQuantizer
from model_compression.quantization.ranges import check_rows
from model_compression.quiet import quiet
from model_compression.training import (
    Arrays,
    Augment,
    FineTuning,
    LossFunction,
    Progress,
    Teacher,
    Validate,
    batches,
    fine_tune,
)

CALIBRATION_BATCH = 256


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
) -> Path:
    """Train a float snapshot with fake quantization and export it as INT8 QDQ ONNX; returns the path.

    The layers called `in_float` stay so. The model stays as it is. Raises QuantizationError, TrainingError and
    ExportError.
    """
    prepared = prepare_for_qat(model, example, calibration, reduce_range=reduce_range, in_float=in_float)
    exact = replace(settings, precision="float32")  # another rounding would hide the one that is trained for
    fine_tune(prepared, inputs, targets, teacher, loss, exact, progress, validate, augment, weights)
    quantized = quantize_biases(to_onnx(convert(prepared), example, names))
    return save_onnx(compact(quantized), path)


def prepare_for_qat(
    model: nn.Module, example: tuple[Tensor, ...], calibration: Arrays, *, reduce_range: bool,
    in_float: Sequence[str] = (),
) -> GraphModule:  # fmt: skip
    """Copy a float model into one with fake quantization, its ranges observed on calibration rows.

    Batch norms become parts of other layers first: what is trained is what ships.
    `example` has at least 2 rows. Raises QuantizationError.
    """
    check_rows({f"input {index}": rows for index, rows in enumerate(calibration)})
    try:
        with quiet():
            # a fresh copy either way, for folding writes into it
            copied = copy.deepcopy(model) if isinstance(model, GraphModule) else rebuild(_export(model, example))
            plain = freeze_batch_norm(fold_batch_norm(copied, example), example)
            program = _export(plain, example)
            prepared = prepare_qat_pt2e(
                program.module(check_guards=False), OnnxRuntimeQuantizer(reduce_range, in_float)
            )
    except Exception as error:  # torch.export and torchao raise of all kinds
        raise QuantizationError(
            f"expected the model to take fake quantization, got {cause_of(error)}; drop `qat` from the recipe's ladder"
        ) from error
    _observe(prepared, calibration)
    _let_modes_switch(prepared)
    return prepared


def convert(prepared: GraphModule) -> GraphModule:
    """Turn fake quantization into real: int8 weights, quantize and dequantize operators. `prepared` is used up."""
    try:
        with quiet():
            return convert_pt2e(prepared)
    except Exception as error:
        raise QuantizationError(
            f"expected the trained model to convert to INT8, got {cause_of(error)}; drop `qat` from the recipe's ladder"
        ) from error


def _export(model: nn.Module, example: tuple[Tensor, ...]) -> torch.export.ExportedProgram:
    batch = torch.export.Dim("batch", min=1)
    return torch.export.export(model.eval(), example, dynamic_shapes=tuple({0: batch} for _ in example))


def _observe(prepared: GraphModule, calibration: Arrays) -> None:
    """Let the ranges start from the float model's."""
    prepared.apply(disable_fake_quant)
    with torch.no_grad():
        for rows, _ in batches(calibration, np.zeros(len(calibration[0])), CALIBRATION_BATCH):
            prepared(*rows)
    prepared.apply(enable_fake_quant)


def _let_modes_switch(model: GraphModule) -> None:
    """Give an exported module, whose dropouts are fixed by export, train() and eval(); ranges move in training only.

    torchao's own switch sets every dropout to p = 0.5.
    """

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
