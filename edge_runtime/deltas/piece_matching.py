"""Matching a graph with its earlier version: places that are shifted because something before them changed its length.

Names and structure stay from version to version, so a gram of bytes that stands once in the base and once more in the
new file says how far they are apart. Between two such anchors the shift stays, also over weights whose bytes differ:
these are then subtracted from those that stood in the same field.
"""

import numpy as np
from numpy.typing import NDArray

from edge_runtime.deltas.delta_format import MOST_PIECES, Pieces
from edge_runtime.deltas.residuals import Octets

_GRAM = 12
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_WINDOW = 1 << 16


def match(base: Octets, data: Octets, first: int) -> Pieces:
    """Return the pieces of `base` that predict `data`, which stands at the place `first` of its file."""
    shifts = _anchors(base, data)
    pieces: list[tuple[int, int]] = []  # where a piece begins in data, and its shift
    at, shift = 0, first
    while len(pieces) < MOST_PIECES // 2:
        pieces.append((at, shift))
        found = _next_shift(base, data, shifts, at, shift)
        if found is None:
            break
        at, shift = found
    return _clipped(pieces, len(data), len(base))


def _grams(data: Octets) -> NDArray[np.uint64]:
    """Return a hash of the bytes from each place on."""
    count = max(0, len(data) - _GRAM + 1)
    found = np.zeros(count, np.uint64)
    for offset in range(_GRAM):
        found = found * _FACTOR + data[offset : offset + count] + np.uint64(1)
    return found


def _anchors(base: Octets, data: Octets) -> NDArray[np.int64]:
    """Return how far the place of each gram is from its place in the base; a huge number where it is not there once."""
    values, places, counts = np.unique(_grams(base), return_index=True, return_counts=True)
    grams = _grams(data)
    none = np.iinfo(np.int64).max
    if not len(values) or not len(grams):
        return np.full(len(grams), none)
    nearest = np.minimum(np.searchsorted(values, grams), len(values) - 1)
    once = (values[nearest] == grams) & (counts[nearest] == 1)
    return np.where(once, places[nearest].astype(np.int64) - np.arange(len(grams)), none)


def _next_shift(base: Octets, data: Octets, shifts: NDArray[np.int64], at: int, shift: int) -> tuple[int, int] | None:
    """Return where the next piece begins and its shift: the first anchor that the present shift does not explain."""
    none = np.iinfo(np.int64).max
    for start in range(at, len(shifts), _WINDOW):
        window = shifts[start : start + _WINDOW]
        for place in (start + np.flatnonzero((window != none) & (window != shift))).tolist():
            if not _agrees(base, data, place, shift):
                new = int(shifts[place])
                while place > at and 0 <= place - 1 + new < len(base) and data[place - 1] == base[place - 1 + new]:
                    place -= 1  # noqa: PLW2901 - the anchor grows towards the start
                return place, new
    return None


def _agrees(base: Octets, data: Octets, place: int, shift: int) -> bool:
    there = base[max(0, place + shift) : place + shift + _GRAM] if place + shift >= 0 else base[:0]
    return np.array_equal(there, data[place : place + _GRAM])


def _clipped(pieces: list[tuple[int, int]], count: int, size: int) -> Pieces:
    """Return the pieces with zeros where a shift leads out of the base."""
    lengths, sources = [], []
    ends = [begin for begin, _ in pieces[1:]] + [count]
    for (begin, shift), end in zip(pieces, ends, strict=True):
        low, high = (min(max(begin, edge), end) for edge in (-shift, size - shift))
        for start, stop, inside in ((begin, low, False), (low, high, True), (max(low, high), end, False)):
            if stop > start:
                lengths.append(stop - start)
                sources.append(start + shift if inside else -1)
    return Pieces(np.array(lengths, np.int64), np.array(sources, np.int64))
