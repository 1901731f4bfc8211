"""The family beside its members compressed apart: accuracy, bytes, latency, private memory, and time of compressing."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from edge_runtime.bundle import Bundle
from edge_runtime.install import DeviceStore, FolderSource, InstallSettings, Limits, Tuning, install
from edge_runtime.measurement import MeasureRequest, TurnLatency, measure, measure_in_turns, too_busy
from edge_runtime.model_files import model_bytes
from edge_runtime.profiling import memory_of
from model_compression.training import predict
from tests.benchmarks.family.family_parents import models, preparing, workloads
from tests.benchmarks.family.kept_compressions import KEPT, Compressed, compress_once
from tests.benchmarks.family.member_recipes import write_recipes
from tests.benchmarks.record import Figure
from tests.benchmarks.runtime.processes_at_once import alive
from tests.benchmarks.trajectory.cache import console

ASIDE = math.inf
POINTS = 100
PROCESSES, REPEATS, TRIES = 5, 300, 3
TIMEOUT_S = 300.0
INSTALL = InstallSettings(Limits(time_s=300, memory_mb=4000), Tuning())
MODULE = "tests.benchmarks.family.loaded_models"
_MIB = 1 << 20


@dataclass(frozen=True)
class SeenTask:
    """One task: the accuracy of its parent, of its model compressed apart and of the family, and that model's costs.

    `load` is that of the machine before the model was compressed.
    """

    name: str
    parent: float
    apart: float
    family: float
    size_bytes: int
    latency_ms: float
    seconds: float
    load: float

    @property
    def lost_to_parent(self) -> float:
        """Points of accuracy that the family loses to the parent."""
        return POINTS * (self.parent - self.family)

    @property
    def lost_to_apart(self) -> float:
        """Points of accuracy that the family loses to the model compressed apart."""
        return POINTS * (self.apart - self.family)

    @property
    def line(self) -> str:
        """The line of the table."""
        return (
            f"| {self.name} | {self.parent:.4f} | {self.apart:.4f} | {self.family:.4f} | {-self.lost_to_parent:+.2f} | "
            f"{-self.lost_to_apart:+.2f} | {self.size_bytes / 1000:.1f} kB | {1000 * self.latency_ms:.0f} us | "
            f"{self.seconds:.0f} s, load {self.load:.1f} |"
        )


@dataclass(frozen=True)
class BothSides:
    """The tasks, the costs of the family, and private memory in MiB of a process with the family and with the others.

    `cpu_s` are the CPU seconds of compressing the family and its hardest member; `load` is that of the machine before
    the family was compressed.
    """

    tasks: tuple[SeenTask, ...]
    size_bytes: int
    latency_ms: float
    seconds: float
    cpu_s: tuple[float, float]
    family_mb: float
    apart_mb: float
    load: float
    disturbed: str | None = None

    @property
    def hardest(self) -> SeenTask:
        """The task whose parent answers the fewest rows rightly."""
        return min(self.tasks, key=lambda task: task.parent)


HEAD = (
    "| task | parent | apart | family | to parent, points | to apart, points | apart: size | apart: a row | "
    "apart: compressed in |\n" + "| --- " * 9 + "|"
)


def part(root: Path) -> tuple[list[Figure], str]:
    """Compress both sides, or take what was kept, and measure their published files, all installed on one device."""
    family, apart = compressed_sides()
    found = _seen(family, apart, DeviceStore(root / "device", family.device))
    return figures(found), table(found)


def figures(found: BothSides) -> list[Figure]:
    """Return the figures of both sides."""
    tasks, hardest = found.tasks, found.hardest
    size, ms = sum(task.size_bytes for task in tasks), sum(task.latency_ms for task in tasks)
    worst, behind = max(tasks, key=lambda task: task.lost_to_parent), max(tasks, key=lambda task: task.lost_to_apart)
    many = f"{len(tasks)} models apart"
    return [
        Figure(f"bytes of the family, to those of {many}", found.size_bytes / size, 0.4, "x", "at_most"),
        Figure(f"latency of all {len(tasks)} answers to a row, to that of {many}", found.latency_ms / ms, 0.35, "x",
               "at_most"),
        Figure(f"private memory, to that of {many}", found.family_mb / found.apart_mb, 0.35, "x", "at_most"),
        Figure(f"{many}: private memory", found.apart_mb, ASIDE, "MiB", "at_most"),
        Figure(f"most that a task loses to its model apart: {behind.name}", behind.lost_to_apart, 1, "points",
               "at_most"),
        Figure(f"most that a task loses to its own parent: {worst.name}", worst.lost_to_parent, 1, "points", "at_most"),
        Figure(f"time of compressing the family, to that of its hardest member, {hardest.name}",
               found.seconds / hardest.seconds, 1.6, "x", "at_most"),
        Figure("the same in CPU time", found.cpu_s[0] / found.cpu_s[1], ASIDE, "x", "at_most"),
    ]  # fmt: skip


def table(found: BothSides) -> str:
    """Return a line for each task, and what the family is."""
    whole = (
        f"The family: {found.size_bytes / 1000:.1f} kB, {1000 * found.latency_ms:.0f} us for all answers to a row, "
        f"compressed in {found.seconds:.0f} s, load {found.load:.1f}."
    )
    disturbed = [] if found.disturbed is None else [f"The times do not compare: {found.disturbed}."]
    return "\n".join([HEAD, *(task.line for task in found.tasks), "", " ".join([whole, *disturbed])])


def compressed_sides() -> tuple[Compressed, dict[str, Compressed]]:
    """Compress the family behind its first member, which is so measured by a machine that is as busy."""
    recipes, apart = write_recipes(KEPT / "recipes"), dict[str, Compressed]()
    family: Compressed | None = None
    for number, (name, recipe) in enumerate(recipes.members.items(), 1):
        console.print(f"compression of {name} apart, {number} of {len(recipes.members)}", markup=False)
        apart[name] = compress_once(recipe, preparing(recipes.device, (name,)))
        if family is None:
            console.print("compression of the family", markup=False)
            family = compress_once(recipes.family, preparing(recipes.device, tuple(recipes.members)))
    assert family is not None, "expected a recipe with members"
    return family, apart


def _seen(family: Compressed, apart: Mapping[str, Compressed], store: DeviceStore) -> BothSides:
    whole, alone = family.releases()[0], {name: each.releases()[0] for name, each in apart.items()}
    latencies, disturbed = _timed({family.model: whole} | {each.manifest.model: each for each in alone.values()})
    tasks = tuple(
        SeenTask(
            name, _accuracy_of_parent(name), _accuracy(bundle, name, 0), _accuracy(whole, name, place),
            _bytes(bundle), latencies[bundle.manifest.model], apart[name].seconds, apart[name].load,
        )
        for place, (name, bundle) in enumerate(alone.items())
    )  # fmt: skip
    hardest = min(tasks, key=lambda task: task.parent).name
    memory = _private_memory(store, family, [*apart.values()])
    return BothSides(
        tasks, _bytes(whole), latencies[family.model], family.seconds, (family.cpu_s, apart[hardest].cpu_s), *memory,
        family.load, disturbed,
    )  # fmt: skip


def _bytes(bundle: Bundle) -> int:
    return model_bytes(bundle.entry_path, bundle.heads)


def _request(bundle: Bundle, rows: tuple[np.ndarray, ...], **changes: int) -> MeasureRequest:
    names = [spec.name for spec in bundle.manifest.inputs]
    return MeasureRequest(
        bundle.entry_path, dict(zip(names, rows, strict=True)), bundle.manifest.session, heads=bundle.heads,
        **changes,
    )  # fmt: skip


def _accuracy_of_parent(task: str) -> float:
    test, workload = workloads()[task].split("test"), workloads()[task]
    return float(workload.score(predict(models()[task], test.inputs), test.targets).mean())


def _accuracy(bundle: Bundle, task: str, place: int) -> float:
    """Return the accuracy of the output at a place on the test rows of a task."""
    test, workload = workloads()[task].split("test"), workloads()[task]
    found = measure(_request(bundle, test.inputs, latency_repeats=1), TIMEOUT_S)
    return float(workload.score(found.outputs[place], test.targets).mean())


def _timed(bundles: Mapping[str, Bundle]) -> tuple[dict[str, float], str | None]:
    """Return the median milliseconds of a row, taken in turns, and why they do not compare where they do not."""
    row = tuple(array[:1] for array in next(iter(workloads().values())).split("test").inputs)
    asked = {name: _request(bundle, row, latency_repeats=REPEATS) for name, bundle in bundles.items()}
    disturbed: str | None = None
    latencies = dict[str, TurnLatency]()
    for _ in range(TRIES):
        for name, result in measure_in_turns(asked, TIMEOUT_S).items():
            if not isinstance(result, TurnLatency):
                raise result
            latencies[name] = result
        disturbed = too_busy(latencies)
        if disturbed is None:
            break
    return {name: latency.latency_p50_ms for name, latency in latencies.items()}, disturbed


def _private_memory(store: DeviceStore, family: Compressed, apart: list[Compressed]) -> tuple[float, float]:
    """Install all releases on one device; return the private MiB of a process with the family, and with the others."""
    for each in (family, *apart):
        install(store, each.model, each.releases()[0].path.read_bytes(), FolderSource(each.workspace.target), INSTALL)
    empty = _private_mb(store)
    return _private_mb(store, family.model) - empty, _private_mb(store, *(each.model for each in apart)) - empty


def _private_mb(store: DeviceStore, *names: str) -> float:
    found = list[float]()
    for _ in range(PROCESSES):
        with alive(1, str(store.root), store.device, *names, module=MODULE) as lived:
            if not lived:
                raise RuntimeError(f"expected a process with {', '.join(names) or 'nothing'} loaded, got none")
            found.append(memory_of(lived[0].pid).private_mb)
    return median(found)
