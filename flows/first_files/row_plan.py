"""The plan of a workload: which arrays are a model's inputs, which one is the target, and what the outputs mean."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from deployments.answers import TaskName
from deployments.errors import ConfigurationError
from deployments.rows import RESERVED, SplitName
from deployments.user_calls import call_user_code
from flows.first_files.array_folder import Found, FoundArray
from flows.first_files.output_meaning import OutputMeaning, meaning_of
from flows.first_files.preparation import Preparation, preparations
from tasks.upstream import FirstLook, RegisteredInput

TARGET_NAMES = ("y", "label", "labels", "target", "targets", "class", "classes", "answer", "answers", "truth")
DRAWN_NAMES = ("mask", "masks", "boxes")  # where no array has one of the others: a mask may be an input too
JUDGED_SPLITS: tuple[SplitName, ...] = ("validation", "test")
TRIED_ROWS = 512
_NAMES = "OSU"  # kinds of arrays that are words


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
    meaning: OutputMeaning
    score: float

    @property
    def task(self) -> TaskName:
        """The task of the outputs."""
        return self.meaning.task

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
    _check_rows(folder, found, named, [name for name, _ in inputs])
    split: SplitName = "validation" if "validation" in found else "train"
    truth = found[split][named].read(folder)
    labels = _labels(truth) if truth.dtype.kind in _NAMES else None
    rows = np.linspace(0, len(truth) - 1, min(TRIED_ROWS, len(truth))).astype(int)
    numbers = numbered(np.asarray(truth[rows]), labels)
    if numbers.dtype.kind == "f" and (gaps := int((~np.isfinite(numbers)).reshape(len(numbers), -1).any(1).sum())):
        raise ConfigurationError(
            f"{folder}: expected finite right answers, got NaN or infinity in {gaps} of {len(numbers)} rows of {named} "
            f"that were looked at in {split}; drop these rows"
        )
    read = {name: np.asarray(found[split][name].read(folder)[rows]) for name, _ in inputs}
    tried = []
    for ways in product(*(ways for _, ways in inputs)):
        chosen = tuple((name, way) for (name, _), way in zip(inputs, ways, strict=True))
        prepared = tuple(way(read[name]) for name, way in chosen)
        outputs = _answers(look, prepared)
        meant = meaning_of(prepared, outputs, numbers, task)
        tried.append((meant.score(outputs, numbers), chosen, meant))
    score, chosen, meant = max(tried, key=lambda each: each[0])
    taken = {named, *(name for name, _ in chosen)}
    slices = tuple(name for name in arrays if name not in taken and _are_columns(found, name, named))
    return RowPlan(folder, found, chosen, named, labels, slices, meant, score)


def _check_rows(folder: Path, found: Found, target: str, inputs: Sequence[str]) -> None:
    """Raise ConfigurationError where a split has other numbers of inputs than of right answers."""
    for split, arrays in found.items():
        counts = {name: arrays[name].shape[0] if arrays[name].shape else 0 for name in (target, *inputs)}
        if len(set(counts.values())) > 1 or not counts[target]:
            got = ", ".join(f"{count} of {name}" for name, count in counts.items())
            raise ConfigurationError(
                f"{folder}: expected at least one row and the same number of rows in each array of {split}, got {got}; "
                "save a right answer for each row"
            )


def _are_columns(found: Found, name: str, target: str) -> bool:
    """Tell whether an array has one value for each row of every split."""
    return all(arrays[name].shape == arrays[target].shape[:1] for arrays in found.values())


def _answers(look: FirstLook, rows: tuple[np.ndarray, ...]) -> np.ndarray:
    """Return the registered model's answers; raises ConfigurationError for rows that it cannot take."""
    return call_user_code(
        lambda: look.answers(rows),
        f"expected model `{look.model}` version {look.version} to answer the rows",
        "save the rows as the model takes them: numbers of tokens below the size of its table, for example",
    )


def numbered(targets: np.ndarray, labels: Sequence[str] | None) -> np.ndarray:
    """Return targets as numbers: words by their place among the labels."""
    return targets if labels is None else np.searchsorted(np.asarray(labels), targets.astype(str))


def column_name(name: str) -> str:
    """Return the name of a slice column: one that measured rows have themselves gets another."""
    return f"{name}_of_row" if name in RESERVED else name


def _labels(truth: np.ndarray) -> tuple[str, ...]:
    return tuple(np.unique(truth.astype(str)).tolist())


def _target(folder: Path, arrays: Mapping[str, FoundArray], given: str | None) -> str:
    fitting = _named(arrays, TARGET_NAMES) or _named(arrays, DRAWN_NAMES)
    if given is not None and given in arrays:
        return given
    if given is None and len(fitting) == 1:
        return fitting[0]
    raise ConfigurationError(
        f"{folder}: expected one array of right answers{f' by the name {given}' if given else ', such as labels'}, got "
        f"{', '.join(sorted(arrays))}; name it with --targets"
    )


def _named(arrays: Mapping[str, FoundArray], words: tuple[str, ...]) -> list[str]:
    return [name for name in arrays if any(word in words for word in name.split("_"))]


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
