"""Which layers ONNX Runtime computes faster in float than in integers: those with few channels may be."""

import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import onnxruntime as ort
from onnx import ModelProto

from model_compression.quantization.static import StaticQuantizer, static_quantizer
from model_compression.training import Arrays

GAIN = 0.04  # of the time of the whole graph that a layer must save to stay in float: less is noise
TURNS, RUNS, WARMUP = 3, 100, 10
REMEDY = "drop `float_where_faster` from the ladder"


def faster_in_float(source: Path, calibration: Arrays) -> tuple[str, ...]:
    """Measure which layers of a float ONNX file to leave in float: on this machine, one thread, one row; their names.

    A layer counts where the graph with it alone in float is faster; they are taken from the largest gain on while the
    graph gets faster. What it costs to convert between the two is so part of what is measured. Raises
    QuantizationError.
    """
    with static_quantizer(source, calibration, method="minmax", reduce_range=False, remedy=REMEDY) as quantizer:
        return _measured(quantizer, calibration)


def _measured(quantizer: StaticQuantizer, row: Arrays) -> tuple[str, ...]:
    nodes = quantizer.layers()
    graphs = {layer: quantizer.quantized(without=[node]) for layer, node in nodes.items()}
    (whole, *alone) = _seconds([quantizer.quantized(), *graphs.values()], row)
    gains = {layer: 1 - seconds / whole for layer, seconds in zip(graphs, alone, strict=True)}
    promising = sorted((layer for layer in gains if gains[layer] > GAIN), key=lambda layer: -gains[layer])
    chosen: tuple[str, ...] = ()
    for layer in promising:
        more = (*chosen, layer)
        before, after = (quantizer.quantized(without=[nodes[name] for name in names]) for names in (chosen, more))
        old, new = _seconds([before, after], row)
        if new < old * (1 - GAIN):
            chosen = more
    return chosen


def _seconds(graphs: Sequence[ModelProto], row: Arrays) -> list[float]:
    """Median seconds of each graph, the best of several turns, so that a busy moment does not meet one alone."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    sessions = [
        ort.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"]) for graph in graphs
    ]
    feed = {value.name: rows[:1] for value, rows in zip(sessions[0].get_inputs(), row, strict=True)}
    turns = [[_median(session, feed) for session in sessions] for _ in range(TURNS)]
    return [min(turn[index] for turn in turns) for index in range(len(sessions))]


def _median(session: ort.InferenceSession, feed: dict) -> float:
    times = []
    for _ in range(WARMUP + RUNS):
        start = time.perf_counter()
        session.run(None, feed)
        times.append(time.perf_counter() - start)
    return statistics.median(times[WARMUP:])
