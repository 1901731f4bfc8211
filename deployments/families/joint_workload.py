"""The workload of a family: the rows, losses, scores and answers of several tasks as those of one model."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from deployments.answers import AskedRows
from deployments.errors import ConfigurationError
from deployments.families.family_task import FamilyTask, PlacedTask
from deployments.families.joint_meaning import JointMeaning
from deployments.families.joint_rows import column_of, described_inputs, long, one_task_each, wide
from deployments.leaks import LEAKS
from deployments.rows import SPLITS, TASK, DeploymentSample, Split, SplitName
from deployments.workload import Workload, read_splits

_WIDE: frozenset[SplitName] = frozenset({"train", "calibration"})


class JointWorkload(Workload):
    """The workloads of a family as one, over the outputs of all heads in their order, (rows, total).

    Training and calibration rows with the same inputs are one row with the targets of all tasks that know it; a
    validation or test row asks one task. So every score, gate and slice is of one task.
    """

    task = "own"

    def __init__(self, tasks: Sequence[FamilyTask]) -> None:
        """Join tasks of different names. Raises ConfigurationError where they do not fit on one backbone."""
        self.tasks = tuple(tasks)
        self.preprocessing = _alike(self.tasks, "preprocessing", "as their rows go into one backbone")
        self.group = _group_of(self.tasks)
        reasons = [f"{each.name}: {each.workload.shared_rows}" for each in self.tasks if each.workload.shared_rows]
        self.shared_rows = "; ".join(reasons) or None
        self._augment = _augmenting(self.tasks)

    def split(self, name: SplitName) -> Split:
        """Return the rows of a split, wide ones for training and calibration, long ones for validation and test."""
        return self._read[1][name]

    def data_version(self) -> str | None:
        """Return the texts of all members, None where one has none."""
        versions = [each.workload.data_version() for each in self.tasks]
        if any(version is None for version in versions):
            return None
        return "; ".join(f"{each.name}: {version}" for each, version in zip(self.tasks, versions, strict=True))

    def augment(self, inputs: tuple[Tensor, ...], generator: torch.Generator) -> tuple[Tensor, ...]:
        """Return rows changed as all members change them."""
        return inputs if self._augment is None else self._augment.augment(inputs, generator)

    @property
    def augments(self) -> bool:
        """True where the members change rows for training."""
        return self._augment is not None

    @property
    def written(self) -> frozenset[str]:
        """No method: all of them follow from the meaning, which is that of the members' own methods."""
        return frozenset()

    @property
    def meaning(self) -> JointMeaning:
        """The meaning of all outputs."""
        return JointMeaning(self._placed)

    @property
    def answers_are_shares(self) -> bool:
        """True where that holds for every task, so that the mean score of all rows is an accuracy."""
        return all(each.workload.answers_are_shares for each in self.tasks)

    @property
    def answers_are_values(self) -> bool:
        """False: the answers of all tasks to a row are a text."""
        return False

    @property
    def scores_are_errors(self) -> bool:
        """True where that holds for every task."""
        return all(each.workload.scores_are_errors for each in self.tasks)

    @property
    def tells_text(self) -> bool:
        """True where every member has texts of its rows."""
        return all(each.workload.tells_text for each in self.tasks)

    @property
    def purpose(self) -> str:
        """The purposes of all members."""
        return " ".join(f"{each.name}: {each.workload.purpose}" for each in self.tasks if each.workload.purpose)

    def asked(self, outputs: np.ndarray, targets: np.ndarray) -> Sequence[AskedRows]:
        """Return the rows of each task that has some."""
        found = []
        for placed in self._placed:
            rows = np.flatnonzero(placed.known(targets))
            if len(rows):
                own, truth = placed.outputs_of(outputs[rows]), placed.targets_of(targets[rows])
                found.append(AskedRows(placed.task.name, placed.task.workload, rows, own, truth))
        return found

    def of_tasks(self, outputs: np.ndarray) -> Sequence[tuple[Workload, np.ndarray]]:
        """Return each member's workload with its own outputs."""
        return [(placed.task.workload, placed.outputs_of(outputs)) for placed in self._placed]

    @property
    def of_models(self) -> Sequence[Workload]:
        """The workloads of all members."""
        return [each.workload for each in self.tasks]

    def known_targets(self, targets: np.ndarray) -> Sequence[tuple[str, Workload, np.ndarray]]:
        """Return each task with its workload and its own targets of the rows that it knows, where it knows some."""
        known = [(placed, targets[placed.known(targets)]) for placed in self._placed]
        return [(each.task.name, each.task.workload, each.targets_of(rows)) for each, rows in known if len(rows)]

    def questions(self, split: Split) -> tuple[pd.DataFrame, np.ndarray]:
        """Return the slice columns and targets of rows with a line for each task that knows the row."""
        return super().questions(split) if TASK in split.slices else one_task_each(self._placed, split)

    def judged(self, splits: Mapping[SplitName, Split]) -> Iterator[tuple[Mapping[SplitName, Split], str | None]]:
        """Yield all rows; then, where a task has a reason, the rows of each alone, as it excuses no other task."""
        yield from super().judged(splits)
        if self.shared_rows is None:
            return
        for each in self.tasks:
            for making, judging in sorted(LEAKS):
                yield {making: splits[making], judging: _of_task(splits[judging], each.name)}, each.workload.shared_rows

    def deployment_sample(self) -> DeploymentSample | None:
        """Return the rows from the deployment sites of the members that have some, those with the same inputs once."""
        samples = [(placed, placed.task.workload.deployment_sample()) for placed in self._placed]
        known = [(placed, sample) for placed, sample in samples if sample is not None]
        if not known:
            return None
        width, kind = self._placed[-1].target_columns.stop, self.split("train").targets.dtype
        made = wide([placed for placed, _ in known], [sample for _, sample in known], width, kind)
        labelled = any(sample.targets is not None for _, sample in known)
        return DeploymentSample(made.inputs, made.slices, made.targets if labelled else None)

    def picture(self, split: Split, row: int) -> np.ndarray | None:
        """Return the image that the row's own member has of it."""
        placed, own = self._one_row(split, row)
        return placed.task.workload.picture(own, 0)

    def text(self, split: Split, row: int) -> str | None:
        """Return the text that the row's own member has of it."""
        placed, own = self._one_row(split, row)
        return placed.task.workload.text(own, 0)

    def _one_row(self, split: Split, row: int) -> tuple[PlacedTask, Split]:
        """Return the task of a row, the first of several, and the row as its own member has it."""
        targets = split.targets[row : row + 1]
        placed = next(each for each in self._placed if each.known(targets)[0])
        frame, _ = self.questions(Split(tuple(array[row : row + 1] for array in split.inputs), targets,
                                        split.slices.iloc[row : row + 1]))  # fmt: skip
        columns = self._read[2][placed.task.name]
        mine = frame[frame[TASK] == placed.task.name][columns].infer_objects().reset_index(drop=True)
        return placed, Split(tuple(array[row : row + 1] for array in split.inputs), placed.targets_of(targets), mine)

    @property
    def _placed(self) -> tuple[PlacedTask, ...]:
        return self._read[0]

    @cached_property
    def _read(self) -> tuple[tuple[PlacedTask, ...], dict[SplitName, Split], dict[str, list[str]]]:
        """The tasks at their places, the joint splits, and each member's slice columns.

        Raises ConfigurationError for a member whose splits cannot be used, or do not fit those of the others.
        """
        members = {each.name: _member_splits(each) for each in self.tasks}
        first, *others = members
        for name in others:
            ours, theirs = (described_inputs(members[each]["train"]) for each in (name, first))
            if ours != theirs:
                raise ConfigurationError(
                    f"task `{name}`: expected rows of the inputs {theirs} as task `{first}` has, got {ours}; the tasks "
                    "of a family share a backbone, so prepare their rows alike"
                )
        placed, width, kind = _places(self.tasks, [members[each.name]["train"].targets for each in self.tasks])
        joint: dict[SplitName, Split] = {}
        for name in SPLITS:
            own = [members[each.name][name] for each in self.tasks]
            made = (wide if name in _WIDE else long)(placed, own, width, kind)
            joint[name] = made if self.group is None else _grouped(made, self.tasks, self.group, name)
        columns = {name: list(splits["test"].slices.columns) for name, splits in members.items()}
        return placed, joint, columns


