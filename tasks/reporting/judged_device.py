"""The outcome of one device, gathered from its judgement; and the scores and figures that it and the report show."""

from datetime import UTC, datetime, timedelta

from edge_runtime.measurement import Figures
from quality_gates.approval import undecided_gates
from quality_gates.errors import EmptySliceError
from quality_gates.evidence import Evidence, ModelEvidence, in_slice
from quality_gates.policy import SliceCondition
from quality_gates.report import worst_gate
from quality_gates.sign_off import SignOffs
from quality_gates.verdict import Verdict
from tasks.outcomes import DeviceOutcome, FiguresOfTwo, OfThree
from tasks.selection import Climb, Judgement
from tasks.upstream import DeviceContext


def device_outcome(context: DeviceContext, climb: Climb, judgement: Judgement, *, back: bool = False) -> DeviceOutcome:
    """Gather one device's figures, as they are known before its candidate is registered; `back` is a way back."""
    job, evidence, verdict = context.job, judgement.evidence, judgement.verdict
    asked = _sign_off(context, verdict)
    critical, worst = job.recipe.critical_slices, worst_gate(verdict.gates)
    return DeviceOutcome(
        model=job.model,
        version=job.version,
        device=context.device.name,
        verdict=verdict.outcome,
        published=verdict.releases and asked is None,
        rung=climb.chosen.rung.title,
        snapshot=climb.chosen.snapshot.title,
        accuracy=_of_three(evidence, None),
        critical_slice=_of_three(evidence, critical[0]) if critical else None,
        figures=FiguresOfTwo(parent=figures_of(evidence.parent), candidate=figures_of(evidence.candidate)),
        reasons=verdict.reasons,
        deployed_version=judgement.deployed_version,
        run_id=context.device_run,
        version_run_id=context.run,
        held_against=judgement.held_against,
        anchor=None if judgement.anchor is None else judgement.anchor.edge.release,
        answered_on=evidence.candidate.answered_on.name if evidence.candidate.answered_on else None,
        approval=verdict.approval,
        undecided=not verdict.releases and verdict.undecided_by_noise,
        refused_on_answers=not verdict.releases and _stopped_by_answers(context, verdict),
        withheld=evidence.withheld is not None,
        scores_are_shares=scores_are_shares(evidence),
        worst_gate=None if worst is None else worst.name,
        sign_off=asked,
        goes_back=back,
    )


def _sign_off(context: DeviceContext, verdict: Verdict) -> SignOffs | None:
    """Return the sign-off that a candidate that passed waits for; None where the recipe asks for none."""
    recipe = context.job.recipe
    if recipe.sign_off is None or recipe.sign_off_within_days is None or not verdict.passed:
        return None
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=recipe.sign_off_within_days)
    return SignOffs(persons=recipe.sign_off, until=until, by_key=bool(recipe.signers))


def _stopped_by_answers(context: DeviceContext, verdict: Verdict) -> bool:
    """Tell whether a gate that asks something of the answers is in the way, by a figure and not for want of one."""
    gates = context.job.recipe.policy(context.device).gates
    on_answers = {gate.name for gate in gates if gate.demand != "nothing"}
    unmeasured = {gate.name for gate in undecided_gates(verdict)}
    return any(gate.name in on_answers - unmeasured and not gate.asked_again for gate in verdict.blocking)


def scores_are_shares(evidence: Evidence) -> bool:
    """Return True where each model's mean score is a share of rows: all of its scores are 0 or 1."""
    models = (evidence.candidate, evidence.parent, evidence.deployed)
    return all(model.right_or_wrong for model in models if model is not None)


def accuracy(model: ModelEvidence | None, condition: SliceCondition | None = None) -> float | None:
    """Return the mean score of a model over all rows or over a slice; None where it was not measured or has no row."""
    if model is None or model.rows is None:
        return None
    try:
        rows = model.rows if condition is None else model.rows[in_slice(model.rows, condition)]
    except EmptySliceError:
        return None
    return float(rows["score"].mean(skipna=False)) if len(rows) else None


def figures_of(model: ModelEvidence | None) -> Figures | None:
    """Return the resource figures of a model; None where it was not measured."""
    return None if model is None else model.resources


def _of_three(evidence: Evidence, condition: SliceCondition | None) -> OfThree:
    return OfThree(
        parent=accuracy(evidence.parent, condition),
        deployed=accuracy(evidence.deployed, condition),
        candidate=accuracy(evidence.candidate, condition),
    )
