"""Residuals: the difference between a file and a prediction of it, as planes of bytes that compress well.

Quantized weights of two versions differ by small steps, so their difference has few values. Numbers of several bytes
are subtracted as integers, their sign is moved into the lowest bit, and the bytes of equal weight are put together: the
high ones are then mostly 0. Each kind can be undone exactly, whatever the file holds.
"""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Octets = NDArray[np.uint8]


class ResidualKind(IntEnum):
    """Kinds of a residual, as the format numbers them."""

    BYTES = 0
    """Bytes, for INT8 weights; one plane."""
    NIBBLES = 1
    """Halves of bytes, for INT4 weights, two in a byte; one plane of 4-bit values, twice as long."""
    HALVES = 2
    """Integers of 16 bits, for float16; two planes."""
    WORDS = 3
    """Integers of 32 bits, for float32 and int32; four planes."""


_WIDTH = {ResidualKind.HALVES: 2, ResidualKind.WORDS: 4}


def plane_lengths(kind: ResidualKind, count: int) -> list[int]:
    """Return the lengths of the planes for `count` bytes; the last bytes that fill no number are in the first plane."""
    if kind is ResidualKind.NIBBLES:
        return [2 * count]
    width = _WIDTH.get(kind, 1)
    return [count // width + count % width, *[count // width] * (width - 1)]


def to_planes(kind: ResidualKind, data: Octets, prediction: Octets | None) -> list[Octets]:
    """Return the planes of the difference between bytes and their prediction; of the bytes where there is none."""
    if kind is ResidualKind.NIBBLES:
        return [_nibbles(data) if prediction is None else (_nibbles(data) - _nibbles(prediction)) & np.uint8(15)]
    if kind is ResidualKind.BYTES:
        return [data if prediction is None else data - prediction]
    whole = len(data) - len(data) % _WIDTH[kind]
    numbers = _numbers(kind, data[:whole])
    if prediction is not None:
        numbers = _sign_to_the_end(numbers - _numbers(kind, prediction[:whole]))
    tail = data[whole:] if prediction is None else data[whole:] - prediction[whole:]
    first, *others = numbers.view(np.uint8).reshape(-1, _WIDTH[kind]).T
    return [np.concatenate([first, tail]), *map(np.ascontiguousarray, others)]


def from_planes(kind: ResidualKind, planes: list[Octets], prediction: Octets | None) -> Octets:
    """Undo to_planes(); the planes have the lengths that plane_lengths() says."""
    if kind is ResidualKind.NIBBLES:
        values = planes[0] if prediction is None else planes[0] + _nibbles(prediction)
        return (values[::2] & np.uint8(15)) | (values[1::2] << np.uint8(4))
    if kind is ResidualKind.BYTES:
        return planes[0] if prediction is None else planes[0] + prediction
    count = len(planes[1])
    numbers = np.stack([planes[0][:count], *planes[1:]], axis=1).view(f"<u{_WIDTH[kind]}").ravel()
    tail = planes[0][count:]
    if prediction is not None:
        whole = count * _WIDTH[kind]
        numbers = _sign_from_the_end(numbers) + _numbers(kind, prediction[:whole])
        tail = tail + prediction[whole:]
    return np.concatenate([numbers.view(np.uint8), tail])


def _nibbles(data: Octets) -> Octets:
    values = np.empty(2 * len(data), np.uint8)
    values[::2], values[1::2] = data & np.uint8(15), data >> np.uint8(4)
    return values


def _numbers(kind: ResidualKind, data: Octets) -> NDArray[np.unsignedinteger]:
    return np.ascontiguousarray(data).view(f"<u{_WIDTH[kind]}")


def _sign_to_the_end(numbers: NDArray[np.unsignedinteger]) -> NDArray[np.unsignedinteger]:
    signed = numbers.view(f"<i{numbers.itemsize}")
    turned: NDArray[np.unsignedinteger] = ((signed << 1) ^ (signed >> (8 * numbers.itemsize - 1))).view(numbers.dtype)
    return turned


def _sign_from_the_end(numbers: NDArray[np.unsignedinteger]) -> NDArray[np.unsignedinteger]:
    one = numbers.dtype.type(1)
    turned: NDArray[np.unsignedinteger] = (numbers >> one) ^ (~(numbers & one) + one)
    return turned
