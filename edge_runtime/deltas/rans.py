"""An entropy coder for differences of weights: interleaved rANS with tables of frequencies by block of symbols.

LZMA looks for repetitions, of which small differences have none. Here a symbol costs its entropy, and blocks of symbols
that are spread alike, as those of a channel are, share one of a few tables. Many states advance together, so that numpy
decodes tens of MB per second. The method is range asymmetric numeral systems (Duda, arXiv:1311.2540), with states of 32
bits that take and give 16 bits at a time (Giesen, arXiv:1402.3392).
"""

import struct
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_runtime.deltas.lzma_stage import pack, unpack
from edge_runtime.errors import DeltaError

Symbols = NDArray[np.uint8]
_BITS: Final = 12
_TOTAL: Final = 1 << _BITS
_LOW: Final = 1 << 16
_LANES = 1024
_LANE = 1024  # symbols from which a further lane is worth the bytes of its state
_BLOCK_BITS = (7, 10)
_TABLES = (1, 4, 16)
_MOST_TABLES = 16
_ROUNDS = 4
_HEAD = struct.Struct("<BBI")


class _Model(NamedTuple):
    """Tables of frequencies, (tables, 256), each adding up to _TOTAL; and the table of each block."""

    block_bits: int
    tables: NDArray[np.uint32]
    classes: Symbols


def rans_encode(symbols: Symbols) -> bytes:
    """Return the code of one or more symbols; a decoder needs it and their number."""
    models = [_clustered(symbols, bits, count) for bits in _BLOCK_BITS for count in _TABLES]
    model = min(models, key=lambda each: _cost(symbols, each))
    planes = model.tables.astype("<u2").reshape(-1, 1).view(np.uint8).T
    side = pack(planes.tobytes() + model.classes.tobytes())
    states, words = _encoded(symbols, model)
    return b"".join(
        (_HEAD.pack(model.block_bits, len(model.tables), len(side)), side, states.tobytes(), words.tobytes())
    )


def rans_decode(code: memoryview, count: int) -> Symbols:
    """Return `count` symbols, which bounds the memory. Raises DeltaError for bytes that are no code of so many."""
    if len(code) < _HEAD.size:
        raise DeltaError("Expected an entropy code, got one that is cut off.")
    block_bits, tables, side_length = _HEAD.unpack_from(code)
    states_at = _HEAD.size + side_length
    words_at = states_at + 4 * _lanes(count)
    if not 4 <= block_bits <= 20 or not 1 <= tables <= _MOST_TABLES or words_at > len(code) or len(code) - words_at & 1:
        raise DeltaError("Expected an entropy code, got one with other numbers or another length.")
    blocks = -(-count >> block_bits)
    side = np.frombuffer(unpack(code[_HEAD.size : states_at], 512 * tables + blocks), np.uint8)
    planes, classes = side[: 512 * tables].reshape(2, -1), side[512 * tables :]
    frequencies = planes.T.copy().view("<u2").reshape(tables, 256).astype(np.uint32)
    if (frequencies.sum(axis=1) != _TOTAL).any() or (classes >= tables).any():
        raise DeltaError("Expected frequencies that add up and tables that are there, got others.")
    states = np.frombuffer(code[states_at:words_at], "<u4").astype(np.uint32)
    words = np.frombuffer(code[words_at:], "<u2").astype(np.uint32)
    return _decoded(states, words, _Model(block_bits, frequencies, classes), count)


