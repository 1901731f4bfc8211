"""Checks of what a workload says of itself, and of the targets and outputs that its default functions are to fit."""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import numpy as np

from deployments.answers.answered_rows import NOT_A_NUMBER
from deployments.answers.prediction_tasks import BETWEEN, NO_LABEL, THE_USUAL
from deployments.answers.task_kind import TASKS, PredictionTask
from deployments.errors import ConfigurationError
from deployments.rows import Split, SplitName

FEWEST_WORDS = 3  # of a reason: fewer say nothing
LONGEST_REASON = 500  # characters: a sentence or two of the report
LONGEST_DESCRIPTION = 4_000  # characters of JSON, because it travels in every manifest, as one text


class DescribedWorkload(Protocol):
    """A workload's words about itself, as they are written: anything at all, until they are checked."""

    @property
    def task(self) -> object:
        """The kind of outputs."""

    @property
    def labels(self) -> object:
        """Names of the classes, or None."""

    @property
    def preprocessing(self) -> object:
        """Description of what was done to the rows before the model, or None."""

    @property
    def group(self) -> object:
        """The slice column of rows that belong together, or None."""

    @property
    def output(self) -> object:
        """The name of the output that is scored, or None."""

    @property
    def ignore_index(self) -> object:
        """The number of pixels that count nowhere, or None."""

    @property
    def pixels_per_cell(self) -> object:
        """The pixels from one cell of the outputs to the next, or None."""

    @property
    def shared_rows(self) -> object:
        """The reason why splits share rows, or None."""

    @property
    def written(self) -> Collection[str]:
        """The names of the functions that it has of its own."""


def check_attributes(workload: DescribedWorkload) -> None:
    """Check the class attributes of a workload.

    Raises:
        ConfigurationError: the first thing that is wrong, with its remedy.
    """
    task, written = workload.task, workload.written
    if task not in TASKS:
        raise ConfigurationError(f"expected a `task` of {', '.join(TASKS)}, got {task!r}; correct it in the workload")
    missing = [name for name in ("predictions", "score") if name not in written]
    if task == "own" and missing:
        raise ConfigurationError(
            f'expected `predictions` and `score` of the workload, as its `task` is "own", got no '
            f"{' and no '.join(missing)}; write them, or name one of the other tasks"
        )
    _check_ignored(task, workload.ignore_index)
    _check_cells(task, written, workload.pixels_per_cell)
    if workload.labels is not None:
        _check_labels(task, workload.labels)
    _check_name("group", "a slice column", workload.group)
    _check_preprocessing(workload.preprocessing)
    _check_name("output", "one of the model's outputs", workload.output)
    _check_reason("shared_rows", workload.shared_rows)


def _check_name(attribute: str, of: str, name: object) -> None:
    """Check an attribute that names something, or None."""
    if name is not None and not (isinstance(name, str) and name):
        raise ConfigurationError(
            f"expected the name of {of} or None as `{attribute}`, got {name!r}; correct it in the workload"
        )


def _check_reason(attribute: str, reason: object) -> None:
    """Check an attribute that says why something is as it is, or None."""
    if reason is None:
        return
    words = len(reason.split()) if isinstance(reason, str) else 0
    if not (isinstance(reason, str) and words >= FEWEST_WORDS and len(reason) <= LONGEST_REASON):
        long = isinstance(reason, str) and words >= FEWEST_WORDS
        got = f"{len(str(reason)):,} characters" if long else repr(reason)[:80]
        raise ConfigurationError(
            f"expected `{attribute}` as a text of {FEWEST_WORDS} words or more and at most {LONGEST_REASON} "
            f"characters that says why, or None, got {got}; correct it in the workload"
        )


def _check_ignored(task: object, ignore_index: object) -> None:
    if ignore_index is not None and (task != "segmentation" or type(ignore_index) is not int):
        raise ConfigurationError(
            'expected a whole number as `ignore_index`, and the task "segmentation", got '
            f"{ignore_index!r} and {task!r}; correct the workload, or give an attribute for something else another name"
        )


def _check_cells(task: object, written: Collection[str], pixels_per_cell: object) -> None:
    if pixels_per_cell is None and (task != "detection" or {"boxes", "loss"} <= set(written)):
        return
    if task != "detection" or type(pixels_per_cell) is not int or pixels_per_cell < 1:
        raise ConfigurationError(
            'expected for the task "detection", and no other, a whole number of pixels from one cell of the outputs to '
            f"the next as `pixels_per_cell`, got {pixels_per_cell!r} and {task!r}; correct the workload, or write its "
            "`boxes` and `loss` where outputs have no cells"
        )


