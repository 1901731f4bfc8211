"""Quantization-aware training of modules of code, pruned ones and ones that no program could be rebuilt from."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from torch import nn

from model_compression.pruning.rounds import replay_round
from model_compression.quantization.qat import train_quantized
from model_compression.training import fine_tune, predict
from tests.model_compression.pruning.own_modules.code_models import MODELS, code
from tests.model_compression.toys import EXAMPLE, SETTINGS, digits, int8_weights, run

TRAIN, ROWS = digits("train"), digits("test").images
GENTLE = replace(SETTINGS, epochs=1, learning_rate=1e-5)


def quantized(model: nn.Module, path: Path, inputs: np.ndarray, targets: np.ndarray, *in_float: str) -> Path:
    rows = (inputs,)
    return train_quantized(
        model, tuple(map(torch.from_numpy, (inputs[:4],))), rows, rows, targets, None, F.cross_entropy, GENTLE,
        reduce_range=False, names=["rows"], path=path, in_float=in_float,
    )  # fmt: skip


def test_a_pruned_module_is_trained_quantized_and_stays_as_it_is(tmp_path: Path) -> None:
    model = code("vit")
    replay_round(model, EXAMPLE, {"heads": {"blocks.1.attn.proj": [0, 3]}, "layers": ["blocks.2"]})
    fine_tune(model, (TRAIN.images,), TRAIN.labels, None, F.cross_entropy, replace(SETTINGS, epochs=2))
    before = predict(model, (ROWS,))
    path = quantized(model, tmp_path / "int8.onnx", TRAIN.images[:200], TRAIN.labels[:200])
    assert (run(path, ROWS).argmax(1) == before.argmax(1)).mean() > 0.9
    assert sum(each.size for each in int8_weights(path)) > 0.8 * sum(map(torch.numel, model.parameters()))
    assert np.array_equal(predict(model, (ROWS,)), before)


def test_layers_stay_in_float_by_their_names_in_the_code(tmp_path: Path) -> None:
    tokens = MODELS["torch encoder"].rows[0].repeat(4, 1).numpy()
    targets = np.arange(16) % 5
    layer = "encoder.layers.1.self_attn.in_proj_weight"  # as the float file of the code calls it
    kept = quantized(code("torch encoder"), tmp_path / "int8.onnx", tokens, targets, layer)
    shapes = sorted(max(each.shape) for each in int8_weights(kept))
    assert shapes.count(3 * 32) == 2  # of three attentions


def test_code_that_changes_its_own_tensors_takes_it_too(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(64, 8)).astype(np.float32)
    model = code("counting")
    path = quantized(model, tmp_path / "int8.onnx", rows, np.arange(64) % 3)
    assert onnx.load(path).graph.output[0].name == "output"
    assert np.abs(run(path, rows) - predict(model, (rows,))).max() < 0.05
