"""The quantization ladder: from cheap to dear, until every gate holds on validation."""

import logging
from collections.abc import Iterator
from dataclasses import replace

from prefect import task
from prefect.cache_policies import NO_CACHE

from deployments.device import DeviceProfile
from edge_runtime.measurement import RESOURCES
from model_compression.errors import QuantizationError
from quality_gates.evidence import ComparedRows, Evidence
from quality_gates.gates import decide
from quality_gates.verdict import Verdict
from tasks.compression import Baseline, Snapshot, Student, Trajectory
from tasks.measurement import measure_for
from tasks.selection.attempts import Attempt, Climb, Model, attempt, closest, float_failures
from tasks.selection.frontier_search import search
from tasks.selection.parity_runs import parity
from tasks.selection.reasons import why_chosen
from tasks.selection.reference_models import References
from tasks.upstream import not_done, rungs_for

logger = logging.getLogger("edgewright")


@task(name="ladder", cache_policy=NO_CACHE)
def climb(references: References, baseline: Baseline, trajectory: Trajectory, student: Student | None = None) -> Climb:
    """Try the rungs on the largest snapshot that fits the device; on smaller ones while only budgets are missed.

    A student is tried beside them. Of what holds, the better on validation goes to the gates. Where nothing holds,
    the best attempt goes there all the same: they will refuse it and say by how much.
    A recipe with a `search` looks at models and rungs together instead.
    """
    found = _found(references, baseline, trajectory, student)
    left_out = not_done(references.job, references.parent, references.device)
    return replace(found, why=(*found.why, *left_out))


def _found(references: References, baseline: Baseline, trajectory: Trajectory, student: Student | None) -> Climb:
    settings = references.job.recipe.search
    if settings is not None:
        return search(references, [*trajectory.snapshots, *([student] if student else [])], settings)
    refused: list[QuantizationError] = []
    attempts = _climb_trajectory(references, baseline, trajectory, refused)
    if student is not None:
        attempts += _climb_snapshot(references, student, refused)
    if not attempts:
        raise refused[0]
    held = [tried for tried in attempts if tried.verdict.passed]
    chosen = closest(held or attempts)
    return Climb(tuple(attempts), chosen, bool(held), why_chosen(chosen, attempts, "accuracy", refused))


def _climb_trajectory(
    references: References, baseline: Baseline, trajectory: Trajectory, refused: list[QuantizationError]
) -> list[Attempt]:
    attempts: list[Attempt] = []
    for snapshot in _fitting(trajectory, baseline, references.device):
        tried = list(_climb_snapshot(references, snapshot, refused))
        attempts += tried
        if not tried or tried[-1].verdict.passed or tried[-1].measured.unanswered is not None:
            break
        if not any(each.misses_resources_only for each in tried):
            break
    return attempts


def _fitting(trajectory: Trajectory, baseline: Baseline, device: DeviceProfile) -> list[Snapshot]:
    fits = [s for s in trajectory.snapshots if s.weight_bytes + baseline.graph_bytes <= device.budgets.size_bytes]
    return fits or [trajectory.snapshots[-1]]


def _climb_snapshot(references: References, snapshot: Model, refused: list[QuantizationError]) -> Iterator[Attempt]:
    """Yield the attempts; a rung that this model does not take is passed over and its error kept in `refused`."""
    rungs = rungs_for(references.job, references.parent, references.device)
    for position, rung in enumerate(rungs):
        try:
            tried = attempt(references, snapshot, rung)
        except QuantizationError as error:
            logger.warning("%s: %s is passed over: %s", references.device.name, rung.title, error)
            refused.append(error)
            continue
        stop = tried.verdict.passed or position == len(rungs) - 1
        cause = None if stop else _no_dearer_rung(references, tried)
        tried = tried.saying("" if stop else cause or f"Next rung: {rungs[position + 1].title}.")
        logger.info("%s: %s on %s: %s", references.device.name, rung.title, snapshot.title, tried.reason)
        yield tried
        if stop or cause:
            return


def _no_dearer_rung(references: References, tried: Attempt) -> str | None:
    """Say why no dearer rung can mend it: no answers can be had, the file is too large, or the float model fails."""
    if tried.measured.unanswered is not None:
        return "Answers cannot be taken on the device's CPU, which no dearer rung would mend."
    if tried.missed == {RESOURCES["size_bytes"].budget}:
        return "Only the file is too large: a dearer rung makes none smaller, so none is tried."
    failed = float_failures(references, tried.snapshot)
    if not failed:
        return None
    return (
        f"The float snapshot itself fails ({', '.join(failed)}): quantization is not the cause, so no dearer rung is "
        "tried."
    )


@task(name="gates", cache_policy=NO_CACHE)
def judge(
    references: References, chosen: Attempt, representativeness: ComparedRows | None = None
) -> tuple[Verdict, Evidence]:
    """Hold the chosen file against the gates on the test split: the one time that anything looks at it."""
    measured = measure_for(references.job, references.parent, references.device, chosen.file.path, "test")
    evidence = replace(
        references.beside(measured, "test"),
        validation=references.beside(chosen.measured, "validation"),
        parity=parity(references, chosen.file, chosen.snapshot, "test"),
        representativeness=representativeness,
    )
    return decide(references.job.recipe.policy(references.device), evidence), evidence
