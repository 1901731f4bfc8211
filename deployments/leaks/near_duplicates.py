"""Rows that are nearly the same in two splits: pictures by a perceptual hash, texts by the words that they share.

Both hashes are looked up in bands, so that the cost is linear in rows. Source of the perceptual hash: Krawetz N. Kind
of like that. Hacker Factor 2013 (the difference hash); of the other: Broder AZ. On the resemblance and containment of
documents. Compression and Complexity of Sequences 1997; of the bands: Indyk P, Motwani R. Approximate nearest
neighbors: towards removing the curse of dimensionality. STOC 1998.
"""

import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from deployments.leaks.exact_duplicates import EXAMPLES, LEAKS, row_digests
from deployments.rows import Split, SplitName

Floats: TypeAlias = npt.NDArray[np.float32]
Codes: TypeAlias = npt.NDArray[np.uint32]
Bits: TypeAlias = npt.NDArray[np.uint8]
Places: TypeAlias = npt.NDArray[np.intp]
Texts: TypeAlias = Callable[[Split, int], str | None]
GRID = 8  # squares of a picture's hash, on a side
FINE = 16  # squares of the picture that a pair is confirmed on, on a side
FLAT = 0.05  # of a picture's spread, below which two neighbouring squares are equally bright
WORDS = 3  # of a shingle
BANDS = {"picture": 8, "text": 16}
PLACES = 2 * GRID * (GRID - 1) + GRID * GRID
"""Bits of a picture's hash: neighbours across and down, and each square beside the mean."""
ALIKE = {"picture": 1 - 10 / PLACES, "text": 0.8}
"""The share of the hash that must be the same: all but 10 of 176 bits of a picture, 4 of 5 shingles of a text."""
LEAST_CONTRAST = 0.01  # of the brightest square: a picture with less shows nothing
CORRELATED = 0.99
"""The smallest correlation of two pictures of 16x16 gray squares that counts as nearly the same."""
SIGNATURE = 64
FEWEST_WORDS = 8
MOST_IN_A_BAND = 50  # rows that one is compared with, so that the cost stays linear
_AT_ONCE = 2048
_SEED = 20_130_121
_PRIME = (1 << 31) - 1


@dataclass(frozen=True)
class NearRows:
    """Rows of the split `judging` that nearly are rows of the split `making`, without those that are exactly such.

    `examples` are row numbers of both, from 0: (row of judging, row of making).
    """

    kind: Literal["picture", "text"]
    making: SplitName
    judging: SplitName
    rows: int
    of: int
    examples: tuple[tuple[int, int], ...]

    def __str__(self) -> str:
        """Write the finding in words, with examples."""
        shown = ", ".join(f"{self.judging} row {one} and {self.making} row {other}" for one, other in self.examples)
        by = "a perceptual hash of the pictures" if self.kind == "picture" else "the words that texts share"
        return f"{self.rows:,} of {self.of:,} {self.judging} rows nearly are rows of {self.making} by {by} ({shown})"


@dataclass(frozen=True)
class _Hashed:
    """Rows by their hash: `codes` (rows, places), `bands` (rows, bands) to look up, and pictures to confirm with."""

    codes: Codes | Bits
    bands: Codes
    usable: npt.NDArray[np.bool_]
    pictures: Floats | None = None


def near_rows(splits: Mapping[SplitName, Split], text: Texts | None) -> Iterator[NearRows]:
    """Yield for each two splits of which one judges the other the rows that are nearly the same, if any.

    Pictures are rows whose first input is (1 or 3 channels, height, width) of 8x8 or more; texts are rows of tokens for
    which `text` gives one. Rows of another kind have no hash, and nothing is said of them.
    """
    kind = _kind_of(splits["test"], text)
    if kind is None:
        return
    hashed = {name: _hashed(kind, split, text) for name, split in splits.items()}
    digests = {name: list(row_digests(split.inputs)) for name, split in splits.items()}
    for making, judging in sorted(LEAKS, key=lambda pair: (list(splits).index(pair[1]), list(splits).index(pair[0]))):
        known = set(digests[making])
        new = np.array([digest not in known for digest in digests[judging]], dtype=bool)
        both = _pairs(kind, hashed[judging], hashed[making], new)
        if both:
            yield NearRows(kind, making, judging, len(both), len(new), tuple(both[:EXAMPLES]))


def _kind_of(split: Split, text: Texts | None) -> Literal["picture", "text"] | None:
    first = split.inputs[0]
    if first.ndim == 4 and first.shape[1] in (1, 3) and min(first.shape[2:]) >= GRID:
        return "picture"
    if text is not None and first.ndim == 2 and first.dtype.kind in "iu" and text(split, 0) is not None:
        return "text"
    return None


def _hashed(kind: Literal["picture", "text"], split: Split, text: Texts | None) -> _Hashed:
    if kind == "picture" or text is None:
        return _hashed_pictures(split.inputs[0])
    return _hashed_texts([text(split, row) or "" for row in range(len(split))])


