"""The plan of a workload: which arrays are a model's inputs, which one is the target, and what the outputs mean."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from deployments.answers import TaskName, prediction_task
from deployments.errors import ConfigurationError
from deployments.rows import RESERVED, SplitName
from flows.first_files.array_folder import Found, FoundArray
from flows.first_files.preparation import Preparation, preparations
from model_compression.training import are_probabilities
from tasks.upstream import FirstLook, RegisteredInput

TARGET_NAMES = ("y", "label", "labels", "target", "targets", "class", "classes", "answer", "answers", "truth")
JUDGED_SPLITS: tuple[SplitName, ...] = ("validation", "test")
TRIED_ROWS = 512
_NAMES = "OSU"  # kinds of arrays that are words
_WHOLE = "biu"


@dataclass(frozen=True)
class RowPlan:
    """Arrays of a folder in their roles: the inputs in the model's order, the target, and slice columns.

    `labels` are the words of a target that is saved as words, in the order of their numbers. `score` is the mean score
    of the registered model on some rows prepared so.
    """

    folder: Path
    found: Found
    inputs: tuple[tuple[str, Preparation], ...]
    target: str
    labels: tuple[str, ...] | None
    slices: tuple[str, ...]
    task: TaskName
    probabilities: bool
    score: float

    @property
    def missing(self) -> tuple[SplitName, ...]:
        """The splits among those that judge that the folder has no files of; rows of the train split are taken."""
        return tuple(name for name in JUDGED_SPLITS if name not in self.found)


def plan_rows(folder: Path, found: Found, look: FirstLook, target: str | None, task: TaskName | None) -> RowPlan:
    """Match the arrays with the model: by name, by shape, and by the answers that the model then gives.

    `target` and `task` are what a person said, None where the arrays are to tell. Raises ConfigurationError where they
    do not, with the option that says it.
    """
    arrays = found["train"]
    named = _target(folder, arrays, target)
    inputs = _inputs(folder, {name: each for name, each in arrays.items() if name != named}, look)
    split: SplitName = "validation" if "validation" in found else "train"
    truth = found[split][named].read(folder)
    labels = _labels(truth) if truth.dtype.kind in _NAMES else None
    rows = np.linspace(0, len(truth) - 1, min(TRIED_ROWS, len(truth))).astype(int)
    numbers = numbered(np.asarray(truth[rows]), labels)
    read = {name: np.asarray(found[split][name].read(folder)[rows]) for name, _ in inputs}
    tried = []
    for ways in product(*(ways for _, ways in inputs)):
        chosen = tuple((name, way) for (name, _), way in zip(inputs, ways, strict=True))
        outputs = look.answers(tuple(way(read[name]) for name, way in chosen))
        meant = task or _task(outputs, numbers)
        tried.append((_score(meant, outputs, numbers), chosen, meant, _are_probabilities(meant, outputs)))
    score, chosen, meant, probabilities = max(tried, key=lambda each: each[0])
    taken = {named, *(name for name, _ in chosen)}
    slices = tuple(name for name, each in arrays.items() if name not in taken and len(each.shape) == 1)
    return RowPlan(folder, found, chosen, named, labels, slices, meant, probabilities, score)


def numbered(targets: np.ndarray, labels: Sequence[str] | None) -> np.ndarray:
    """Return targets as numbers: words by their place among the labels."""
    return targets if labels is None else np.searchsorted(np.asarray(labels), targets.astype(str))


def column_name(name: str) -> str:
    """Return the name of a slice column: one that measured rows have themselves gets another."""
    return f"{name}_of_row" if name in RESERVED else name


def _labels(truth: np.ndarray) -> tuple[str, ...]:
    return tuple(np.unique(truth.astype(str)).tolist())


def _target(folder: Path, arrays: Mapping[str, FoundArray], given: str | None) -> str:
    fitting = [name for name in arrays if any(word in TARGET_NAMES for word in name.split("_"))]
    if given is not None and given in arrays:
        return given
    if given is None and len(fitting) == 1:
        return fitting[0]
    raise ConfigurationError(
        f"{folder}: expected one array of right answers{f' by the name {given}' if given else ', such as labels'}, got "
        f"{', '.join(sorted(arrays))}; name it with --targets"
    )


def _inputs(
    folder: Path, arrays: Mapping[str, FoundArray], look: FirstLook
) -> list[tuple[str, tuple[Preparation, ...]]]:
    chosen: list[tuple[str, tuple[Preparation, ...]]] = []
    for wanted in look.inputs:
        free = {name: each for name, each in arrays.items() if name not in dict(chosen)}
        fitting = list(_fitting(free, wanted))
        by_name = [each for each in fitting if each[0] == wanted.name.lower()]
        if len(by_name or fitting) != 1:
            names = ", ".join(f"{name} {each.dtype} {each.shape}" for name, each in arrays.items()) or "none"
            got = f"{', '.join(name for name, _ in fitting)}, which all fit" if fitting else f"no such array in {names}"
            raise ConfigurationError(
                f"{folder}: expected an array for the input {wanted} of model `{look.model}` version {look.version}, "
                f"got {got}; save the rows as the model takes them, under the input's name, or write the workload "
                "yourself and name it with --workload"
            )
        chosen.append((by_name or fitting)[0])
    return chosen


def _fitting(
    arrays: Mapping[str, FoundArray], wanted: RegisteredInput
) -> Iterator[tuple[str, tuple[Preparation, ...]]]:
    for name, each in arrays.items():
        ways = tuple(preparations(each, wanted))
        if ways:
            yield name, ways


def _task(outputs: np.ndarray, targets: np.ndarray) -> TaskName:
    """Return what outputs mean for these targets. Raises ConfigurationError where that is open."""
    ours, theirs = (int(np.prod(array.shape[1:])) for array in (outputs, targets))
    whole = targets.dtype.kind in _WHOLE or bool((targets == np.round(targets)).all())
    yes_or_no = bool(np.isin(targets, (0, 1)).all())
    if theirs == 1 and whole and outputs.ndim == 2 and ours > 1:
        return "classification"
    if theirs == 1 and yes_or_no and ours == 1:
        return "binary"
    if theirs > 1 and yes_or_no and outputs.shape == targets.shape:
        return "multi_label"
    if ours == theirs and outputs.shape[0] == targets.shape[0]:
        return "regression"
    raise ConfigurationError(
        f"expected outputs and right answers of one kind, got outputs of shape {outputs.shape} for targets of shape "
        f"{targets.shape} and type {targets.dtype}; write the workload yourself and name it with --workload"
    )


def _score(task: TaskName, outputs: np.ndarray, targets: np.ndarray) -> float:
    """Return the mean score by the task's default function, minus infinity for outputs that are no numbers."""
    if not np.isfinite(outputs).all():
        return -np.inf
    kind = np.float64 if task in ("regression", "embedding") else np.int64
    return float(prediction_task(task).score(outputs, targets.astype(kind)).mean())


def _are_probabilities(task: TaskName, outputs: np.ndarray) -> bool:
    return task == "classification" and are_probabilities(outputs)
