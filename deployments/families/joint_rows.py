"""The rows of a family's splits: rows of several members with the same inputs once, or one row for each task.

Rows for training and calibration are wide: one row with the targets of all tasks that know it, NaN for the others.
Rows for validation and test are long: one row for each task and each of its rows, with the slice column `task`.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from deployments.families.family_task import PlacedTask
from deployments.leaks import row_digests
from deployments.rows import TASK, DeploymentSample, Split

Inputs = tuple[np.ndarray, ...]
_SEED = 0


def column_of(task: str, column: str) -> str:
    """Return the name that a slice column of one member has among wide rows."""
    return f"{task}.{column}"


def rows_once(members: Sequence[Inputs]) -> tuple[Inputs, tuple[np.ndarray, ...]]:
    """Return the inputs of all members' rows, those with the same inputs once, and the places of each member's rows.

    Inputs that are the same for all members are not copied. Rows of one member with the same inputs stay several rows.
    """
    first = members[0]
    if all(_are_equal(first, each) for each in members[1:]):
        return first, tuple(np.arange(len(first[0])) for _ in members)
    places: dict[tuple[bytes, int], int] = {}
    found, new = [], []
    for inputs in members:
        before = len(places)
        found.append(np.array([places.setdefault(row, len(places)) for row in _told_apart(inputs)], dtype=np.intp))
        new.append(np.flatnonzero(found[-1] >= before))
    return tuple(
        np.concatenate([inputs[number][rows] for inputs, rows in zip(members, new, strict=True)])
        for number in range(len(first))
    ), tuple(found)


def wide(tasks: Sequence[PlacedTask], splits: Sequence[Split | DeploymentSample], width: int, kind: np.dtype) -> Split:
    """Return the rows of all members' splits, each once, with a slice column TASK.COLUMN for each of the members'."""
    inputs, places = rows_once([split.inputs for split in splits])
    targets = np.full((len(inputs[0]), width), np.nan, dtype=kind)
    columns: dict[str, pd.Series] = {}
    for placed, split, rows in zip(tasks, splits, places, strict=True):
        if split.targets is not None:
            targets[rows, placed.target_columns] = split.targets.reshape(len(rows), -1)
        for column, values in split.slices.items():
            columns[column_of(placed.task.name, str(column))] = spread(values, rows, len(targets))
    return Split(inputs, targets, pd.DataFrame(columns, index=range(len(targets))))


def long(tasks: Sequence[PlacedTask], splits: Sequence[Split], width: int, kind: np.dtype) -> Split:
    """Return a row for each task and each of its rows, with the column `task` and those of its own."""
    lengths = [len(split) for split in splits]
    places = _mixed(lengths)
    inputs = tuple(_laid([split.inputs[number] for split in splits], places) for number in range(len(splits[0].inputs)))
    targets = np.full((sum(lengths), width), np.nan, dtype=kind)
    frames = []
    for placed, split, rows in zip(tasks, splits, places, strict=True):
        targets[rows, placed.target_columns] = split.targets.reshape(len(rows), -1)
        frames.append(split.slices.set_axis(rows).assign(**{TASK: placed.task.name}))
    return Split(inputs, targets, pd.concat(frames).sort_index())


def one_task_each(tasks: Sequence[PlacedTask], split: Split) -> tuple[pd.DataFrame, np.ndarray]:
    """Return slice columns and targets of wide rows with a line for each task that knows the row, as long rows have.

    The index holds the row's number.
    """
    frames, targets = [], []
    for placed in tasks:
        rows = np.flatnonzero(placed.known(split.targets))
        own = np.full((len(rows), split.targets.shape[1]), np.nan, dtype=split.targets.dtype)
        own[:, placed.target_columns] = split.targets[rows, placed.target_columns]
        start = column_of(placed.task.name, "")
        columns = {name: name.removeprefix(start) for name in split.slices.columns if name.startswith(start)}
        frame = split.slices.reset_index(drop=True).loc[rows, list(columns)].rename(columns=columns)
        frames.append(frame.assign(**{TASK: placed.task.name}))
        targets.append(own)
    return pd.concat(frames), np.concatenate(targets)


def spread(values: pd.Series, rows: np.ndarray, count: int) -> pd.Series:
    """Return the values at their places among so many rows; a row that has none has a gap."""
    return values.set_axis(rows).reindex(range(count))


def _are_equal(ours: Inputs, theirs: Inputs) -> bool:
    return all(one is other or np.array_equal(one, other) for one, other in zip(ours, theirs, strict=True))


def _told_apart(inputs: Inputs) -> Iterator[tuple[bytes, int]]:
    """Yield the digest of each row, with the number of rows before it that are the same."""
    seen: Counter[bytes] = Counter()
    for row in row_digests(inputs):
        yield row, seen[row]
        seen[row] += 1


def _mixed(lengths: Sequence[int]) -> tuple[np.ndarray, ...]:
    """Return the places of each member's rows among all, so that any few neighbours have rows of all tasks.

    The order among neighbours is drawn, else an even choice of rows could be of one task alone.
    """
    share = np.concatenate([np.arange(length) / length for length in lengths])
    order = np.lexsort((np.random.default_rng(_SEED).random(len(share)), share))
    place = np.empty(len(order), dtype=np.intp)
    place[order] = np.arange(len(order))
    return tuple(np.split(place, np.cumsum(lengths)[:-1]))


def _laid(arrays: Sequence[np.ndarray], places: Sequence[np.ndarray]) -> np.ndarray:
    together = np.empty((sum(map(len, arrays)), *arrays[0].shape[1:]), dtype=arrays[0].dtype)
    for array, rows in zip(arrays, places, strict=True):
        together[rows] = array
    return together


def described_inputs(split: Split) -> str:
    """Return the types and shapes of a row's inputs in words."""
    return ", ".join(f"{array.dtype} {array.shape[1:]}" for array in split.inputs)
