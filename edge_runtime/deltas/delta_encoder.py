"""Making a delta at the publisher: several predictions and residuals are tried for each chunk, the smallest is kept."""

from pathlib import Path

import numpy as np

from edge_runtime.deltas.delta_format import (
    CHUNK,
    CHUNK_HEAD,
    HEADER,
    MAGIC,
    VERSION,
    Pieces,
    Prediction,
    encode_plane,
)
from edge_runtime.deltas.piece_matching import match
from edge_runtime.deltas.residuals import Octets, ResidualKind, to_planes

_ALONE = (ResidualKind.BYTES, ResidualKind.HALVES, ResidualKind.WORDS)
_NEAR = 1.1
_FITS = 0.75  # of the bytes without a base: then the base has the same structure, and no places are looked for
_MATCHED = 1 << 22  # bytes of a base in which places are looked for


def encode_delta(base: Path | None, new: Path) -> bytes | None:
    """Return a delta that makes `new` from `base`, or from nothing; None where the file as it is costs no more.

    With a base, None also where the compressed file, which is encode_delta(None, new), costs no more.
    """
    data = np.fromfile(new, np.uint8)
    known = None if base is None else np.fromfile(base, np.uint8)
    chunks = [_smallest(known, data, first) for first in range(0, len(data), CHUNK)]
    delta = HEADER.pack(MAGIC, VERSION, len(data)) + b"".join(made for made, _ in chunks)
    whole = min(len(data), HEADER.size + sum(alone for _, alone in chunks)) if known is not None else len(data)
    return delta if len(delta) < whole else None


def _smallest(base: Octets | None, data: Octets, first: int) -> tuple[bytes, int]:
    """Return the smallest record of a chunk, and the length of the smallest one that needs no base."""
    chunk = data[first : first + CHUNK]
    alone = [_Candidate(Prediction.NOTHING, kind, chunk, None) for kind in _ALONE]
    made = [each.encode() for each in _promising(alone)]
    if base is not None and len(base):
        aligned = [
            _Candidate(Prediction.ALIGNED, kind, chunk, _aligned(base, first, len(chunk))) for kind in ResidualKind
        ]
        others = [each.encode() for each in _promising(aligned)]
        fits = len(base) == len(data) and min(map(len, others)) < _FITS * min(map(len, made))
        if not fits and len(base) <= _MATCHED:
            pieces = match(base, chunk, first)
            head = pieces.encode(first)
            others.append(
                _Candidate(Prediction.MATCHED, ResidualKind.BYTES, chunk, _joined(base, pieces), head).encode()
            )
    else:
        others = []
    return min(made + others, key=len), min(map(len, made))


class _Candidate:
    """A way to write a chunk: `least` is the bytes that it needs where the values of a plane are independent."""

    def __init__(
        self, prediction: Prediction, residual: ResidualKind, data: Octets, predicted: Octets | None, head: bytes = b""
    ) -> None:
        self._head = CHUNK_HEAD.pack(prediction, residual) + head
        self._planes = to_planes(residual, data, predicted)
        self.least = sum(map(_entropy, self._planes))

    def encode(self) -> bytes:
        return self._head + b"".join(map(encode_plane, self._planes))


def _promising(candidates: list[_Candidate]) -> list[_Candidate]:
    """Return the two that need the fewest bytes, or one where it needs far fewer; the others are not tried."""
    first, second, *_ = sorted(candidates, key=lambda each: each.least)
    return [first, second] if second.least < _NEAR * first.least else [first]


def _aligned(base: Octets, first: int, count: int) -> Octets:
    found = np.zeros(count, np.uint8)
    there = base[first : first + count]
    found[: len(there)] = there
    return found


def _joined(base: Octets, pieces: Pieces) -> Octets:
    parts = [
        base[source : source + length] if source >= 0 else np.zeros(length, np.uint8)
        for length, source in zip(pieces.lengths.tolist(), pieces.sources.tolist(), strict=True)
    ]
    return np.concatenate(parts)


def _entropy(plane: Octets) -> float:
    """Return the bytes that a plane needs at least where its values come independently."""
    counts = np.bincount(plane, minlength=256)
    counts = counts[counts > 0]
    return float(-(counts * np.log2(counts / max(1, len(plane)))).sum() / 8)