def _lanes(count: int) -> int:
    return min(_LANES, max(1, count // _LANE))


def _rows(model: _Model, count: int) -> NDArray[np.uint16]:
    """Return where the table of each symbol begins, in units of its slots."""
    return np.repeat(model.classes.astype(np.uint16) << _BITS, 1 << model.block_bits)[:count]


def _decoded(states: NDArray[np.uint32], words: NDArray[np.uint32], model: _Model, count: int) -> Symbols:
    frequencies = model.tables.ravel()
    starts = (np.cumsum(model.tables, axis=1, dtype=np.uint32) - model.tables).ravel()
    entry = np.repeat(np.arange(len(frequencies), dtype=np.uint32), frequencies)  # of each slot of each table
    symbol_of, frequency_of = (entry & 255).astype(np.uint8), frequencies[entry]
    bias_of = (np.arange(len(entry), dtype=np.uint32) & (_TOTAL - 1)) - starts[entry]
    rows, symbols, at, lanes = _rows(model, count), np.empty(count, np.uint8), 0, len(states)
    for first in range(0, count, lanes):
        state = states[: min(lanes, count - first)]
        slot = (state & (_TOTAL - 1)) | rows[first : first + len(state)]
        symbols[first : first + len(state)] = symbol_of[slot]
        state = frequency_of[slot] * (state >> _BITS) + bias_of[slot]
        low = np.flatnonzero(state < _LOW)
        if at + len(low) > len(words):
            raise DeltaError("Expected more of an entropy code, got its end.")
        state[low] = state[low] << 16 | words[at : at + len(low)]
        states[: len(state)] = state
        at += len(low)
    if at != len(words) or (states != _LOW).any():
        raise DeltaError("Expected an entropy code that ends where its symbols end, got another.")
    return symbols


def _encoded(symbols: Symbols, model: _Model) -> tuple[NDArray[np.uint32], NDArray[np.uint16]]:
    """Return the states that the decoder begins with, and the words that it takes, in its order."""
    frequencies = model.tables.ravel().astype(np.uint64)
    starts = (np.cumsum(model.tables, axis=1) - model.tables).ravel().astype(np.uint64)
    entries = symbols.astype(np.uint32) | (_rows(model, len(symbols)) >> (_BITS - 8)).astype(np.uint32)
    lanes, words = _lanes(len(symbols)), [np.empty(0, np.uint64)]
    states = np.full(lanes, _LOW, np.uint64)
    for first in range((len(symbols) - 1) // lanes * lanes, -1, -lanes):
        entry = entries[first : first + lanes]
        state, frequency = states[: len(entry)], frequencies[entry]
        full = state >= frequency << np.uint64(32 - _BITS)
        words.append(state[full] & np.uint64(_LOW - 1))
        state[full] >>= np.uint64(16)
        state[:] = (state // frequency << np.uint64(_BITS)) + state % frequency + starts[entry]
    return states.astype("<u4"), np.concatenate(words[::-1]).astype("<u2")


def _clustered(symbols: Symbols, block_bits: int, count: int) -> _Model:
    """Sort the blocks into at most `count` classes of like spread, by k-means with the code length as the distance."""
    blocks = -(-len(symbols) >> block_bits)
    places = (np.arange(len(symbols), dtype=np.uint32) >> block_bits << 8) + symbols
    counts = np.bincount(places, minlength=blocks << 8).reshape(blocks, 256).astype(np.float32)
    length = counts @ _code_lengths(counts.sum(axis=0)) / counts.sum(axis=1)
    classes = np.argsort(np.argsort(length)) * min(count, blocks) // blocks
    for _ in range(_ROUNDS if count > 1 else 0):
        lengths = np.stack([_code_lengths(counts[classes == each].sum(axis=0)) for each in range(count)], axis=1)
        classes = np.argmin(counts @ lengths, axis=1)
    used, classes = np.unique(classes, return_inverse=True)
    tables = np.stack([_scaled(counts[classes == each].sum(axis=0)) for each in range(len(used))])
    return _Model(block_bits, tables, classes.astype(np.uint8))


def _code_lengths(counts: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the bits of each value, (256,); one that was not seen has some too."""
    smooth = counts + np.float32(0.02)
    lengths: NDArray[np.float32] = -np.log2(smooth / smooth.sum())
    return lengths


def _scaled(counts: NDArray[np.float32]) -> NDArray[np.uint32]:
    """Return frequencies that add up to _TOTAL, at least 1 for each value that occurs."""
    scaled = np.maximum(np.rint(counts * (_TOTAL / counts.sum())), counts > 0).astype(np.int64)
    while (excess := int(scaled.sum()) - _TOTAL) != 0:
        largest = int(np.argmax(scaled))
        scaled[largest] -= min(excess, max(1, int(scaled[largest]) // 8))
    found: NDArray[np.uint32] = scaled.astype(np.uint32)
    return found


def _cost(symbols: Symbols, model: _Model) -> float:
    """Return the bytes of a code, about."""
    entries = symbols.astype(np.uint32) | (_rows(model, len(symbols)) >> (_BITS - 8)).astype(np.uint32)
    seen = np.bincount(entries, minlength=model.tables.size)
    present = model.tables.ravel() > 0
    bits = -(seen[present] * np.log2(model.tables.ravel()[present] / _TOTAL)).sum()
    return float(bits / 8 + present.sum() * 1.2 + len(model.classes) * np.log2(len(model.tables)) / 8)
