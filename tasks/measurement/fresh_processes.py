"""The candidate's figures in fresh processes, for the limits that hold them: how much they vary is then known."""

import json
import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from deployments.workload import SplitName
from edge_runtime.errors import MeasurementFailed
from edge_runtime.measurement import RESOURCES, Figures, TurnLatency
from edge_runtime.model_files import model_digest
from quality_gates.evidence import Evidence, RepeatedFigures
from quality_gates.gates import Limit
from quality_gates.statistics import PROCESSES
from tasks.device_link import measure, measure_in_turns
from tasks.measurement.device_measurement import MEASURED, failed, machine, request
from tasks.store import digest_of
from tasks.upstream import DeviceContext

logger = logging.getLogger("edgewright")
AT_ONCE = 2
"""Processes whose memory is measured at once: they do not disturb each other's."""
SECONDS = 1.0
"""Time after which a process has timed enough calls, though fewer than the device profile asks for."""
CODE = ("edge_runtime.measurement", "tasks.device_link", request, __name__)


def measured_again(context: DeviceContext, evidence: Evidence, file: Path, split: SplitName) -> Evidence:
    """Return the evidence with the candidate's times and memory in fresh processes, where a gate limits them.

    They are taken in 5 processes, the one of the first measurement included, and while a figure is too close to its
    limit to tell, in 10 and then 20. A file that cannot be measured again is a failed measurement.
    """
    gates = context.job.recipe.policy(context.device).gates
    limits = [gate for gate in gates if isinstance(gate, Limit) and gate.resource and RESOURCES[gate.resource].varies]
    candidate = evidence.candidate
    if not limits or candidate.failure is not None or candidate.resources is None:
        return evidence
    seen = evidence
    for count in PROCESSES:
        try:
            seen = replace(evidence, repeated=tuple(_repeated(context, limits, seen, file, split, count)))
        except MeasurementFailed as error:
            return replace(evidence, candidate=replace(failed(error), file_sha256=candidate.file_sha256))
        close = [gate.name for gate in limits if gate.evaluate(seen).outcome == "inconclusive"]
        if not close:
            break
        logger.info("%s: too close to tell in %d processes: %s", context.device.name, count, ", ".join(close))
    return seen


@dataclass(frozen=True)
class _Fresh:
    """Processes of one candidate that answer so many rows at a time."""

    context: DeviceContext
    file: Path
    split: SplitName
    batch_size: int

    def times(self, count: int) -> list[TurnLatency]:
        """Time the calls in so many processes, one after the other; raises MeasurementFailed."""
        return [self._timed() for _ in range(count)]

    def memory(self, count: int) -> list[Figures]:
        """Return the figures of so many processes, of which only memory counts; raises MeasurementFailed."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(lambda _: self._run(), range(count)))

    def _timed(self) -> TurnLatency:
        asked = request(self.context.device, self.file, self._rows(self.batch_size), latency_batch_size=self.batch_size)
        asked = replace(asked, latency_seconds=SECONDS)
        result = measure_in_turns({"candidate": asked}, self.context.device.measure)["candidate"]
        if isinstance(result, MeasurementFailed):
            raise result
        return result

    def _run(self) -> Figures:
        device = self.context.device
        asked = request(device, self.file, self._rows(2 * device.max_batch), latency_warmup=0, latency_repeats=1)
        return measure(asked, device.measure).figures

    def _rows(self, count: int) -> tuple[Any, ...]:
        return tuple(array[:count] for array in self.context.job.splits[self.split].inputs)


class _Disturbed(Exception):  # noqa: N818 - carries figures past the store, which must not keep them
    def __init__(self, figures: RepeatedFigures) -> None:
        super().__init__("a process was disturbed")
        self.figures = figures


def _repeated(
    context: DeviceContext, limits: Sequence[Limit], seen: Evidence, file: Path, split: SplitName, count: int
) -> Iterator[RepeatedFigures]:
    asked: dict[int, set[str]] = {}
    for gate in limits:
        asked.setdefault(gate.batch_size or 1, set()).add(str(gate.resource))
    for size, names in asked.items():
        fresh = _Fresh(context, file, split, size)
        before = next((each for each in seen.repeated if each.batch_size == size), None)
        yield _figures(fresh, before or _first(seen, size, sorted(names)), count)


def _first(seen: Evidence, size: int, names: Sequence[str]) -> RepeatedFigures:
    """Return what the first measurement says: times that were taken in turns, and memory; a resource may have none."""
    turns = next((each for each in seen.turns if each.batch_size == size), None)
    timed = None if turns is None else turns.latencies.get("candidate")
    first: dict[str, tuple[float, ...]] = dict.fromkeys(names, ())
    for name in names:
        if RESOURCES[name].is_time and timed is not None:
            first[name] = (float(getattr(timed, name)),)
        elif not RESOURCES[name].is_time and seen.candidate.resources is not None:
            first[name] = (seen.candidate.resources.value(name),)
    return RepeatedFigures(size, first)


def _figures(fresh: _Fresh, before: RepeatedFigures, count: int) -> RepeatedFigures:
    """Return the figures of so many processes; they are kept as a finished stage unless one was disturbed."""
    job, device = fresh.context.job, fresh.context.device
    inputs = {
        "file": model_digest(fresh.file),
        "device": digest_of(json.loads(device.model_dump_json(include=MEASURED))),
        "split": fresh.split,
        "batch_size": fresh.batch_size,
        "resources": sorted(before.values),
        "processes": count,
        "machine": machine(device),
        **job.digests(fresh.split),
    }

    def produce(_: Path) -> dict[str, Any]:
        found = _more(fresh, before, count)
        if found.disturbances:
            raise _Disturbed(found)
        return {name: list(values) for name, values in found.values.items()}

    try:
        stage = fresh.context.store.run("fresh-processes", inputs, CODE, produce)
    except _Disturbed as error:
        return error.figures
    return replace(before, values={name: tuple(values) for name, values in stage.value.items()})


def _more(fresh: _Fresh, before: RepeatedFigures, count: int) -> RepeatedFigures:
    missing = {name: count - len(known) for name, known in before.values.items()}
    times = [name for name in missing if RESOURCES[name].is_time]
    latencies = fresh.times(max((missing[name] for name in times), default=0))
    more = {name: [float(getattr(latency, name)) for latency in latencies] for name in times}
    others = [name for name in missing if name not in times]
    runs = fresh.memory(max((missing[name] for name in others), default=0))
    more |= {name: [run.value(name) for run in runs[: missing[name]]] for name in others}
    values = {name: (*known, *more[name]) for name, known in before.values.items()}
    disturbances = dict(before.disturbances)
    for name in times:
        said = (latency.load_disturbance if name == "load_ms" else latency.disturbance for latency in latencies)
        if (first := next(filter(None, said), None)) is not None:
            disturbances.setdefault(name, first)
    return RepeatedFigures(before.batch_size, values, disturbances)
