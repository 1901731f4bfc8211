"""Bounds of what a client may send, and of the time that it may take."""

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True)
class ServerLimits:
    """Bounds of a server. Sizes are in bytes, times in seconds.

    A body has at most `body` bytes, inflated or not, and all bodies that are being received or answered at most
    `bodies` together. The JSON of a request has at most `json` bytes: parsed, it takes up to 25 times its size. The
    first line and the headers have at most `head` bytes. `connections` are open at a time. A client has `head_s` for a
    head and `body_s` for a body, and its connection ends where it reads nothing of a response for `stalled_s`. An
    unused connection is closed after `idle_s`. At the end, requests have `drain_s` to be answered.
    """

    body: int = 64 * MIB
    bodies: int = 128 * MIB
    json: int = 8 * MIB
    head: int = 16 << 10
    connections: int = 256
    head_s: float = 10.0
    body_s: float = 30.0
    stalled_s: float = 30.0
    idle_s: int = 30
    drain_s: float = 10.0
