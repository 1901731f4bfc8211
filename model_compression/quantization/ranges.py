"""Ranges of a float graph's tensors, observed on calibration rows one batch at a time."""

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import onnx
import onnxruntime as ort

from model_compression.errors import QuantizationError
from model_compression.training import Arrays

METHODS = ("minmax", "percentile", "entropy")
PERCENT = 99.99
# a few hundred rows fill finer bins so thinly that entropy would take their noise for information
BINS = {"percentile": 2048, "entropy": 512}
BATCH_ROWS = 32
LEVELS = 128  # steps of one sign of an 8-bit integer
SMOOTHING = 1e-4  # share of the probability that goes to empty bins
STRIDE = 8  # bins between the thresholds that are tried

Feed = dict[str, np.ndarray]
Bounds = tuple[float, float]


class Ranges(NamedTuple):
    """The range of every float tensor of a graph: as it was seen, and as a method cuts it.

    The first is infinite or NaN for a tensor that holds such values, as masks do; the second lacks those tensors.
    """

    seen: dict[str, Bounds]
    cut: dict[str, Bounds]


def observe_ranges(model: onnx.ModelProto, rows: Arrays, method: str) -> Ranges:
    """Run a float graph over all rows and return the range of every float tensor.

    `minmax` takes the whole range, `percentile` and `entropy` cut outliers off. Only one batch is in memory at a time:
    ONNX Runtime's own calibrators keep every batch's tensors, or take minutes where a late outlier widens their
    histogram. Raises QuantizationError for an unknown method, for no rows, and for rows or answers that are not finite.
    """
    if method not in METHODS:
        raise QuantizationError(f"expected a calibration method of {', '.join(METHODS)}, got `{method}`")
    named = _by_name(model, rows)
    check_rows(named)
    session = _with_every_tensor(model)
    seen = _extremes(session, _feeds(named))
    outputs = {value.name for value in model.graph.output}
    _check_answers({name: seen[name] for name in outputs & seen.keys()})
    cut = {name: span for name, span in seen.items() if _is_finite(span)}
    if method != "minmax":
        # outputs are not clipped, because two classes clipped to one value would tie
        inner = {name: span for name, span in cut.items() if name not in outputs}
        cut |= _without_outliers(session, _feeds(named), inner, method)
    return Ranges(seen, cut)


