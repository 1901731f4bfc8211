"""Making a delta at the publisher: several predictions and residuals are tried for each chunk, the smallest is kept."""

from collections.abc import Iterator
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
from edge_runtime.deltas.residuals import Octets, Residual, to_planes

_NEAR = 1.1  # what is estimated to be so much larger than the best is not tried
_MATCHED = 1 << 22  # bytes of a base in which places are looked for


def encode_delta(base: Path | None, new: Path) -> bytes | None:
    """Return a delta that makes `new` from `base`, or from nothing; None where the file as it is costs no more.

    With a base, None also where the compressed file, which is encode_delta(None, new), costs no more.
    """
    data = np.fromfile(new, np.uint8)
    known = None if base is None else np.fromfile(base, np.uint8)
    chunks = [_smallest(known, data[first : first + CHUNK], first) for first in range(0, len(data), CHUNK)]
    delta = HEADER.pack(MAGIC, VERSION, len(data)) + b"".join(made for made, _ in chunks)
    whole = min(len(data), HEADER.size + sum(alone for _, alone in chunks)) if known is not None else len(data)
    return delta if len(delta) < whole else None


def _smallest(base: Octets | None, data: Octets, first: int) -> tuple[bytes, int]:
    """Return the smallest record of a chunk, and the length of the smallest one that needs no base."""
    tried = list(_candidates(base, data, first))
    estimates = [sum(map(_entropy, planes)) for *_, planes in tried]
    least = min(estimates)
    records = []
    for (prediction, residual, head, planes), estimate in zip(tried, estimates, strict=True):
        plain = prediction is Prediction.NOTHING and residual is Residual.BYTES
        if plain or prediction is Prediction.MATCHED or estimate <= _NEAR * least + 64:
            made = CHUNK_HEAD.pack(prediction, residual) + head + b"".join(map(encode_plane, planes))
            records.append((made, prediction))
    alone = min(len(made) for made, prediction in records if prediction is Prediction.NOTHING)
    return min((made for made, _ in records), key=len), alone


def _candidates(
    base: Octets | None, data: Octets, first: int
) -> Iterator[tuple[Prediction, Residual, bytes, list[Octets]]]:
    for residual in (Residual.BYTES, Residual.HALVES, Residual.WORDS):
        yield Prediction.NOTHING, residual, b"", to_planes(residual, data, None)
    if base is None or not len(base):
        return
    aligned = np.zeros(len(data), np.uint8)
    there = base[first : first + len(data)]
    aligned[: len(there)] = there
    for residual in Residual:
        yield Prediction.ALIGNED, residual, b"", to_planes(residual, data, aligned)
    if len(base) <= _MATCHED:
        pieces = match(base, data, first)
        if len(pieces.lengths) > 1:
            planes = to_planes(Residual.BYTES, data, _joined(base, pieces))
            yield Prediction.MATCHED, Residual.BYTES, pieces.encode(first), planes


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
