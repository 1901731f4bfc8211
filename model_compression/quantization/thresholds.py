"""Where to cut off a tensor's values before they are quantized, from a histogram of them."""

import math

import numpy as np

LEVELS = 128  # of one sign of an 8-bit integer
SMOOTHING = 1e-4  # of the probability, to where the quantized distribution has none
STRIDE = 8  # bins between the thresholds that are tried
Bounds = tuple[float, float]


def percentile_bounds(counts: np.ndarray, edges: np.ndarray, percent: float) -> Bounds:
    """Cut off the outermost values on each side, so that `percent` of all stay on either."""
    cut = (1 - percent / 100) * counts.sum()
    first = int(np.searchsorted(counts.cumsum(), cut, side="right"))
    last = int(np.searchsorted(counts[::-1].cumsum(), cut, side="right"))
    return float(edges[first]), float(edges[len(counts) - last])


def entropy_threshold(counts: np.ndarray, edges: np.ndarray) -> float:
    """Choose the threshold at which quantized values lose least information, from a histogram of magnitudes.

    Kullback-Leibler divergence between the values cut off there and the same in LEVELS steps. Source: Migacz, 8-bit
    Inference with TensorRT, GTC 2017.
    """
    if len(counts) <= LEVELS:
        return float(edges[-1])
    tried = range(len(counts), LEVELS, -STRIDE)
    return float(edges[min(tried, key=lambda kept: _divergence(counts, kept))])


def _divergence(counts: np.ndarray, kept: int) -> float:
    inside = counts[:kept].astype(float)
    if not inside.any():
        return math.inf
    cut_off = inside.copy()
    cut_off[-1] += counts[kept:].sum()
    starts = np.linspace(0, kept, LEVELS, endpoint=False).astype(int)
    filled = inside > 0
    step = np.repeat(
        np.add.reduceat(inside, starts) / np.maximum(np.add.reduceat(filled, starts, dtype=int), 1),
        np.diff([*starts, kept]),
    )
    p, q = _smoothed(cut_off), _smoothed(step * filled)
    return float((p * np.log(p / q)).sum())


def _smoothed(counts: np.ndarray) -> np.ndarray:
    """Probabilities without a zero."""
    empty = counts == 0
    shares = counts / counts.sum()
    if not empty.any():
        return shares
    return np.where(empty, SMOOTHING / empty.sum(), shares * (1 - SMOOTHING))
