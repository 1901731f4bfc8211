"""Compressed bodies: gzip and deflate in both directions, inflated within a bound."""

import re
import zlib

from edge_runtime.errors import BadRequest, TooLarge, UnknownCoding

WORTH_BYTES = 1024
"""Smaller responses are sent as they are."""
_WINDOWS = {"gzip": 31, "deflate": 15}  # zlib's numbers for the two forms
_LEVEL = 1
_CHOICE = re.compile(r"\s*([a-z0-9*-]+)\s*(?:;\s*q=([01](?:\.[0-9]{0,3})?)\s*)?", re.IGNORECASE)


def known_coding(header: str | None) -> str | None:
    """Return the coding of a body by its Content-Encoding, None where it has none. Raises UnknownCoding."""
    coding = (header or "identity").strip().lower()
    if coding != "identity" and coding not in _WINDOWS:
        raise UnknownCoding(f"Content-Encoding: expected {', '.join(_WINDOWS)} or identity, got another.")
    return None if coding == "identity" else coding


def inflated(data: bytes | bytearray, coding: str, most_bytes: int) -> bytes:
    """Return the content of a compressed body. Raises BadRequest, and TooLarge beyond a number of bytes."""
    inflating = zlib.decompressobj(_WINDOWS[coding])
    try:
        content = inflating.decompress(data, most_bytes + 1)
    except zlib.error as error:
        raise BadRequest(f"The body: expected {coding}, got something else.") from error
    if len(content) > most_bytes:
        raise TooLarge(f"The body: expected at most {most_bytes} bytes when it is inflated, got more.")
    if not inflating.eof or inflating.unused_data:
        raise BadRequest(f"The body: expected one whole {coding} stream, got {'more' if inflating.eof else 'a part'}.")
    return content


def accepted_coding(header: str | None) -> str | None:
    """Return the coding that a client likes best by its Accept-Encoding, None for a body as it is."""
    liked: dict[str, float] = {}
    for choice in (header or "").split(","):
        if found := _CHOICE.fullmatch(choice):
            liked[found[1].lower()] = float(found[2] or 1)
    best = max(_WINDOWS, key=lambda coding: liked.get(coding, 0.0))
    return best if liked.get(best, 0.0) > liked.get("identity", 0.0) else None


def deflated(data: bytes, coding: str) -> bytes:
    """Return a compressed body, made fast rather than small."""
    packing = zlib.compressobj(_LEVEL, wbits=_WINDOWS[coding])
    return packing.compress(data) + packing.flush()