def _member_splits(task: FamilyTask) -> dict[SplitName, Split]:
    try:
        splits = read_splits(task.workload)
    except ConfigurationError as error:
        raise ConfigurationError(f"task `{task.name}`: {error}") from error
    for name, split in splits.items():
        if TASK in split.slices.columns:
            raise ConfigurationError(
                f"task `{task.name}`: split `{name}`: expected no slice column {TASK}, which in a family names the "
                "task that a row asks, got one; rename it in Workload.split"
            )
    return splits


def _places(tasks: Sequence[FamilyTask], targets: Sequence[np.ndarray]) -> tuple[tuple[PlacedTask, ...], int, np.dtype]:
    """Return the tasks at their places, the width of all targets, and a type of numbers that holds them all."""
    placed, outputs, width = [], 0, 0
    for task, truth in zip(tasks, targets, strict=True):
        size = int(np.prod(truth.shape[1:]))
        columns = slice(outputs, outputs + task.size), slice(width, width + size)
        placed.append(PlacedTask(task, *columns, truth.shape[1:], truth.dtype))
        outputs, width = columns[0].stop, columns[1].stop
    return tuple(placed), width, np.result_type(np.float32, *(truth.dtype for truth in targets))


def _of_task(split: Split, task: str) -> Split:
    rows = np.flatnonzero(split.slices[TASK] == task)
    inputs = tuple(array[rows] for array in split.inputs)
    return Split(inputs, split.targets[rows], split.slices.iloc[rows].reset_index(drop=True))