def _with_every_tensor(model: onnx.ModelProto) -> ort.InferenceSession:
    open_model = onnx.ModelProto()
    open_model.CopyFrom(model)
    outputs = {value.name for value in model.graph.output}
    inner = [name for node in model.graph.node for name in node.output if name and name not in outputs]
    open_model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in inner)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(open_model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _feeds(rows: Mapping[str, np.ndarray]) -> Iterator[Feed]:
    for start in range(0, len(next(iter(rows.values()))), BATCH_ROWS):
        yield {name: array[start : start + BATCH_ROWS] for name, array in rows.items()}


def _tensors(session: ort.InferenceSession, feeds: Iterator[Feed]) -> Iterator[tuple[str, np.ndarray]]:
    names = [value.name for value in session.get_outputs()]
    for feed in feeds:
        for name, tensor in [*feed.items(), *zip(names, session.run(None, feed), strict=True)]:
            if isinstance(tensor, np.ndarray) and tensor.dtype == np.float32 and tensor.size:  # a sequence is a list
                yield name, tensor


def _extremes(session: ort.InferenceSession, feeds: Iterator[Feed]) -> dict[str, Bounds]:
    bounds: dict[str, Bounds] = {}
    for name, tensor in _tensors(session, feeds):
        low, high = bounds.get(name, (np.inf, -np.inf))
        # NaN stays NaN here, where Python's min and max would lose it
        bounds[name] = float(np.minimum(low, tensor.min())), float(np.maximum(high, tensor.max()))
    return bounds


def _is_finite(bounds: Bounds) -> bool:
    return all(map(math.isfinite, bounds))


def _check_answers(bounds: Mapping[str, Bounds]) -> None:
    for name, each in bounds.items():
        if not _is_finite(each):
            raise QuantizationError(
                f"expected finite answers to the calibration rows, got NaN or infinity in `{name}`; look at the "
                "calibration split for extreme rows"
            )


def _without_outliers(
    session: ort.InferenceSession, feeds: Iterator[Feed], extremes: dict[str, Bounds], method: str
) -> dict[str, Bounds]:
    """Count values (for entropy: magnitudes) in bins over the range of the first run, and cut the range."""
    spans = {name: span if method == "percentile" else (0.0, max(map(abs, span))) for name, span in extremes.items()}
    spans = {name: span for name, span in spans.items() if _has_bins(span, BINS[method])}
    counts = {name: np.zeros(BINS[method], dtype=np.int64) for name in spans}
    for name, tensor in _tensors(session, feeds):
        if name in spans:
            values = tensor if method == "percentile" else np.abs(tensor)
            counts[name] += np.histogram(values, BINS[method], spans[name])[0]
    return {name: _clipped(extremes[name], counts[name], spans[name], method) for name in spans}


def _has_bins(span: Bounds, bins: int) -> bool:
    """Tell whether float32 has as many numbers in the span as there are bins."""
    low, high = span
    return high - low > bins * float(np.spacing(np.float32(max(abs(low), abs(high)))))


def _clipped(extremes: Bounds, counts: np.ndarray, span: Bounds, method: str) -> Bounds:
    low, high = extremes
    edges = np.histogram_bin_edges([], len(counts), span)
    if method == "percentile":
        return percentile_bounds(counts, edges, PERCENT)
    threshold = entropy_threshold(counts, edges)
    return max(low, -threshold), min(high, threshold)


def check_rows(rows: Mapping[str, np.ndarray]) -> None:
    """Raise QuantizationError where an input has no calibration rows, or some with NaN or infinity."""
    for name, array in rows.items():
        if not len(array):
            raise QuantizationError(
                f"expected calibration rows in input `{name}`, got none; give the workload a calibration split"
            )
        if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
            broken = int((~np.isfinite(array.reshape(len(array), -1)).all(axis=1)).sum())
            raise QuantizationError(
                f"expected finite calibration rows, got {broken} of {len(array)} with NaN or infinity in input "
                f"`{name}`; clean the calibration split"
            )


def _by_name(model: onnx.ModelProto, rows: Arrays) -> dict[str, np.ndarray]:
    names = [value.name for value in model.graph.input]
    if len(names) != len(rows):
        raise QuantizationError(
            f"expected calibration rows for the inputs {', '.join(names)}, got {len(rows)} arrays; make the "
            "calibration split like the training split"
        )
    return dict(zip(names, rows, strict=True))


def percentile_bounds(counts: np.ndarray, edges: np.ndarray, percent: float) -> Bounds:
    """Cut off the outermost values of a histogram, so that `percent` of all remain on either side."""
    cut = (1 - percent / 100) * counts.sum()
    first = int(np.searchsorted(counts.cumsum(), cut, side="right"))
    last = int(np.searchsorted(counts[::-1].cumsum(), cut, side="right"))
    return float(edges[first]), float(edges[len(counts) - last])


def entropy_threshold(counts: np.ndarray, edges: np.ndarray) -> float:
    """Choose the threshold at which quantized values lose least information, from a histogram of magnitudes.

    It minimizes the Kullback-Leibler divergence between the clipped values and the same in LEVELS steps. Source:
    Migacz, 8-bit Inference with TensorRT, GTC 2017.
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
    """Turn counts into probabilities, none of which is zero."""
    empty = counts == 0
    shares = counts / counts.sum()
    smoothed: np.ndarray = np.where(empty, SMOOTHING / empty.sum(), shares * (1 - SMOOTHING)) if empty.any() else shares
    return smoothed
