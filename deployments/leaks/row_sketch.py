"""Sketches of rows: a few digests that tell whether two splits have the same rows, and how large a share they share."""

import hashlib
import heapq
from collections.abc import Iterator
from dataclasses import dataclass

from deployments.leaks.exact_duplicates import row_digests
from deployments.rows import Split, word_of

SKETCHED = 256
"""The digests that a sketch holds at most, which fit into one tag of MLflow. A share of one half is estimated with a
standard error of 3 points; one of all rows or of none, and every share of splits with fewer rows, is exact."""
_DIGITS = 12  # hexadecimal digits of a row's digest: two different rows of a million are seldom alike


@dataclass(frozen=True)
class RowSketch:
    """The rows of a split, whatever their order: a digest of all that they hold, and the smallest digests of inputs.

    `smallest` are sorted digests of different rows. As digests are as good as random, they are a random sample of the
    rows, in which two splits have the same rows where both have them at all (bottom-k sketch: Broder AZ. On the
    resemblance and containment of documents. 1997).
    """

    digest: str
    smallest: tuple[str, ...]

    def share_in(self, other: "RowSketch") -> float:
        """Return the share of these rows whose inputs are rows of `other` too."""
        if self.digest == other.digest:
            return 1.0
        full = [each.smallest[-1] for each in (self, other) if len(each.smallest) >= SKETCHED]
        known = [row for row in self.smallest if not full or row <= min(full)]  # beyond it a sketch is silent
        return len(set(known) & set(other.smallest)) / len(known) if known else 0.0

    @property
    def text(self) -> str:
        """The smallest digests as one text."""
        return "".join(self.smallest)

    @classmethod
    def read(cls, digest: str, text: str) -> "RowSketch":
        """Read a sketch from its digest and its text. Raises ValueError for another text."""
        smallest = tuple(text[start : start + _DIGITS] for start in range(0, len(text), _DIGITS))
        if not text or len(text) % _DIGITS or set(text) - set("0123456789abcdef") or list(smallest) != sorted(smallest):
            raise ValueError(text)
        return cls(digest, smallest)


def sketch_of(split: Split) -> RowSketch:
    """Return the sketch of a split: the same for rows in another order, and for text columns of another dtype."""
    rows = list(row_digests(split.inputs))
    told = zip(rows, row_digests((split.targets,)), _words(split), strict=True)
    whole = sorted(hashlib.sha256(b"".join(parts)).digest() for parts in told)
    smallest = heapq.nsmallest(SKETCHED, {row.hex()[:_DIGITS] for row in rows})
    columns = "\0".join(sorted(map(str, split.slices.columns)))
    return RowSketch(hashlib.sha256(b"".join([columns.encode(), *whole])).hexdigest(), tuple(smallest))


def _words(split: Split) -> Iterator[bytes]:
    """Yield what the slice columns say of each row, the columns in the order of their names."""
    columns = [split.slices[name].tolist() for name in sorted(split.slices.columns)]
    for row in range(len(split)):
        yield "\0".join(word_of(column[row]) for column in columns).encode()
