"""The format of deltas: a header, then one record for each chunk of the file that is made.

    header   magic b"EWDELTA", version 1 (1 byte), size of the file (8 bytes)
    chunk    prediction (1 byte), residual (1 byte), [matched only: number of pieces (4), length (4), pieces], planes
    plane    stage (1 byte), length (4 bytes), code

All numbers are little-endian. A chunk makes CHUNK bytes, the last one the rest; its prediction is nothing, the base's
bytes at the same place, or pieces of the base. The residual says how the planes are joined and added to it.
"""

import struct
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from edge_runtime.deltas.lzma_stage import pack, unpack
from edge_runtime.deltas.rans import rans_decode, rans_encode
from edge_runtime.deltas.residuals import Octets
from edge_runtime.errors import DeltaError

CHUNK = 1 << 20
HEADER = struct.Struct("<7sBQ")
CHUNK_HEAD = struct.Struct("<BB")
PIECES_HEAD = struct.Struct("<II")
PLANE_HEAD = struct.Struct("<BI")
MAGIC = b"EWDELTA"
VERSION = 1
MOST_PIECES = 1 << 16
_SAMPLE = 1 << 15  # of a plane: LZMA takes a second for each MB, so it is tried where it wins here
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
"""The sha256 of no bytes: the base of a delta that needs none, which is the compressed file itself."""


class Prediction(IntEnum):
    """Kinds of a prediction, as the format numbers them."""

    NOTHING = 0
    ALIGNED = 1
    MATCHED = 2


class _Stage(IntEnum):
    STORED = 0
    LZMA = 1
    RANS = 2


def encode_plane(plane: Octets) -> bytes:
    """Return a plane's record, in the stage that makes it smallest."""
    codes = [(_Stage.STORED, plane.tobytes())]
    if len(plane):
        codes.append((_Stage.RANS, rans_encode(plane)))
        middle = plane[max(0, len(plane) - _SAMPLE) // 2 :][:_SAMPLE]
        if len(middle) == len(plane) or len(pack(middle.tobytes())) < len(rans_encode(middle)):
            codes.append((_Stage.LZMA, pack(plane.tobytes())))
    stage, code = min(codes, key=lambda each: len(each[1]))
    return PLANE_HEAD.pack(stage, len(code)) + code


def decode_plane(stage: int, code: memoryview, count: int) -> Octets:
    """Return a plane of `count` bytes. Raises DeltaError."""
    if stage == _Stage.STORED and len(code) == count:
        return np.frombuffer(code, np.uint8)
    if stage == _Stage.LZMA:
        return np.frombuffer(unpack(code, count), np.uint8)
    if stage == _Stage.RANS and count:
        return rans_decode(code, count)
    raise DeltaError(f"Expected a plane of {count} bytes in a known form, got form {stage} with {len(code)} bytes.")


class Pieces:
    """Pieces of a base that stand one after the other: their lengths, and where each begins, -1 for zeros."""

    def __init__(self, lengths: NDArray[np.int64], sources: NDArray[np.int64]) -> None:
        self.lengths, self.sources = lengths, sources

    def encode(self, first: int) -> bytes:
        """Return the record of pieces that predict the file from the place `first` on."""
        shifts = np.where(self.sources < 0, np.iinfo(np.int64).min, self.sources - self._targets(first))
        table = np.stack([self.lengths, shifts]).astype("<i8")
        code = pack(table.reshape(-1, 1).view(np.uint8).T.tobytes())
        return PIECES_HEAD.pack(len(self.lengths), len(code)) + code

    @classmethod
    def decode(cls, count: int, code: memoryview, first: int) -> "Pieces":
        """Read what encode() wrote; only the lengths and places are still to be checked. Raises DeltaError."""
        if count > MOST_PIECES:
            raise DeltaError(f"Expected at most {MOST_PIECES} pieces of the base, got {count}.")
        planes = np.frombuffer(unpack(code, 16 * count), np.uint8).reshape(8, -1)
        lengths, shifts = planes.T.copy().view("<i8").reshape(2, -1).astype(np.int64)
        return cls._placed(lengths, shifts, first)

    @classmethod
    def _placed(cls, lengths: NDArray[np.int64], shifts: NDArray[np.int64], first: int) -> "Pieces":
        if (lengths < 1).any() or (lengths > CHUNK).any():
            raise DeltaError("Expected pieces with lengths within a chunk, got others.")
        pieces = cls(lengths, shifts)
        absent = shifts == np.iinfo(np.int64).min
        if (np.abs(shifts[~absent]) > 1 << 50).any():
            raise DeltaError("Expected pieces within the base, got others.")
        pieces.sources = np.where(absent, -1, np.where(absent, 0, shifts) + pieces._targets(first))
        return pieces

    def _targets(self, first: int) -> NDArray[np.int64]:
        return first + np.cumsum(self.lengths) - self.lengths