def _check_labels(task: object, labels: object) -> None:
    names = list(labels) if isinstance(labels, list | tuple) else []
    several = task in ("multi_label", "detection")  # of one row, or none
    taken = {NOT_A_NUMBER} | ({NO_LABEL} if several else set())
    fits = all(isinstance(name, str) and name and name not in taken for name in names)
    if len(names) < 2 - several or not fits or len(set(names)) != len(names):
        got = f"{type(labels).__name__} of {len(labels)}" if isinstance(labels, np.ndarray) else repr(labels)[:80]
        raise ConfigurationError(
            "expected `labels` as a tuple of different names, the name of class 0 first and none of them "
            f"{' or '.join(sorted(taken))}, got {got}; correct it, or give an attribute for something else another name"
        )
    if task == "multi_label" and any(BETWEEN in name for name in names):
        raise ConfigurationError(
            f"expected `labels` without {BETWEEN}, which stands between the labels of a row, got {', '.join(names)}; "
            "rename them"
        )


def _check_preprocessing(preprocessing: object) -> None:
    if not is_plain(preprocessing):
        raise ConfigurationError(
            "expected `preprocessing` of plain text, finite numbers, truth values, lists and mappings by text, got "
            f"{repr(preprocessing)[:80]}; write what the device must do to its rows in these"
        )
    length = len(json.dumps(preprocessing))
    if length > LONGEST_DESCRIPTION:
        raise ConfigurationError(
            f"expected `preprocessing` of at most {LONGEST_DESCRIPTION:,} characters as JSON, got {length:,}; describe "
            "what is done, and keep tables in the model"
        )


def is_plain(value: object) -> bool:
    """Tell whether a value is the same after JSON: text, finite numbers, truth values, None, and lists of them.

    Mappings by text and tuples, which become lists, are plain too.
    """
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and is_plain(each) for key, each in value.items())
    if isinstance(value, list | tuple):
        return all(map(is_plain, value))
    return value is None or type(value) in (str, bool, int) or (type(value) is float and bool(np.isfinite(value)))


def check_targets(
    task: PredictionTask, labels: Sequence[str] | None, group: str | None, written: Collection[str],
    splits: Mapping[SplitName, Split],
) -> None:  # fmt: skip
    """Check that every split has the group's column, and targets that the default functions fit.

    Raises:
        ConfigurationError: the first split that does not fit, with its remedy.
    """
    for split, rows in splits.items():
        if group is not None and group not in rows.slices.columns:
            raise ConfigurationError(
                f"split `{split}`: expected the slice column {group}, which is the workload's `group`, got "
                f"{', '.join(map(str, rows.slices.columns)) or 'none'}; add it in Workload.split, or correct `group`"
            )
        if {"score", "right_answers"} <= set(written) or ("score" in written and labels is None):
            continue
        if wanted := task.targets_wanted(rows.targets, labels):
            raise ConfigurationError(
                f'split `{split}`: expected for the task "{task.name}" {wanted}, got {described(rows.targets)}; '
                f"correct Workload.split, or {THE_USUAL}"
            )


def check_outputs(
    task: PredictionTask,
    labels: Sequence[str] | None,
    written: Collection[str],
    row: tuple[int, ...],
    targets: np.ndarray,
) -> None:
    """Check that outputs of shape (rows, *row) are such as the default functions fit.

    Raises:
        ConfigurationError: they are not, with the remedy.
    """
    if {"predictions", "score"} <= set(written):
        return
    if wanted := task.outputs_wanted(row, targets, labels):
        raise ConfigurationError(
            f'expected for the task "{task.name}" {wanted}, got outputs (rows{"".join(f", {size}" for size in row)}) '
            f"for {described(targets)}; {THE_USUAL}, or give it a model whose outputs have this form"
        )


def described(targets: np.ndarray) -> str:
    """Return the shape, the type and the range of targets in words."""
    shape = f"(rows{''.join(f', {size}' for size in targets.shape[1:])})"
    return f"targets {shape} of {targets.dtype} from {float(targets.min()):g} to {float(targets.max()):g}"
