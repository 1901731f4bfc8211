"""The quantization ladder: from cheap rungs to costly ones, until every gate holds on validation."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace

from prefect import task
from prefect.cache_policies import NO_CACHE

from deployments.rungs import PostTraining, Rung
from edge_runtime.measurement import RESOURCES
from model_compression.errors import QuantizationError
from quality_gates.evidence import Evidence, Unanswered
from quality_gates.gates import decide
from quality_gates.representativeness import Representativeness
from quality_gates.verdict import Verdict
from tasks.compression import Baseline, Snapshot, Student, Trajectory
from tasks.measurement import measure_for, measured_again, timed_in_turns
from tasks.registry import Anchor, EdgeVersion
from tasks.selection.attempts import Attempt, Climb, Model, References, Trials, closest
from tasks.selection.float_guard import not_slower_than_float
from tasks.selection.looks import take_look
from tasks.selection.parity_runs import parity
from tasks.selection.search import search, why_chosen
from tasks.selection.told_advances import tell_attempt, tell_gates, tell_passed_over
from tasks.upstream import DeviceContext

logger = logging.getLogger("edgewright")
ALIKE = 0.98  # files of one kind of integers differ by less, for the same layers


@dataclass(frozen=True)
class Judgement:
    """The gates' decision on the test rows, its evidence, and the releases that were deployed and compared with."""

    verdict: Verdict
    evidence: Evidence
    deployed: EdgeVersion | None
    reference: EdgeVersion | None = None
    held_against: int | None = None
    representativeness: Representativeness | None = None
    anchor: Anchor | None = None

    @property
    def deployed_version(self) -> str | None:
        """The upstream version of the model that was deployed then."""
        return self.deployed.source_version if self.deployed else None

    @property
    def reference_version(self) -> str | None:
        """The upstream version of the release that was compared with."""
        return self.reference.source_version if self.reference else None


@task(name="ladder", task_run_name="ladder {context.device.name}", cache_policy=NO_CACHE)
def climb(
    context: DeviceContext, trials: Trials, baseline: Baseline, trajectory: Trajectory, student: Student | None = None
) -> Climb:
    """Try the rungs on the largest snapshot that fits the device; on smaller ones while only budgets are missed.

    A student is tried beside them. The most accurate attempt that holds on validation goes to the gates. Where none
    holds, the best attempt goes there all the same: the gates refuse it and say by how much. A recipe with a `search`
    looks at models and rungs together instead. Where latency matters, a file that is slower than its float file gives
    way to that. Raises QuantizationError where no rung can quantize the models.
    """
    found = not_slower_than_float(context, trials, _found(context, trials, baseline, trajectory, student))
    noted = (found.chosen.file.note,) if found.chosen.file.note else ()
    return replace(found, why=(*found.why, *noted, *context.left_out))


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
    """Return the snapshots of which one of the device's rungs can make a file that fits; else the smallest one."""
    budget = context.device.budgets.size_bytes
    fits = [each for each in trajectory.snapshots if baseline.least_bytes(each, context.rungs) <= budget]
    return fits or [trajectory.snapshots[-1]]


def _climb_model(
    context: DeviceContext, trials: Trials, model: Model, refused: list[QuantizationError]
) -> Iterator[Attempt]:
    """Yield the attempts; a rung that cannot quantize this model is passed over, and its error is kept in `refused`."""
    left, device = list(context.rungs), context.device.name
    attempts: list[Attempt] = []
    while left:
        rung = left.pop(0)
        try:
            tried = trials.attempt(model, rung)
        except QuantizationError as error:
            logger.warning("%s: %s is passed over: %s", device, rung.title, error)
            refused.append(error)
            tell_passed_over(context, model, rung, error, len(context.rungs) - len(left), len(left))
            continue
        attempts.append(tried)
        cause = ""
        if tried.verdict.passed:
            left = []
        elif left:
            left, cause = _worth_trying(context, trials, attempts, left)
        tried = tried.saying(f"Next rung: {left[0].title}." if left else cause)
        logger.info("%s: %s on %s: %s", device, rung.title, model.title, tried.reason)
        tell_attempt(context, tried, len(context.rungs) - len(left), len(left))
        yield tried


