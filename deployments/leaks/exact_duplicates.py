"""Rows with the same inputs in two splits, found by a digest of each row's content."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

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
EXAMPLES = 3
_AT_ONCE = 4096  # rows whose bytes are copied at a time


@dataclass(frozen=True)
class SharedRows:
    """Rows of the split `judging` whose inputs are rows of the split `making` too: how many, of how many.

    `examples` are row numbers of both, from 0: (row of judging, row of making).
    """

    making: SplitName
    judging: SplitName
    rows: int
    of: int
    examples: tuple[tuple[int, int], ...]

    @property
    def is_leak(self) -> bool:
        """True where the one split judges what the other made or chose."""
        return (self.making, self.judging) in LEAKS

    def __str__(self) -> str:
        """Write the finding in words, with examples."""
        shown = ", ".join(f"{self.judging} row {one} is {self.making} row {other}" for one, other in self.examples)
        return f"{self.rows:,} of {self.of:,} {self.judging} rows in {self.making} ({shown})"


def shared_rows(splits: Mapping[SplitName, Split]) -> tuple[SharedRows, ...]:
    """Return for each two splits the rows that both have, where there are any, in the order of the splits.

    A row is its inputs, all of them together: the targets do not count. NaN is equal to NaN, and -0.0 to 0.0.
    """
    places = {name: _places(splits[name].inputs) for name in SPLITS if name in splits}
    found = (_shared(places, making, judging, len(splits[judging])) for making, judging in combinations(places, 2))
    return tuple(each for each in found if each.rows)


def check_shared_rows(found: Sequence[SharedRows], splits: Mapping[SplitName, Split], why: str | None) -> None:
    """Check that no split judges by rows that another one was made with, unless the workload says `why` it does.

    Raises:
        ConfigurationError: there are such rows and no reason, or all splits are the same rows.
    """
    leaks = [each for each in found if each.is_leak]
    if len(leaks) == len(LEAKS) and _are_all_the_same(found, splits):
        raise ConfigurationError(
            f"expected splits of different rows, got the same {len(splits['test']):,} rows as "
            f"{', '.join(splits)}; divide the rows in Workload.split, no reason makes such a test show anything"
        )
    if leaks and why is None:
        raise ConfigurationError(
            f"expected no row in two splits of which one judges the other, got {'; '.join(map(str, leaks))}; drop them "
            "in Workload.split (deployments.leaks.rows_not_in finds them), or say why in the workload's `shared_rows`"
        )


def rows_not_in(inputs: Sequence[np.ndarray], *others: Sequence[np.ndarray]) -> npt.NDArray[np.bool_]:
    """Return a mask of the rows (rows,) whose inputs are no row of `others`; each is a sequence of a split's inputs."""
    taken = {digest for other in others for digest in row_digests(other)}
    return np.fromiter((digest not in taken for digest in row_digests(inputs)), dtype=bool)


def row_digests(inputs: Sequence[np.ndarray]) -> Iterator[bytes]:
    """Yield a digest of each row's inputs (rows, ...), all of them together; the same for equal values of a type."""
    head = "|".join(f"{array.dtype.newbyteorder('=')}{array.shape[1:]}" for array in inputs).encode()
    for start in range(0, len(inputs[0]), _AT_ONCE):
        parts = [_plain_bytes(array[start : start + _AT_ONCE]) for array in inputs]
        for row in zip(*parts, strict=True):
            yield hashlib.blake2b(b"".join((head, *(each.data for each in row))), digest_size=16).digest()


def _plain_bytes(rows: np.ndarray) -> npt.NDArray[np.uint8]:
    """Return the bytes of each row (rows, bytes) in this machine's order, one zero and one NaN for all of them."""
    plain = np.ascontiguousarray(rows, dtype=rows.dtype.newbyteorder("="))
    if plain.dtype.kind == "f":
        plain = np.where(np.isnan(plain), np.array(np.nan, plain.dtype), plain + np.array(0, plain.dtype))
    return np.ascontiguousarray(plain).reshape(len(rows), -1).view(np.uint8)


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
    return SharedRows(making, judging, len(both), of, tuple(both[:EXAMPLES]))


def _are_all_the_same(found: Sequence[SharedRows], splits: Mapping[SplitName, Split]) -> bool:
    whole = {(each.making, each.judging) for each in found if each.rows == each.of}
    alike = len({len(split) for split in splits.values()}) == 1
    return alike and set(combinations(SPLITS, 2)) <= whole
