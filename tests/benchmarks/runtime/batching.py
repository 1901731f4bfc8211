"""Dynamic batching of a model that gains by it and of one that does not, beside calls of the session itself."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge_runtime.bundle import Measured, manifest_path
from edge_runtime.serving import Runtime
from edge_runtime.serving.batching_plan import BatchingPlan
from edge_runtime.session import EdgeModel
from edge_runtime.settings import SessionSettings
from tests.benchmarks.record import Figure
from tests.benchmarks.runtime.offered_load import Answered, offered, saturated
from tests.edge_runtime.install.carried import CLASSES, DEVICE, MODEL, WIDTH, carry, rows, wide_model

ROWS = (1, 2, 4, 8, 16, 32)
LOADS = (0.5, 1.0, 1.5, 3.0)
"""Times the requests per second that one by one can answer."""
SECONDS, TURNS = 15.0, 7
DEADLINE_S = 2.0
SIDE, LAYERS = 2048, 12
CHANNELS = 256
ONE = SessionSettings(threads=1)


@dataclass(frozen=True)
class Site:
    """A bundle with its measured curve, the session itself, and one row."""

    manifest: Path
    direct: EdgeModel
    curve: Mapping[str, float]
    row: Mapping[str, np.ndarray]

    @property
    def plan(self) -> BatchingPlan:
        """The plan that the curve gives."""
        return BatchingPlan.of_curve(self.curve)

    @property
    def one_by_one(self) -> float:
        """Rows per second, one after the other."""
        return 1000 / self.curve["1"]


HEAD = "| model | load | answered | p50 ms | p99 ms | rows of a batch |\n| --- | --- | --- | --- | --- | --- |"


def gaining(root: Path) -> tuple[list[Figure], str]:
    """Measure a model whose weights bound its time, so that batches gain; the table has its loads."""
    found, table = asyncio.run(_of_gaining(_site(root, wide_model(root / "perceptron", 1, SIDE, LAYERS))))
    return found, "\n".join([HEAD, *table])


def one_by_one(root: Path) -> tuple[list[Figure], str]:
    """Measure a model that arithmetic bounds, so that batches gain nothing; the table has its loads."""
    found, table = asyncio.run(_of_flat(_site(root, convnet(root / "convnet", CHANNELS))))
    return found, "\n".join([HEAD, *table])


def convnet(folder: Path, channels: int) -> Path:
    """Write 6 convolutions over a picture of 8 x 8, which are bound by arithmetic and gain nothing in batches."""
    folder.mkdir(parents=True)
    chance, nodes, weights = np.random.default_rng(1), [helper.make_node("Reshape", ["x", "shape"], ["h0"])], []
    for at in range(6):
        shape = (channels, channels if at else 1, 3, 3)
        scale = np.float32((shape[1] * 9) ** -0.5)
        weights.append(numpy_helper.from_array(chance.standard_normal(shape, dtype=np.float32) * scale, f"w{at}"))
        nodes.append(helper.make_node("Conv", [f"h{at}", f"w{at}"], [f"c{at}"], kernel_shape=[3, 3], pads=[1] * 4))
        nodes.append(helper.make_node("Relu", [f"c{at}"], [f"h{at + 1}"]))
    nodes += [
        helper.make_node("GlobalAveragePool", ["h6"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["y"]),
    ]
    weights += [
        numpy_helper.from_array(np.array([-1, 1, 8, 8], np.int64), "shape"),
        numpy_helper.from_array(chance.standard_normal((channels, CLASSES), dtype=np.float32), "w"),
    ]
    graph = helper.make_graph(
        nodes, "convnet", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", WIDTH])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", CLASSES])], weights,
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(made, folder / "whole.onnx")
    return folder / "whole.onnx"


def _site(root: Path, graph: Path) -> Site:
    """Measure the curve of a model, its fastest times in turns, and write its bundle."""
    direct = EdgeModel.load(graph, ONE)
    times: dict[int, list[float]] = {count: [] for count in ROWS}
    for turn in range(TURNS + 1):
        for count in ROWS:
            seconds = _seconds(direct, count)
            if turn:  # the first one warms up
                times[count].append(seconds)
    curve = {str(count): min(seconds) * 1000 for count, seconds in times.items()}
    name = graph.parent.name
    carried = carry(
        root / f"{name}-carried", root / f"{name}-made", 1, files={"model.onnx": graph}, session=ONE,
        measured=Measured({}, curve),
    )  # fmt: skip
    return Site(manifest_path(carried.root, MODEL, DEVICE, carried.digest), direct, curve, {"x": rows(1)})


def _seconds(direct: EdgeModel, count: int) -> float:
    given = {"x": rows(count)}
    begun = time.perf_counter()
    direct.predict(given)
    return time.perf_counter() - begun


def _per_second(direct: EdgeModel, count: int, seconds: float) -> float:
    """Return the rows per second of the session itself, so many at a time."""
    given, calls, begun = {"x": rows(count)}, 0, time.perf_counter()
    while time.perf_counter() < begun + seconds:
        direct.predict(given)
        calls += 1
    return calls * count / (time.perf_counter() - begun)


async def _of_gaining(site: Site) -> tuple[list[Figure], list[str]]:
    plan = site.plan
    batch_ms = site.curve[str(plan.most_rows)]
    async with Runtime.of_bundle(site.manifest) as runtime:
        if not runtime.description(MODEL).batched:
            raise RuntimeError(f"expected a model that gains by batches, got the curve {site.curve}")
        seen, table = await _loads(runtime, site, "MLP")
        ceiling, reached = list[float](), list[float]()
        for _ in range(TURNS):
            ceiling.append(await asyncio.to_thread(_per_second, site.direct, plan.most_rows, 2.0))
            reached.append(await saturated(runtime, MODEL, site.row, 3 * plan.most_rows, 2.0))
        added = await _added_ms(runtime, site)
    at = seen[1.5]
    return [
        Figure("MLP at 1.5x of one by one: share of the load that is answered", at.share, 0.98, "", "at_least"),
        Figure("MLP at 1.5x of one by one: p99, to two batch times", at.quantile_ms(0.99) / (2 * batch_ms), 1.0, "x",
               "at_most"),
        Figure("MLP at saturation, to the session's own batches", _median_ratio(reached, ceiling), 0.9, "x",
               "at_least"),
        Figure("MLP at light load: p50 above the session's own", added, 0.5, "ms", "at_most"),
    ], table  # fmt: skip


async def _of_flat(site: Site) -> tuple[list[Figure], list[str]]:
    async with Runtime.of_bundle(site.manifest) as runtime:
        if runtime.description(MODEL).batched:
            raise RuntimeError(f"expected a model that gains nothing by batches, got the curve {site.curve}")
        _, table = await _loads(runtime, site, "convnet")
        alone, reached = list[float](), list[float]()
        for _ in range(TURNS):
            alone.append(await asyncio.to_thread(_per_second, site.direct, 1, 2.0))
            reached.append(await saturated(runtime, MODEL, site.row, 8, 2.0))
        added = await _added_ms(runtime, site)
    return [
        Figure("convnet, which gains nothing, at saturation, to one by one", _median_ratio(reached, alone), 0.97, "x",
               "at_least"),
        Figure("convnet at light load: p50 above the session's own", added, 0.5, "ms", "at_most"),
    ], table  # fmt: skip


def _median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median of the ratios of each turn: what slows the machine for a while slows both sides of a turn."""
    return median(mine / other for mine, other in zip(ours, theirs, strict=True))


