"""Small trained and pruned models, their rows, and helpers that run and inspect their files."""

import collections
import copy
import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import onnxruntime as ort
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.fx import GraphModule

from model_compression.intake import rebuild
from model_compression.onnx_files import optimized_operators, save_onnx, to_onnx
from model_compression.pruning import (
    History,
    Kind,
    Protected,
    protected_units,
    remove_units,
    unit_scores,
    units_of,
)
from model_compression.training import FineTuning, batches, fine_tune, predict
from tests.model_compression.architectures import SmallResNet, export

SETTINGS = FineTuning(
    epochs=6, batch_size=32, learning_rate=5e-3, weight_decay=0, temperature=4, distillation_weight=0, seed=0
)
QUICK = replace(SETTINGS, epochs=2, batch_size=64)
INTEGER = ("QLinear", "QGemm", "Integer", "QAttention", "DynamicQuantize", "NBits", "GatherBlock")
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class Digits(NamedTuple):
    """Images of shape (rows, 1, 8, 8) in [0, 1] and their labels."""

    images: np.ndarray
    labels: np.ndarray


@functools.cache
def digits(split: str) -> Digits:
    """`train`, 500 rows, or `test`, the next 300."""
    data = load_digits()
    rows = slice(0, 500) if split == "train" else slice(500, 800)
    return Digits((data.images[rows] / 16).astype(np.float32)[:, None], data.target[rows].astype(np.int64))


class TinyCnn(nn.Module):
    """Convolutions with batch norms, both kinds of pooling, dropout and two linears."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.AvgPool2d(2),
        )
        self.hidden = nn.Linear(32 * 4, 32)
        self.dropout = nn.Dropout(0.1)
        self.head = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.dropout(F.relu(self.hidden(torch.flatten(self.features(x), 1)))))


KINDS: dict[str, Callable[[], nn.Module]] = {"cnn": TinyCnn, "resnet": SmallResNet}
EXAMPLE = (torch.from_numpy(digits("train").images[:4]),)


@functools.cache
def _trained(kind: str) -> GraphModule:
    torch.manual_seed(0)
    model = rebuild(export(KINDS[kind]().eval(), *EXAMPLE))
    train = digits("train")
    fine_tune(model, (train.images,), train.labels, None, F.cross_entropy, SETTINGS)
    return model


def trained(kind: str) -> GraphModule:
    """A fresh copy of a digit classifier, `cnn` or `resnet`, as intake gives it."""
    return copy.deepcopy(_trained(kind))


@functools.cache
def _pruned(kind: str) -> GraphModule:
    model, train = trained(kind), digits("train")
    units = units_of(model, EXAMPLE, ("channels",), protected_units(model, EXAMPLE))
    scores = unit_scores(model, batches((train.images,), train.labels, 100), F.cross_entropy)
    remove_units(model, EXAMPLE, units, scores, 0.4, round_to=4)
    fine_tune(model, (train.images,), train.labels, None, F.cross_entropy, replace(SETTINGS, epochs=2))
    return model


def pruned(kind: str) -> GraphModule:
    """A fresh copy of trained(kind) without 40 % of its channels, trained again."""
    return copy.deepcopy(_pruned(kind))


@functools.cache
def _proto(kind: str, smaller: bool) -> onnx.ModelProto:
    return to_onnx(pruned(kind) if smaller else trained(kind), EXAMPLE, ["image"])


def float_file(kind: str, folder: Path, *, smaller: bool = False) -> Path:
    """The float ONNX file of trained(kind) or pruned(kind); exported once for all tests."""
    name = f"{kind}-pruned.onnx" if smaller else f"{kind}.onnx"
    return save_onnx(_proto(kind, smaller), folder / name)


def untrained(model: nn.Module, *rows: Tensor) -> GraphModule:
    """A model as intake would give it."""
    return rebuild(export(model.eval(), *rows))


def linear(dropout: float = 0.0) -> nn.Module:
    """A fresh classifier of digits with one hidden layer."""
    torch.manual_seed(3)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Dropout(dropout), nn.Linear(32, 10))


def prune(
    model: nn.Module,
    *rows: Tensor,
    ratio: float = 0.2,
    round_to: int = 4,
    kinds: Sequence[Kind] = ("channels",),
    protected: Sequence[Protected] | None = None,
) -> History:
    """Remove one round of units, scored on made-up labels."""
    targets = torch.arange(len(rows[0])) % model(*rows).shape[1]
    units = units_of(model, rows, kinds, protected_units(model, rows, kinds) if protected is None else protected)
    scores = unit_scores(model, [(rows, targets)], F.cross_entropy, layers=units.layers)
    return remove_units(model, rows, units, scores, ratio, round_to=round_to)


def with_statistics(model: nn.Module, rows: Tensor) -> nn.Module:
    """Run a few batches, so that statistics and scales are not those of a fresh model."""
    torch.manual_seed(0)
    for part in model.modules():
        if isinstance(part, NORMS) and part.affine:
            nn.init.uniform_(part.weight, 0.5, 2)
            nn.init.normal_(part.bias)
    with torch.no_grad():
        for _ in range(3):
            model.train()(rows * 2 + 1)
    return model


def accuracy(outputs: np.ndarray) -> float:
    """Share of the test rows that are right."""
    return float((outputs.argmax(1) == digits("test").labels).mean())


def float_accuracy(model: nn.Module) -> float:
    """Share of the test rows that a module answers right."""
    return accuracy(predict(model, (digits("test").images,)))


def run(path: Path, *arrays: np.ndarray) -> np.ndarray:
    """Run an ONNX file as it ships."""
    session = _session(path)
    return session.run(None, dict(zip([value.name for value in session.get_inputs()], arrays, strict=True)))[0]


def kernels(path: Path) -> collections.Counter[str]:
    """Count the operators that ONNX Runtime runs for a file, after all of its optimizations."""
    return collections.Counter(optimized_operators(path))


def is_integer(operator: str) -> bool:
    """Tell whether an operator of an optimized graph computes in integers."""
    return any(part in operator for part in INTEGER)


def int8_weights(path: Path) -> list[np.ndarray]:
    """The int8 constants of a file with more than one dimension."""
    tensors = onnx.load(path).graph.initializer
    arrays = [onnx.numpy_helper.to_array(tensor) for tensor in tensors]
    return [array for array in arrays if array.dtype == np.int8 and array.ndim > 1]


def _session(path: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
