"""Files of weights and of their later versions."""

import hashlib
from pathlib import Path

import numpy as np


def write(path: Path, data: bytes | np.ndarray) -> Path:
    path.write_bytes(data if isinstance(data, bytes) else data.tobytes())
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def int8_weights(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 35, count).clip(-127, 127).astype(np.int8)


def moved(weights: np.ndarray, steps: float, seed: int = 1) -> np.ndarray:
    """Return INT8 weights that have moved by so many steps, as a standard deviation."""
    noise = np.random.default_rng(seed).normal(0, steps, len(weights))
    return (weights + noise).clip(-127, 127).round().astype(np.int8)


def int4_weights(count: int, seed: int = 0) -> np.ndarray:
    """Return `count` bytes, each with two weights of 4 bits."""
    return _packed(np.random.default_rng(seed).normal(8, 2.5, 2 * count).clip(0, 15).astype(np.uint8))


def moved_int4(weights: np.ndarray, share: float, seed: int = 1) -> np.ndarray:
    """Return 4-bit weights of which a share has moved by one step."""
    values = np.stack([weights & 15, weights >> 4], axis=1).ravel().astype(int)
    rng = np.random.default_rng(seed)
    values += (rng.random(len(values)) < share) * rng.choice([-1, 1], len(values))
    return _packed(values.clip(0, 15).astype(np.uint8))


def _packed(values: np.ndarray) -> np.ndarray:
    packed: np.ndarray = values[::2] | (values[1::2] << 4)
    return packed
