"""The quantization ladder: from cheap rungs to costly ones, until every gate holds on validation."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace

from prefect import task
from prefect.cache_policies import NO_CACHE

from edge_runtime.measurement import RESOURCES
from model_compression.errors import QuantizationError
from quality_gates.evidence import Evidence
from quality_gates.gates import decide
from quality_gates.representativeness import Representativeness
from quality_gates.verdict import Verdict
from tasks.compression import Baseline, Snapshot, Student, Trajectory
from tasks.measurement import measure_for, timed_in_turns
from tasks.registry import EdgeVersion
from tasks.selection.attempts import Attempt, Climb, Model, References, Trials, closest
from tasks.selection.parity_runs import parity
from tasks.selection.search import search, why_chosen
from tasks.upstream import DeviceContext

logger = logging.getLogger("edgewright")


@dataclass(frozen=True)
class Judgement:
    """The gates' decision on the test rows, its evidence, and the model that was deployed then."""

    verdict: Verdict
    evidence: Evidence
    deployed: EdgeVersion | None
    representativeness: Representativeness | None = None

    @property
    def deployed_version(self) -> str | None:
        """The upstream version of the model that was deployed then."""
        return self.deployed.source_version if self.deployed else None


@task(name="ladder", cache_policy=NO_CACHE)
def climb(
    context: DeviceContext, trials: Trials, baseline: Baseline, trajectory: Trajectory, student: Student | None = None
) -> Climb:
    """Try the rungs on the largest snapshot that fits the device; on smaller ones while only budgets are missed.

    A student is tried beside them. The most accurate attempt that holds on validation goes to the gates. Where none
    holds, the best attempt goes there all the same: the gates refuse it and say by how much. A recipe with a `search`
    looks at models and rungs together instead. Raises QuantizationError where no rung can quantize the models.
    """
    found = _found(context, trials, baseline, trajectory, student)
    return replace(found, why=(*found.why, *context.left_out))


def _found(
    context: DeviceContext, trials: Trials, baseline: Baseline, trajectory: Trajectory, student: Student | None
) -> Climb:
    settings = context.job.recipe.search
    if settings is not None:
        return search(context, trials, [*trajectory.snapshots, *([student] if student else [])], settings)
    refused: list[QuantizationError] = []
    attempts = _climb_trajectory(context, trials, _fitting(context, baseline, trajectory), refused)
    if student is not None:
        attempts += _climb_model(context, trials, student, refused)
    if not attempts:
        raise refused[0]
    held = [tried for tried in attempts if tried.verdict.passed]
    chosen = closest(held or attempts)
    return Climb(tuple(attempts), chosen, bool(held), why_chosen(chosen, attempts, "accuracy", refused))


def _climb_trajectory(
    context: DeviceContext, trials: Trials, snapshots: list[Snapshot], refused: list[QuantizationError]
) -> list[Attempt]:
    attempts: list[Attempt] = []
    for snapshot in snapshots:
        tried = list(_climb_model(context, trials, snapshot, refused))
        attempts += tried
        if not tried or tried[-1].verdict.passed or tried[-1].measured.unanswered is not None:
            break
        if not any(each.misses_resources_only for each in tried):
            break
    return attempts


def _fitting(context: DeviceContext, baseline: Baseline, trajectory: Trajectory) -> list[Snapshot]:
    budget = context.device.budgets.size_bytes
    fits = [s for s in trajectory.snapshots if s.weight_bytes + baseline.graph_bytes <= budget]
    return fits or [trajectory.snapshots[-1]]


def _climb_model(
    context: DeviceContext, trials: Trials, model: Model, refused: list[QuantizationError]
) -> Iterator[Attempt]:
    """Yield the attempts; a rung that cannot quantize this model is passed over, and its error is kept in `refused`."""
    rungs, device = context.rungs, context.device.name
    for position, rung in enumerate(rungs):
        try:
            tried = trials.attempt(model, rung)
        except QuantizationError as error:
            logger.warning("%s: %s is passed over: %s", device, rung.title, error)
            refused.append(error)
            continue
        stop = tried.verdict.passed or position == len(rungs) - 1
        cause = None if stop else _no_costlier_rung(trials, tried)
        tried = tried.saying("" if stop else cause or f"Next rung: {rungs[position + 1].title}.")
        logger.info("%s: %s on %s: %s", device, rung.title, model.title, tried.reason)
        yield tried
        if stop or cause:
            return


def _no_costlier_rung(trials: Trials, tried: Attempt) -> str | None:
    """Return the reason why no costlier rung can help, if there is one.

    The device's answers cannot be taken, the file is too large, or the float model itself fails.
    """
    if tried.measured.unanswered is not None:
        return "Answers cannot be taken on the device's CPU, which no dearer rung would mend."
    if tried.missed == {RESOURCES["size_bytes"].budget}:
        return "Only the file is too large: a dearer rung makes none smaller, so none is tried."
    failed = trials.float_failures(tried.snapshot)
    if not failed:
        return None
    return (
        f"The float snapshot itself fails ({', '.join(failed)}): quantization is not the cause, so no dearer rung is "
        "tried."
    )


@task(name="gates", cache_policy=NO_CACHE)
def judge(references: References, chosen: Attempt, representativeness: Representativeness | None = None) -> Judgement:
    """Hold the chosen file against the gates on the test split: the one time that anything looks at it.

    Its times are taken in turns with those of the models that it is compared with.
    """
    context, file = references.context, chosen.file.path
    beside = references.beside(measure_for(context, file, "test"), "test")
    evidence = replace(
        timed_in_turns(context, beside, references.files(file), "test"),
        validation=references.beside(chosen.measured, "validation"),
        parity=parity(context, chosen.file, chosen.snapshot, "test"),
        representativeness=representativeness,
    )
    verdict = decide(context.job.recipe.policy(context.device), evidence)
    return Judgement(verdict, evidence, references.deployed, representativeness)
