"""Trials: the tests that hold one set against the deployment sample, on all rows, then on each slice."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from quality_gates.representativeness.comparisons import RepresentativenessPolicy, What
from quality_gates.representativeness.two_sample import (
    Sample,
    TwoSample,
    absence,
    compare_figures,
    compare_shares,
    is_categorical,
)

FEWEST_ROWS = 10  # on either side, below which no shift could be shown after the correction


@dataclass(frozen=True)
class Trial:
    """One test before the correction; `test` is None where there are too few rows for it."""

    set: str
    slice: str | None
    what: What
    n: int
    n_deployment: int
    allowed: float
    test: TwoSample | None
    held_out: float | None = None


def trials(
    name: str, ours: Sample, theirs: Sample, held_out: Sample | None, policy: RepresentativenessPolicy
) -> Iterator[Trial]:
    """Every test of one set against the sample, in the order in which they are read."""
    yield from _contents(name, None, ours, theirs, held_out, policy)
    yield from _classes(name, ours, theirs)
    for column in shared_columns(ours, theirs):
        shares = [] if _says_the_label(column, ours, theirs) else [*_shares(name, column, ours, theirs, policy)]
        yield from shares
        yield from _slices(name, column, ours, theirs, held_out, policy, presence=bool(shares))


def shared_columns(ours: Sample, theirs: Sample) -> list[str]:
    """The slice columns that both have, in the set's order."""
    return [str(column) for column in ours.slices.columns if column in theirs.slices.columns]


def _classes(name: str, ours: Sample, theirs: Sample) -> Iterator[Trial]:
    """Classes that one side lacks: a rare one hardly moves the label prior."""
    if ours.targets is None or theirs.targets is None or not is_categorical(ours.targets):
        return
    here, there = Counter(ours.targets.tolist()), Counter(theirs.targets.tolist())
    for label in dict.fromkeys([*here, *there]):
        if not (here[label] and there[label]):
            yield _presence(name, f"class {label}", here[label], there[label], len(ours), len(theirs))


def _slices(
    name: str, column: str, ours: Sample, theirs: Sample, held_out: Sample | None, policy: RepresentativenessPolicy,
    *, presence: bool,
) -> Iterator[Trial]:  # fmt: skip
    there, beside = _by_value(theirs, column), {} if held_out is None else _by_value(held_out, column)
    here = _by_value(ours, column)
    for value in dict.fromkeys([*here, *there]):
        title = f"{column} = {value}"
        if value in here and value in there:
            yield from _contents(name, title, here[value], there[value], beside.get(value), policy)
        elif presence:
            yield _presence(name, title, len(here.get(value, ())), len(there.get(value, ())), len(ours), len(theirs))


def _contents(
    name: str, title: str | None, ours: Sample, theirs: Sample, held_out: Sample | None,
    policy: RepresentativenessPolicy,
) -> Iterator[Trial]:  # fmt: skip
    enough = min(len(ours), len(theirs)) >= FEWEST_ROWS
    kinds: tuple[tuple[What, float], ...] = (
        ("label prior", policy.label_prior), ("predictions", policy.predictions), ("outputs", policy.outputs)
    )  # fmt: skip
    for what, allowed in kinds:
        if what == "label prior" and (ours.targets is None or theirs.targets is None):
            continue
        test = _test(what, ours, theirs) if enough else None
        if enough and test is None:
            continue  # one class alone: nothing to compare
        beside = held_out if held_out is not None and len(held_out) >= FEWEST_ROWS else None
        known = _test(what, beside, theirs) if what == "outputs" and enough and beside is not None else None
        effect = None if known is None else known.effect
        yield Trial(name, title, what, len(ours), len(theirs), allowed, test, effect)


def _test(what: What, ours: Sample, theirs: Sample) -> TwoSample | None:
    if what == "outputs":
        return compare_figures(ours.figures, theirs.figures, ours.names)
    if what == "predictions":
        return _compare_values(ours.predictions, theirs.predictions, "the parent's answer")
    if ours.targets is None or theirs.targets is None:
        return None
    return _compare_values(ours.targets, theirs.targets, "the target")


def _compare_values(ours: np.ndarray, theirs: np.ndarray, name: str) -> TwoSample | None:
    if is_categorical(ours) and is_categorical(theirs):
        return compare_shares(ours, theirs)
    return compare_figures(_columns(ours), _columns(theirs), (name,))


def _shares(name: str, column: str, ours: Sample, theirs: Sample, policy: RepresentativenessPolicy) -> Iterator[Trial]:
    enough = min(len(ours), len(theirs)) >= FEWEST_ROWS
    test = compare_shares(*(_values(sample, column) for sample in (ours, theirs))) if enough else None
    if test is not None or not enough:
        yield Trial(name, column, "slice shares", len(ours), len(theirs), policy.slice_shares, test)


def _presence(name: str, title: str, here: int, there: int, rows: int, rows_there: int) -> Trial:
    """A slice that one side lacks; that it does so by chance is the smaller the more the other side has."""
    if here:
        test = TwoSample(0, absence(rows_there, here, rows), here / rows, f"{here:,} of {rows:,} rows here, none there")
    else:
        moved = f"none of {rows:,} rows here, {there:,} of {rows_there:,} there"
        test = TwoSample(0, absence(rows, there, rows_there), there / rows_there, moved)
    return Trial(name, title, "presence", here, there, 0.0, test)


def _by_value(sample: Sample, column: str) -> dict[object, Sample]:
    if column not in sample.slices.columns:
        return {}
    return {_key(value): sample.where(mask) for value, mask in sample.in_slices(column)}


def _says_the_label(column: str, ours: Sample, theirs: Sample) -> bool:
    """Return True for a column that is the label under another name: its shares are the label prior."""
    if ours.targets is None or theirs.targets is None or not is_categorical(ours.targets):
        return False
    columns = [np.concatenate(pair) for pair in zip(_pair(ours, column), _pair(theirs, column), strict=True)]
    pairs = pd.DataFrame(dict(enumerate(columns))).drop_duplicates()
    return all(bool(pairs[side].is_unique) for side in pairs)


def _pair(sample: Sample, column: str) -> tuple[np.ndarray, np.ndarray]:
    return _values(sample, column), np.asarray(sample.targets).astype(object)


def _values(sample: Sample, column: str) -> np.ndarray:
    return np.array([_key(value) for value in sample.slices[column]], dtype=object)


def _key(value: object) -> object:
    return "none" if pd.isna(value) else value  # type: ignore[call-overload]


def _columns(values: np.ndarray) -> np.ndarray:
    return values.astype(float).reshape(len(values), -1)
