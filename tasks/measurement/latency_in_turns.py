"""Latency for the gates' one look: candidate, parent and deployed model timed in turns, so that the figures compare."""

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from deployments.workload import SplitName
from edge_runtime.errors import MeasurementFailed, MeasurementInterrupted, SessionError
from edge_runtime.measurement import MeasureRequest, TurnLatency, too_busy
from edge_runtime.model_files import model_digest
from quality_gates.evidence import BatchLatency, Evidence, LatencyInTurns, ModelEvidence
from tasks.device_link import measure_in_turns
from tasks.measurement.device_measurement import MEASURED, batch_sizes, failed, machine, request
from tasks.store import digest_of
from tasks.upstream import DeviceContext

logger = logging.getLogger("edgewright")
Role: TypeAlias = Literal["candidate", "parent", "deployed", "float"]
Results: TypeAlias = Mapping[str, TurnLatency | MeasurementFailed]
AGAIN_AFTER_S = (1.0, 5.0)
"""Pauses before the figures are taken again where the machine was too busy to compare."""
CODE = ("edge_runtime.measurement", "tasks.device_link", request, __name__)


def timed_in_turns(
    context: DeviceContext, evidence: Evidence, files: Mapping[Role, Path], split: SplitName
) -> Evidence:
    """Return the evidence with times that were taken in turns, for every batch size that a gate limits.

    They take the place of the times that each model has from its own measurement. A model whose measurement failed is
    not timed. Times are kept as a finished stage, but not where the machine was too busy to compare: they are taken
    again twice, after a pause, and the next run takes them anew.
    """
    sound = {role: file for role, file in files.items() if _is_sound(getattr(evidence, role))}
    if "candidate" not in sound:
        return evidence
    sizes = (1, *batch_sizes(context.job))
    found = {size: _results(context, sound, split, size) for size in sizes}
    return replace(
        evidence,
        candidate=_failed_while_timed(found) or _with_times(evidence.candidate, "candidate", found),
        parent=evidence.parent and _with_times(evidence.parent, "parent", found),
        deployed=evidence.deployed and _with_times(evidence.deployed, "deployed", found),
        turns=tuple(_record(size, results) for size, results in found.items()),
    )


def compared_in_turns(
    context: DeviceContext, files: Mapping[Role, Path], split: SplitName
) -> Mapping[str, TurnLatency] | None:
    """Time files in turns, a row at a time; return None where one fails, or the machine is too busy to compare."""
    latencies = _latencies(_results(context, files, split, 1))
    return None if len(latencies) < len(files) or too_busy(latencies) else latencies


def _is_sound(model: ModelEvidence | None) -> bool:
    return model is not None and model.failure is None and model.resources is not None


class _NotComparable(Exception):  # noqa: N818 - carries results past the store, which must not keep them
    def __init__(self, results: Results) -> None:
        super().__init__("the times do not compare")
        self.results = results


def _results(context: DeviceContext, files: Mapping[Role, Path], split: SplitName, size: int) -> Results:
    device, job = context.device, context.job
    try:
        digests, measuring = {role: model_digest(file) for role, file in files.items()}, machine(device)
    except MeasurementInterrupted as error:
        return dict.fromkeys(files, error)
    except SessionError as error:  # a file that was measured before, and was changed since
        return dict.fromkeys(files, MeasurementInterrupted(str(error)))
    inputs = {
        "files": digests,
        "device": digest_of(json.loads(device.model_dump_json(include=MEASURED))),
        "split": split,
        "batch_size": size,
        "machine": measuring,
        **job.digests(split),
    }
    try:
        stage = context.store.run("turns", inputs, CODE, lambda _: _comparable(context, files, split, size))
    except _NotComparable as error:
        return error.results
    return {role: TurnLatency(**figures) for role, figures in stage.value.items()}


def _comparable(context: DeviceContext, files: Mapping[Role, Path], split: SplitName, size: int) -> dict[str, Any]:
    """Take times until they compare, at most three times; raises _NotComparable with the last results."""
    name = context.device.name
    logger.info("%s: %s are timed in turns, %d row(s) at a time", name, ", ".join(files), size)
    results = _once(context, files, split, size)
    for pause in AGAIN_AFTER_S:
        reason = _why_again(results)
        if reason is None:
            break
        logger.info("%s: the times do not compare (%s); they are taken again in %g s", name, reason, pause)
        time.sleep(pause)
        results = _once(context, files, split, size)
    latencies = _latencies(results)
    if len(latencies) < len(results) or too_busy(latencies):
        logger.warning("%s: the times do not compare: %s", name, _why_again(results) or "a model could not be timed")
        raise _NotComparable(results)
    medians = ", ".join(f"{role} {latency.latency_p50_ms:.3g} ms" for role, latency in latencies.items())
    logger.info("%s: timed in turns: median %s", name, medians)
    return {role: asdict(latency) for role, latency in latencies.items()}


def _why_again(results: Results) -> str | None:
    """Return in words what a second try may mend; a model's own failure is no such thing."""
    interrupted = [str(result) for result in results.values() if isinstance(result, MeasurementInterrupted)]
    return interrupted[0] if interrupted else too_busy(_latencies(results))


def _once(context: DeviceContext, files: Mapping[Role, Path], split: SplitName, size: int) -> Results:
    device = context.device
    rows = tuple(array[:size] for array in context.job.splits[split].inputs)
    asked: dict[str, MeasureRequest] = {
        role: request(device, file, rows, latency_batch_size=size) for role, file in files.items()
    }
    try:
        return measure_in_turns(asked, device.measure)
    except MeasurementInterrupted as error:
        return dict.fromkeys(files, error)


def _latencies(results: Results) -> dict[str, TurnLatency]:
    return {role: result for role, result in results.items() if isinstance(result, TurnLatency)}


def _record(size: int, results: Results) -> LatencyInTurns:
    failures = {role: str(result) for role, result in results.items() if isinstance(result, MeasurementFailed)}
    return LatencyInTurns(size, _latencies(results), failures)


def _failed_while_timed(found: Mapping[int, Results]) -> ModelEvidence | None:
    """Return the candidate's failure while it was timed, where that is its own, such as a crash."""
    for results in found.values():
        result = results["candidate"]
        if isinstance(result, MeasurementFailed) and not isinstance(result, MeasurementInterrupted):
            return failed(result)
    return None


def _with_times(model: ModelEvidence, role: Role, found: Mapping[int, Results]) -> ModelEvidence:
    results = {size: of_size[role] for size, of_size in found.items() if role in of_size}
    single = results.get(1)
    if model.resources is None or not isinstance(single, TurnLatency):
        return model
    batches = tuple(
        BatchLatency(size, result.latency_p50_ms, result.latency_p99_ms)
        for size, result in results.items()
        if size > 1 and isinstance(result, TurnLatency)
    )
    times = {name: getattr(single, name) for name in ("load_ms", "latency_p50_ms", "latency_p99_ms")}
    return replace(model, resources=replace(model.resources, **times), batches=batches or model.batches)