def _hashed_pictures(images: np.ndarray) -> _Hashed:
    """Hash pictures some at a time, into arrays that are made once: there may be as many as a disk holds."""
    squares = min(FINE, images.shape[2]) * min(FINE, images.shape[3])
    bits, bands = np.empty((len(images), PLACES), np.uint8), np.empty((len(images), BANDS["picture"]), np.uint32)
    fine, contrast = np.empty((len(images), squares), np.float32), np.empty(len(images), np.float32)
    columns = np.array_split(np.random.default_rng(_SEED).permutation(PLACES), BANDS["picture"])
    weights = [1 << np.arange(len(each), dtype=np.uint32) for each in columns]
    for start in range(0, len(images), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        bits[part], fine[part], contrast[part] = _bits(images[part])
        for band, (each, weight) in enumerate(zip(columns, weights, strict=True)):
            bands[part, band] = bits[part, each] @ weight
    return _Hashed(bits, bands, contrast > LEAST_CONTRAST, fine)


def _bits(images: np.ndarray) -> tuple[Bits, Floats, Floats]:
    """Return the hash of pictures, (rows, 176) of 0 and 1, the pictures as fine gray squares, and their contrast."""
    gray = images.astype(np.float32).mean(axis=1)
    coarse, fine = _squares(gray, GRID), _squares(gray, FINE).reshape(len(gray), -1)
    spread = coarse.std(axis=(1, 2), keepdims=True)
    centered = fine - fine.mean(axis=1, keepdims=True)
    told = [
        np.diff(coarse, axis=2) > FLAT * spread,
        np.diff(coarse, axis=1) > FLAT * spread,
        coarse > coarse.mean(axis=(1, 2), keepdims=True),
    ]
    bits = np.concatenate([each.reshape(len(gray), -1) for each in told], axis=1)
    length = np.sqrt((centered**2).sum(axis=1, keepdims=True))
    contrast = spread.ravel() / np.maximum(abs(coarse).max(axis=(1, 2)), 1e-12)
    return bits.astype(np.uint8), centered / np.maximum(length, 1e-12), contrast


def _squares(gray: Floats, side: int) -> Floats:
    """Return the mean of gray pictures (rows, height, width) in a grid of squares, no more than they have pixels."""
    down, across = (_areas(size, min(side, size)) for size in gray.shape[1:])
    squares: Floats = np.matmul(np.matmul(down, gray), across.T)
    return squares


def _areas(size: int, squares: int) -> Floats:
    """Return weights (squares, size) by which a line of pixels is averaged over squares of equal length."""
    edges = np.linspace(0, size, squares + 1)
    pixel = np.arange(size)
    overlap = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    weights: Floats = (np.clip(overlap, 0, 1) * squares / size).astype(np.float32)
    return weights


def _hashed_texts(texts: Sequence[str]) -> _Hashed:
    generator = np.random.default_rng(_SEED)
    factor, shift = generator.integers(1, _PRIME, (2, SIGNATURE, 1), dtype=np.uint64)
    words = [re.findall(r"\w+", text.lower()) for text in texts]
    signatures = np.array([_signature(each, factor, shift) for each in words], dtype=np.uint32)
    grouped = signatures.reshape(len(texts), BANDS["text"], -1)
    bands = np.zeros(grouped.shape[:2], dtype=np.uint32)
    for column in np.moveaxis(grouped, 2, 0):
        bands = bands * np.uint32(1_000_003) ^ column  # wraps round
    return _Hashed(signatures, bands, np.array([len(each) >= FEWEST_WORDS for each in words], dtype=bool))


def _signature(words: Sequence[str], factor: npt.NDArray[np.uint64], shift: npt.NDArray[np.uint64]) -> Codes:
    shingles = {" ".join(words[start : start + WORDS]) for start in range(max(len(words) - WORDS + 1, 1))}
    hashed = np.array([zlib.crc32(shingle.encode()) % _PRIME for shingle in shingles], dtype=np.uint64)
    smallest: Codes = ((factor * hashed + shift) % np.uint64(_PRIME)).min(axis=1).astype(np.uint32)
    return smallest


def _pairs(
    kind: Literal["picture", "text"], judging: _Hashed, making: _Hashed, asked: npt.NDArray[np.bool_]
) -> list[tuple[int, int]]:
    """Return (row, the nearest row found) for the rows that are nearly the same."""
    best, place = np.full(len(judging.codes), ALIKE[kind]), np.full(len(judging.codes), -1)
    for rows, others in _candidates(judging, making, asked):
        alike = (judging.codes[rows] == making.codes[others]).mean(axis=1)
        near = (alike >= best[rows]) & _confirmed(judging, making, rows, others)
        best[rows[near]], place[rows[near]] = alike[near], others[near]
    return [(int(row), int(place[row])) for row in np.flatnonzero(place >= 0)]


def _candidates(judging: _Hashed, making: _Hashed, asked: npt.NDArray[np.bool_]) -> Iterator[tuple[Places, Places]]:
    """Yield pairs of rows that have a band in common, at most 50 for each row and band."""
    known = np.flatnonzero(making.usable)
    asked_rows = np.flatnonzero(asked & judging.usable)
    for ours, theirs in zip(judging.bands.T, making.bands.T, strict=True):
        order = known[np.argsort(theirs[known], kind="stable")]
        first, last = (np.searchsorted(theirs[order], ours[asked_rows], side) for side in ("left", "right"))
        for step in range(min(MOST_IN_A_BAND, int((last - first).max(initial=0)))):
            here = first + step < last
            yield asked_rows[here], order[first[here] + step]


def _confirmed(judging: _Hashed, making: _Hashed, rows: Places, others: Places) -> npt.NDArray[np.bool_]:
    if judging.pictures is None or making.pictures is None:
        return np.ones(len(rows), dtype=bool)
    correlation = np.einsum("ij,ij->i", judging.pictures[rows], making.pictures[others])
    confirmed: npt.NDArray[np.bool_] = correlation >= CORRELATED
    return confirmed
