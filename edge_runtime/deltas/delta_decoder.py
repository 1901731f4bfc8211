"""Applying a delta on the device: chunk after chunk, with bounded memory, into a file that must have the right digest.

A delta comes from a server that nobody trusts. It cannot make more bytes than the manifest promises, needs memory for a
few chunks only, and a result with another digest is removed.
"""

import hashlib
import io
import os
from pathlib import Path
from typing import BinaryIO

import numpy as np

from edge_runtime.deltas.delta_format import (
    CHUNK,
    CHUNK_HEAD,
    HEADER,
    MAGIC,
    PIECES_HEAD,
    PLANE_HEAD,
    VERSION,
    Pieces,
    Prediction,
    decode_plane,
)
from edge_runtime.deltas.residuals import Octets, ResidualKind, from_planes, plane_lengths
from edge_runtime.errors import DeltaError
from edge_runtime.files import open_regular

_MOST_CODE = 4 * CHUNK  # a plane that is larger than what it makes is no delta of ours


def apply_delta(base: Path | None, delta: bytes | Path, target: Path, *, sha256: str, size: int) -> None:
    """Write to `target` the file of this size and sha256 that a delta makes from `base`; it is synced, not renamed.

    `base` is None for a delta that needs none. `target` is overwritten. Raises DeltaError for a delta that makes
    another file, and for a base that cannot be read, and OSError where the own disk fails; `target` is then removed.
    """
    source = io.BytesIO(delta) if isinstance(delta, bytes) else delta.open("rb")
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with source, os.fdopen(descriptor, "wb") as file, _Base(base) as known:
            found = _decode(source, known, file, size)
            if found != sha256:
                raise DeltaError(f"Expected a delta that makes the sha256 {sha256}, got one that makes {found}.")
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        target.unlink(missing_ok=True)
        raise


class _Base:
    """The base, read by pieces: mapping it would kill the process where the file gets shorter."""

    def __init__(self, path: Path | None) -> None:
        try:
            self._file: io.BufferedIOBase = io.BytesIO() if path is None else open_regular(path)
        except OSError as error:
            raise DeltaError(f"Expected the base {path} of a delta, got {error.strerror}.") from error
        self._size = self._file.seek(0, io.SEEK_END)

    def __enter__(self) -> "_Base":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def aligned(self, first: int, count: int) -> Octets:
        """Return the bytes at a place, zeros behind the end."""
        found = np.zeros(count, np.uint8)
        there = max(0, min(count, self._size - first))
        self._read_into(first, found[:there])
        return found

    def matched(self, pieces: Pieces, count: int) -> Octets:
        """Return the bytes of pieces. Raises DeltaError for pieces that are not in the base, or not `count` bytes."""
        ends = pieces.sources + pieces.lengths
        if int(pieces.lengths.sum()) != count or (ends[pieces.sources >= 0] > self._size).any():
            raise DeltaError("Expected pieces that are in the base and as long as the chunk, got others.")
        if (pieces.sources < -1).any():
            raise DeltaError("Expected pieces within the base, got others.")
        found, at = np.zeros(count, np.uint8), 0
        for length, source in zip(pieces.lengths.tolist(), pieces.sources.tolist(), strict=True):
            if source >= 0:
                self._read_into(source, found[at : at + length])
            at += length
        return found

    def _read_into(self, first: int, place: Octets) -> None:
        try:
            self._file.seek(first)
            if self._file.readinto(place.data) != len(place):
                raise DeltaError("The base became shorter while a delta was applied.")
        except OSError as error:
            raise DeltaError(f"The base of a delta cannot be read ({error.strerror}).") from error


def _decode(source: BinaryIO, base: _Base, file: BinaryIO, size: int) -> str:
    """Write what the delta makes, and return its sha256."""
    magic, version, promised = HEADER.unpack(_take(source, HEADER.size))
    if magic != MAGIC or version != VERSION:
        raise DeltaError(f"Expected a delta of version {VERSION}, got {magic!r} and {version}; update the runtime.")
    if promised != size:
        raise DeltaError(f"Expected a delta that makes {size} bytes, got one for {promised}.")
    digest = hashlib.sha256()
    for first in range(0, size, CHUNK):
        made = _chunk(source, base, first, min(CHUNK, size - first))
        digest.update(made)
        file.write(made)
    if source.read(1):
        raise DeltaError("Expected the end of a delta, got more bytes.")
    return digest.hexdigest()


def _chunk(source: BinaryIO, base: _Base, first: int, count: int) -> memoryview:
    kind_of_prediction, kind_of_residual = CHUNK_HEAD.unpack(_take(source, CHUNK_HEAD.size))
    try:
        prediction_kind, residual = Prediction(kind_of_prediction), ResidualKind(kind_of_residual)
    except ValueError as error:
        raise DeltaError(f"Expected a known kind of a chunk, got {error}.") from error
    prediction = _predicted(source, base, prediction_kind, first, count)
    planes = []
    for length in plane_lengths(residual, count):
        stage, code_length = PLANE_HEAD.unpack(_take(source, PLANE_HEAD.size))
        planes.append(decode_plane(stage, memoryview(_take(source, code_length)), length))
    return np.ascontiguousarray(from_planes(residual, planes, prediction)).data


def _predicted(source: BinaryIO, base: _Base, kind: Prediction, first: int, count: int) -> Octets | None:
    if kind is Prediction.NOTHING:
        return None
    if kind is Prediction.ALIGNED:
        return base.aligned(first, count)
    pieces, length = PIECES_HEAD.unpack(_take(source, PIECES_HEAD.size))
    return base.matched(Pieces.decode(pieces, memoryview(_take(source, length)), first), count)


def _take(source: BinaryIO, count: int) -> bytes:
    if count > _MOST_CODE:
        raise DeltaError(f"Expected at most {_MOST_CODE} bytes for a part of a delta, got {count}.")
    data = source.read(count)
    if len(data) != count:
        raise DeltaError("Expected more of a delta, got its end.")
    return data
