"""Rows with the same inputs in two splits, found by a digest of each row's content."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from deployments.errors import ConfigurationError
from deployments.rows import SPLITS, Split, SplitName

LEAKS: frozenset[tuple[SplitName, SplitName]] = frozenset(
    {("train", "test"), ("calibration", "test"), ("validation", "test"), ("train", "validation")}
)
"""Splits that may share no row: the second one judges what the first one made or chose."""
MADE_OF: tuple[SplitName, SplitName] = ("train", "calibration")
"""Splits that usually share rows: ranges are taken on rows that the model was trained on."""
NEARLY_ALL = 0.9
"""The share of test rows from which on no reason makes them a test, where they are rows of another split."""
EXAMPLES = 3
_SHOWN = 2  # pairs of splits in an error
_AT_ONCE = 1 << 20  # values that are copied at a time


@dataclass(frozen=True)
class SharedRows:
    """Rows of the split `judging` whose inputs are rows of the split `making` too: how many, of how many.

    `examples` are row numbers of both, from 0: (row of judging, row of making). `same` is set where the two splits have
    the same rows, however often each.
    """

    making: SplitName
    judging: SplitName
    rows: int
    of: int
    examples: tuple[tuple[int, int], ...]
    same: bool = False

    @property
    def is_leak(self) -> bool:
        """True where the one split judges what the other made or chose."""
        return (self.making, self.judging) in LEAKS

    @property
    def judges_nothing(self) -> bool:
        """True where no reason makes the one split a judge: it is the other, or a test of nearly nothing else."""
        mostly = self.judging == "test" and self.rows >= NEARLY_ALL * self.of
        return self.is_leak and (self.same or mostly)

    def __str__(self) -> str:
        """Write the finding in words, with examples."""
        shown = ", ".join(f"{self.judging} row {one} is {self.making} row {other}" for one, other in self.examples)
        return f"{self.rows:,} of {self.of:,} {self.judging} rows in {self.making} ({shown})"


def shared_rows(splits: Mapping[SplitName, Split]) -> tuple[SharedRows, ...]:
    """Return for each two splits the rows that both have, where there are any, in the order of the splits.

    A row is the values of its inputs, all of them together: neither the targets nor the types of numbers count. NaN is
    equal to NaN, and -0.0 to 0.0.
    """
    places = {name: _places(splits[name].inputs) for name in SPLITS if name in splits}
    found = (_shared(places, making, judging, len(splits[judging])) for making, judging in combinations(places, 2))
    return tuple(each for each in found if each.rows)


def check_shared_rows(found: Sequence[SharedRows], why: str | None) -> None:
    """Check that no split judges by rows that another one was made with, unless the workload says `why` it does.

    Raises:
        ConfigurationError: there are such rows and no reason, or so many that no reason counts.
    """
    leaks = [each for each in found if each.is_leak]
    nothing = [each for each in leaks if each.judges_nothing]
    if nothing:
        raise ConfigurationError(
            f"expected splits of different rows, got {listed(nothing)}; divide the rows in Workload.split, no reason "
            "makes such a split show anything"
        )
    if leaks and why is None:
        raise ConfigurationError(
            f"expected no row in two splits of which one judges the other, got {listed(leaks)}; drop them "
            "in Workload.split (deployments.leaks.rows_not_in finds them), or say why in the workload's `shared_rows`"
        )


def listed(found: Sequence[object]) -> str:
    """Write findings of which each is about two splits: a few of them, and how many more there are."""
    more = len(found) - _SHOWN
    further = f"; and so in {more} further pair{'s' if more > 1 else ''} of splits" if more > 0 else ""
    return "; ".join(map(str, found[:_SHOWN])) + further


def rows_not_in(inputs: Sequence[np.ndarray], *others: Sequence[np.ndarray]) -> npt.NDArray[np.bool_]:
    """Return a mask of the rows (rows,) whose inputs are no row of `others`; each is a sequence of a split's inputs."""
    taken = {digest for other in others for digest in row_digests(other)}
    return np.fromiter((digest not in taken for digest in row_digests(inputs)), dtype=bool)


def row_digests(inputs: Sequence[np.ndarray]) -> Iterator[bytes]:
    """Yield a digest of each row's inputs (rows, ...), all of them together; the same for equal values of any type."""
    head = "|".join(str(array.shape[1:]) for array in inputs).encode()
    values = max(sum(array[:1].size for array in inputs), 1)
    at_once = max(_AT_ONCE // values, 1)
    for start in range(0, len(inputs[0]), at_once):
        parts = [_values_of(array[start : start + at_once]) for array in inputs]
        for row in zip(*parts, strict=True):
            yield hashlib.blake2b(b"".join((head, *row)), digest_size=16).digest()


def _values_of(rows: np.ndarray) -> list[bytes]:
    """Return the values of each row as bytes of the narrowest kind of float that holds them all, else as they are."""
    flat = rows.reshape(len(rows), -1)
    found, left = [b""] * len(flat), np.arange(len(flat))
    for kind in (np.float32, np.float64):
        values, exact = _held_by(kind, flat[left])
        for place, row in zip(left[exact], values[exact], strict=True):
            found[place] = row.tobytes()
        left = left[~exact]
    for place in left:  # whole numbers beyond 2**53
        found[place] = b"whole" + flat[place].astype(flat.dtype.newbyteorder("<")).tobytes()
    return found


def _held_by(kind: type[np.floating[Any]], rows: np.ndarray) -> tuple[np.ndarray, npt.NDArray[np.bool_]]:
    """Return rows as floats of a kind, with one zero and one NaN, and a mask of the rows whose values that keeps."""
    with np.errstate(over="ignore", invalid="ignore"):
        values = rows.astype(np.dtype(kind).newbyteorder("<"))
        if np.can_cast(rows.dtype, kind):
            exact = np.ones(len(rows), dtype=bool)
        else:
            exact = np.asarray(((values.astype(rows.dtype) == rows) | np.isnan(values)).all(axis=1), dtype=bool)
    values += kind(0)  # makes 0 of -0.0
    values[np.isnan(values)] = np.nan
    return values, exact


def _places(inputs: Sequence[np.ndarray]) -> dict[bytes, list[int]]:
    places: dict[bytes, list[int]] = {}
    for row, digest in enumerate(row_digests(inputs)):
        places.setdefault(digest, []).append(row)
    return places


def _shared(
    places: Mapping[SplitName, Mapping[bytes, list[int]]], making: SplitName, judging: SplitName, of: int
) -> SharedRows:
    ours, theirs = places[judging], places[making]
    both = sorted((row, theirs[digest][0]) for digest, rows in ours.items() if digest in theirs for row in rows)
    return SharedRows(making, judging, len(both), of, tuple(both[:EXAMPLES]), ours.keys() == theirs.keys())
