"""Islands in float: runs of adjacent layers that a machine computes faster in float than in integers.

A layer alone in float seldom pays where its neighbours are in integers, because its values are converted twice. A block
of a few layers may: grouped and depthwise convolutions, squeeze-excite gates, small attention.
"""

import statistics
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort
from onnx import ModelProto

from edge_runtime.measurement import measuring_alone
from model_compression.quantization.static import StaticQuantizer, static_quantizer
from model_compression.training import Arrays

FLOAT_REMEDY = "drop `float_where_faster` from the ladder"
GAIN = 0.04  # share of the whole graph's time that a run must save to stay in float; less is noise
DEPTH = 5  # halvings of the graph: a run of a 32nd of its layers hardly saves more than the noise
TURNS, RUNS, WARMUP = 3, 100, 10
FEWEST_RUNS = 5
TURN_S = 0.2  # after which a turn of a slow graph ends


def faster_in_float(source: Path, calibration: Arrays) -> tuple[str, ...]:
    """Name the layers of a float ONNX file that this machine computes faster in float, on one thread and one row.

    Runs of layers in the graph's order are turned over one by one: the whole graph first, then its halves and
    so on. A run goes into float where the graph with it there is faster by `GAIN`, and back into integers where
    that is no slower. All layers are named where nothing is faster in integers. Graphs of integers are those of
    `minmax`. Raises QuantizationError.
    """
    with static_quantizer(source, calibration, method="minmax", reduce_range=False, remedy=FLOAT_REMEDY) as quantizer:
        layers = list(quantizer.layers())
        islands = _islands(quantizer, layers, calibration)
        return tuple(layer for layer in layers if layer in islands)


def _islands(quantizer: StaticQuantizer, layers: Sequence[str], row: Arrays) -> frozenset[str]:
    islands: frozenset[str] = frozenset()
    whole = graph = _with_islands(quantizer, islands)
    for start, stop in _runs(len(layers)):
        run = frozenset(layers[start:stop])
        turned = islands - run if run <= islands else islands | run
        tried = _with_islands(quantizer, turned)
        before, after = _seconds([graph, tried], row)
        if after <= before if turned < islands else after < before * (1 - GAIN):
            islands, graph = turned, tried
    if not islands:
        return islands
    before, after = _seconds([whole, graph], row)  # many small steps may each have been within the noise
    return islands if after < before * (1 - GAIN) else frozenset()


def _with_islands(quantizer: StaticQuantizer, islands: Collection[str]) -> ModelProto:
    return quantizer.quantized(without=quantizer.region(sorted(islands)))


def _runs(count: int) -> Iterator[tuple[int, int]]:
    """Yield the bounds of all runs of so many layers: the whole, its halves, and so on; each once."""
    known: set[tuple[int, int]] = set()
    for parts in (1 << depth for depth in range(DEPTH + 1)):
        for index in range(parts):
            run = (count * index // parts, count * (index + 1) // parts)
            if run[0] < run[1] and run not in known:
                known.add(run)
                yield run


def _seconds(graphs: Sequence[ModelProto], row: Arrays) -> list[float]:
    """Return the median seconds of each graph, the best of several turns, because a machine may be busy."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    sessions = [
        ort.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"]) for graph in graphs
    ]
    feed = {value.name: rows[:1] for value, rows in zip(sessions[0].get_inputs(), row, strict=True)}
    with measuring_alone():
        turns = [[_median(session, feed) for session in sessions] for _ in range(TURNS)]
    return [min(turn[index] for turn in turns) for index in range(len(sessions))]


def _median(session: ort.InferenceSession, feed: dict[str, np.ndarray]) -> float:
    times: list[float] = []
    deadline = time.perf_counter() + TURN_S
    while len(times) < WARMUP + RUNS and (len(times) < FEWEST_RUNS or time.perf_counter() < deadline):
        start = time.perf_counter()
        session.run(None, feed)
        times.append(time.perf_counter() - start)
    return statistics.median(times[min(WARMUP, len(times) // 2) :])
