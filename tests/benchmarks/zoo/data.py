"""Small real data for the zoo, out of packages: digits, sentences of Python's packages, movements, a table of patients.

Each data set comes in three parts: rows to train on, rows to calibrate with, rows to validate on.
"""

import ast
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import torch
from sklearn.datasets import load_diabetes, load_digits
from torch import Tensor
from torch.nn import functional as F

Arrays: TypeAlias = tuple[np.ndarray, ...]
Task: TypeAlias = Literal["classes", "pixels", "values"]
DataName: TypeAlias = Literal[
    "digits",
    "large_digits",
    "grey_digits",
    "masks",
    "images",
    "two_inputs",
    "series",
    "tokens",
    "masked_tokens",
    "table",
]
TRAIN, CALIBRATION, VALIDATION = 384, 96, 256
WORDS, LENGTH = 512, 24
STEPS = 32
PACKAGES = ("numpy", "scipy", "sklearn", "torch")
SENTENCES = 250  # of each package


@dataclass(frozen=True)
class Part:
    """Rows of one part: the model's inputs, and what is to be answered."""

    inputs: Arrays
    targets: np.ndarray


@dataclass(frozen=True)
class Data:
    """A data set in three parts, and what its answers are."""

    task: Task
    train: Part
    calibration: Part
    validation: Part

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean loss of a batch."""
        if self.task == "values":
            return F.mse_loss(outputs.reshape(targets.shape), targets)
        return F.cross_entropy(outputs, targets)

    def score(self, outputs: np.ndarray) -> float:
        """Return the share of right answers on validation; of values, the share of their variance that is explained."""
        targets = self.validation.targets
        if self.task == "values":
            error = (outputs.reshape(targets.shape) - targets) ** 2
            return float(1 - error.mean() / targets.var())
        return float((outputs.argmax(1) == targets).mean())


def load(name: DataName) -> Data:
    """Load a data set by its name."""
    task, inputs, targets = _LOADERS[name]()
    order = np.random.default_rng(0).permutation(len(targets))
    train = min(TRAIN, len(order) // 2)
    ends = (train, train + min(CALIBRATION, len(order) // 5), len(order))
    bounds = [(0, ends[0]), (ends[0], ends[1]), (ends[1], min(ends[2], ends[1] + VALIDATION))]
    parts = [Part(tuple(a[order[start:stop]] for a in inputs), targets[order[start:stop]]) for start, stop in bounds]
    return Data(task, *parts)


Loaded: TypeAlias = tuple[Task, Arrays, np.ndarray]


@cache
def _digits() -> tuple[np.ndarray, np.ndarray]:
    pixels, labels = load_digits(return_X_y=True)
    return (pixels.reshape(-1, 1, 8, 8) / 8 - 1).astype(np.float32), labels.astype(np.int64)


def _scaled(times: int, channels: int) -> np.ndarray:
    return np.kron(np.repeat(_digits()[0], channels, axis=1), np.ones((1, 1, times, times), np.float32))


def _masks() -> Loaded:
    grey = _scaled(4, 1)
    return "pixels", (np.repeat(grey, 3, axis=1),), (grey[:, 0] > 0).astype(np.int64)


def _two_inputs() -> Loaded:
    pixels, labels = _digits()
    flat = pixels.reshape(-1, 64)
    return "classes", (_scaled(4, 1), np.stack([flat.mean(1), flat.std(1)], 1)), labels


def _series() -> Loaded:
    found = find_spec("aeon")
    if found is None or found.origin is None:
        raise ImportError("expected aeon, whose wheel has the series, found none; run make bench-zoo")
    folder = Path(found.origin).parent / "datasets" / "data" / "BasicMotions"
    rows, names = [], []
    for part in ("TRAIN", "TEST"):
        text = (folder / f"BasicMotions_{part}.ts").read_text().split("@data\n")[1]
        for line in filter(None, text.splitlines()):
            *dimensions, name = line.split(":")
            rows.append([[float(value) for value in dimension.split(",")] for dimension in dimensions])
            names.append(name)
    series = np.array(rows, np.float32).transpose(0, 2, 1)
    labels = np.unique(names, return_inverse=True)[1].astype(np.int64)
    windows = np.concatenate([series[:, start : start + STEPS] for start in range(0, 5 * 16, 16)])
    return "classes", ((windows / windows.std((0, 1))).astype(np.float32),), np.tile(labels, 5)


def _sentences(package: str) -> Iterator[str]:
    found = find_spec(package)
    if found is None or found.origin is None:
        return
    for path in sorted(Path(found.origin).parent.glob("*/*.py")):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and (said := ast.get_docstring(node)):
                yield said


@cache
def _numbered_words() -> tuple[np.ndarray, np.ndarray]:
    """Return words of docstrings as numbers, 0 behind the last, and the number of the package that each is from."""
    rows, labels = [], []
    for label, package in enumerate(PACKAGES):
        taken = 0
        for said in _sentences(package):
            words = [1 + zlib.crc32(word.encode()) % (WORDS - 1) for word in re.findall(r"\w+", said.lower())[:LENGTH]]
            if len(words) >= LENGTH // 3:
                rows.append(words + [0] * (LENGTH - len(words)))
                labels.append(label)
                taken += 1
            if taken == SENTENCES:
                break
    return np.array(rows, np.int64), np.array(labels, np.int64)


def _tokens() -> Loaded:
    words, labels = _numbered_words()
    return "classes", (words,), labels


def _masked_tokens() -> Loaded:
    words, labels = _numbered_words()
    return "classes", (words, (words > 0).astype(np.int64)), labels


def _table() -> Loaded:
    values, targets = load_diabetes(return_X_y=True)
    scaled = (targets - targets.mean()) / targets.std()
    return "values", ((values * 20).astype(np.float32),), scaled.astype(np.float32)[:, None]


_LOADERS: dict[DataName, Callable[[], Loaded]] = {
    "digits": lambda: ("classes", (_scaled(4, 3),), _digits()[1]),
    "large_digits": lambda: ("classes", (_scaled(8, 3),), _digits()[1]),
    "grey_digits": lambda: ("classes", (_scaled(2, 1),), _digits()[1]),
    "masks": _masks,
    "images": lambda: ("values", (_scaled(4, 1),), _scaled(4, 1)),
    "two_inputs": _two_inputs,
    "series": _series,
    "tokens": _tokens,
    "masked_tokens": _masked_tokens,
    "table": _table,
}


def example_of(part: Part, rows: int = 4) -> tuple[Tensor, ...]:
    """Return the first rows as tensors."""
    return tuple(torch.from_numpy(array[:rows].copy()) for array in part.inputs)