def _worth_trying(
    context: DeviceContext, trials: Trials, attempts: list[Attempt], left: list[Rung]
) -> tuple[list[Rung], str]:
    """Return the costlier rungs that may help after the last attempt, and the reason where none can.

    None can where the device's answers cannot be taken, where the float model itself fails, or where only the file is
    too large and no rung makes a smaller one.
    """
    tried = attempts[-1]
    if tried.measured.unanswered is not None:
        return [], "Answers cannot be taken on the device's CPU, which no dearer rung would mend."
    if tried.misses_resources_only and RESOURCES["size_bytes"].budget in tried.missed:
        fitting = _smaller(context, trials, attempts, left)
        return fitting, "Only the file is too large: a dearer rung makes none smaller, so none is tried."
    failed = trials.float_failures(tried.snapshot)
    if not failed:
        return left, ""
    return [], (
        f"The float snapshot itself fails ({', '.join(failed)}): quantization is not the cause, so no dearer rung is "
        "tried."
    )


def _smaller(context: DeviceContext, trials: Trials, attempts: list[Attempt], left: list[Rung]) -> list[Rung]:
    """Return the rungs whose file may keep the budget of bytes.

    A static rung's file is as large as that of PTQ, or larger where layers stay in float, so PTQ's size decides on it.
    The other rungs are cheap: making their file is the way to know its size.
    """
    least = next((tried.size_bytes for tried in attempts if _is_all_integers(tried.rung)), None)
    if not any(rung.static for rung in left) or (least is None and any(map(_is_all_integers, left))):
        return left
    if least is None:
        figures = trials.expected(attempts[-1].snapshot)
        least = None if figures is None else int(figures.value("size_bytes"))
    fits = least is None or ALIKE * least <= context.device.budgets.size_bytes
    return [rung for rung in left if fits or not rung.static]


def _is_all_integers(rung: Rung) -> bool:
    return isinstance(rung, PostTraining) and not rung.leaves_in_float


@task(name="gates", task_run_name="gates {references.context.device.name}", cache_policy=NO_CACHE)
def judge(references: References, chosen: Attempt, representativeness: Representativeness | None = None) -> Judgement:
    """Hold the chosen file against the gates on the test split: the one time that anything looks at it.

    The look is recorded before. Where the split's looks are all taken, no row is read and every gate is inconclusive.
    Times are taken in turns with those of the models that it is compared with. Where a gate limits its times or its
    memory, they are taken again in fresh processes.
    """
    context, look = references.context, take_look(references.context)
    evidence = replace(
        _evidence(references, chosen) if look.withheld is None else _blind(references, chosen, look.withheld),
        validation=references.beside(chosen.measured, "validation"),
        representativeness=representativeness,
    )
    verdict = look.closed(decide(context.job.recipe.policy(context.device), evidence))
    tell_gates(context, verdict)
    return Judgement(
        verdict, evidence, references.deployed, references.reference, references.held_against, representativeness,
        references.anchor,
    )  # fmt: skip


def _evidence(references: References, chosen: Attempt) -> Evidence:
    context, file = references.context, chosen.file.path
    beside = references.beside(measure_for(context, file, "test"), "test")
    timed = timed_in_turns(context, beside, references.files(file), "test")
    repeated = measured_again(context, timed, file, "test")
    return replace(repeated, parity=parity(context, chosen.file, chosen.snapshot, "test"))


def _blind(references: References, chosen: Attempt, withheld: Unanswered) -> Evidence:
    """Return the evidence where the test rows may not be looked at; the file is still known by its digest."""
    return references.without_rows(chosen.measured, "test", withheld)