async def _loads(runtime: Runtime, site: Site, name: str) -> tuple[dict[float, Answered], list[str]]:
    """Offer each load, and return its answers and a line of the table."""
    seen, table = dict[float, Answered](), list[str]()
    for load in LOADS:
        before = runtime.statistics()[0]
        rate = load * site.one_by_one
        seen[load] = await offered(runtime, MODEL, site.row, rate, max(100, int(rate * SECONDS)), DEADLINE_S)
        after = runtime.statistics()[0]
        held = (after.rows - before.rows) / max(1, after.batches - before.batches)
        table.append(
            f"| {name} | {load:g}x, {rate:.0f}/s | {seen[load].share:.1%} | {seen[load].quantile_ms(0.5):.1f} | "
            f"{seen[load].quantile_ms(0.99):.1f} | {held:.1f} |"
        )
    return seen, table


async def _added_ms(runtime: Runtime, site: Site) -> float:
    """Return by how much the median of single requests is above that of the session itself, in turns."""
    alone, served = list[float](), list[float]()
    for _ in range(200):
        alone.append(await asyncio.to_thread(_seconds, site.direct, 1))
        begun = time.perf_counter()
        await runtime.answer(MODEL, site.row)
        served.append(time.perf_counter() - begun)
        await asyncio.sleep(0.005)
    return (median(served) - median(alone)) * 1000
