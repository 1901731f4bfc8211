"""LZMA with fixed filters: no header to pay for in small pieces, and a decoder whose memory is known beforehand."""

import lzma

from edge_runtime.errors import DeltaError

_DICTIONARY = 1 << 20  # bytes of memory that a device needs for it, about
_PACKING = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": _DICTIONARY, "lc": 0, "lp": 0, "pb": 0}]
_UNPACKING = [{"id": lzma.FILTER_LZMA2, "dict_size": _DICTIONARY}]


def pack(data: bytes) -> bytes:
    """Compress bytes."""
    return lzma.compress(data, format=lzma.FORMAT_RAW, filters=_PACKING)


def unpack(data: bytes | memoryview, size: int) -> bytes:
    """Return exactly `size` bytes; raises DeltaError for anything that does not unpack to so many."""
    unpacker = lzma.LZMADecompressor(format=lzma.FORMAT_RAW, filters=_UNPACKING)
    try:
        found = unpacker.decompress(data, max_length=size + 1)
    except (lzma.LZMAError, EOFError, ValueError) as error:
        raise DeltaError(f"Expected compressed bytes, got others ({error}).") from error
    if len(found) != size or not unpacker.eof or unpacker.unused_data:
        raise DeltaError(f"Expected {size} compressed bytes, got {len(found)} or more.")
    return found
