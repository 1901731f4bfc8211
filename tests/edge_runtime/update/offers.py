"""Blobs and deltas as a manifest offers them, put on a server."""

import hashlib
from dataclasses import dataclass

import numpy as np

from tests.edge_runtime.update.loopback_server import LoopbackServer


@dataclass(frozen=True)
class Blob:
    sha256: str
    size: int


@dataclass(frozen=True)
class Delta:
    blob: str
    base: str
    sha256: str
    size: int


def drifted(data: bytes, seed: int, steps: float = 0.6) -> bytes:
    """Return INT8 weights that have moved by some steps."""
    weights = np.frombuffer(data, np.int8)
    noise = np.rint(np.random.default_rng(seed).normal(0, steps, len(weights))).astype(np.int8)
    return (weights + noise).tobytes()


def offered_blob(server: LoopbackServer, data: bytes) -> Blob:
    sha256 = hashlib.sha256(data).hexdigest()
    server.files[f"blobs/{sha256}"] = data
    return Blob(sha256, len(data))


def offered_delta(server: LoopbackServer, data: bytes, base: str, blob: str) -> Delta:
    sha256 = hashlib.sha256(data).hexdigest()
    server.files[f"blobs/{sha256}"] = data
    return Delta(blob, base, sha256, len(data))