def _grouped(made: Split, tasks: Sequence[FamilyTask], group: str, name: SplitName) -> Split:
    """Return the split with the group of each row; a row that no member has a group of is a group of its own."""
    slices = made.slices.copy()
    known = [slices[group]] if group in slices else []
    known += [slices[column] for each in tasks if (column := column_of(each.name, group)) in slices]
    alone = pd.Series([f"{name} row {row}" for row in range(len(made))], index=slices.index, dtype=object)
    for values in reversed(known):
        alone = values.where(values.notna(), alone)
    return replace(made, slices=slices.assign(**{group: alone}))


def _alike(tasks: Sequence[FamilyTask], attribute: str, why: str) -> object:
    """Return an attribute that all workloads have alike. Raises ConfigurationError where two differ."""
    first, *others = tasks
    wanted = getattr(first.workload, attribute)
    for each in others:
        if (got := getattr(each.workload, attribute)) != wanted:
            raise ConfigurationError(
                f"expected one `{attribute}` of all tasks, {why}, got {wanted!r:.80} of {first.name} and {got!r:.80} "
                f"of {each.name}; prepare the rows of both alike, and say so in both workloads"
            )
    return wanted


def _group_of(tasks: Sequence[FamilyTask]) -> str | None:
    """Return the column of the groups, of the tasks that have some. Raises ConfigurationError where they differ."""
    named = {each.workload.group: each.name for each in tasks if each.workload.group is not None}
    if len(named) > 1:
        said = " and ".join(f"{group} of {task}" for group, task in named.items())
        raise ConfigurationError(
            f"expected one `group` of all tasks that have one, got {said}; name the slice column of the groups alike "
            "in their workloads"
        )
    return next(iter(named), None)


def _augmenting(tasks: Sequence[FamilyTask]) -> Workload | None:
    """Return a workload that changes training rows as all of them do; None where none changes any.

    Raises ConfigurationError where the tasks do not change them alike: a row is trained on for all tasks at once.
    """
    ways = {type(each.workload).augment if each.workload.augments else None: each.name for each in tasks}
    if len(ways) > 1:
        raise ConfigurationError(
            f"expected the same `augment` of all tasks, as a training row is a row of all of them, got different ones "
            f"of {' and '.join(ways.values())}; take it from one base class of all workloads, or from none"
        )
    return tasks[0].workload if tasks[0].workload.augments else None
