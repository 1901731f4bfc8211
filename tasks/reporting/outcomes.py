"""What came of a version: one line per device, for people and for machines."""

from collections.abc import Sequence
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict

from deployments.device import DeviceProfile
from edge_runtime.measurement import Figures
from quality_gates.errors import EmptySliceError
from quality_gates.evidence import Evidence, ModelEvidence, in_slice
from quality_gates.policy import SliceCondition
from quality_gates.verdict import Approval, Verdict, VerdictOutcome
from tasks.job import Job
from tasks.selection import Climb


class _Plain(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class OfThree(_Plain):
    """One figure of the three models."""

    parent: float | None
    deployed: float | None
    candidate: float | None


class FiguresOfTwo(_Plain):
    """Resource figures of the parent and the candidate."""

    parent: Figures | None
    candidate: Figures | None


class DeviceOutcome(_Plain):
    """What came of a version on one device class."""

    model: str
    version: str
    device: str
    verdict: VerdictOutcome
    published: bool
    rung: str
    snapshot: str
    accuracy: OfThree
    critical_slice: OfThree | None
    figures: FiguresOfTwo
    reasons: tuple[str, ...]
    deployed_version: str | None
    edge_version: str
    report: str
    held_against: str | None = None  # version of the edge model that was deployed then
    approval: Approval | None = None
    answered_on: str | None = None  # the CPU that the candidate's answers are from

    def approved(self, verdict: Verdict) -> Self:
        """The same with an overridden verdict."""
        return self.model_copy(update={"verdict": verdict.outcome, "published": True, "approval": verdict.approval})


class Outcome(_Plain):
    """What came of a version. `reused` says that it had been answered before and nothing was computed."""

    model: str
    version: str
    recipe: str
    recipe_digest: str
    run_id: str
    answer: Literal["published", "partly published", "refused", "error"]
    error: str | None = None
    devices: tuple[DeviceOutcome, ...] = ()
    reused: bool = False

    @classmethod
    def answer_of(cls, devices: Sequence[DeviceOutcome]) -> str:
        """The answer that follows from what came of the version on each device."""
        published = [device.published for device in devices]
        return "published" if all(published) else "partly published" if any(published) else "refused"


def device_outcome(
    job: Job, device: DeviceProfile, climb: Climb, verdict: Verdict, evidence: Evidence, *, deployed: str | None,
    held_against: str | None, edge_version: str, report: str,
) -> DeviceOutcome:  # fmt: skip
    """Gather one device's figures."""
    chosen = climb.chosen
    critical = critical_slices(job)
    return DeviceOutcome(
        model=job.model,
        version=job.version,
        device=device.name,
        verdict=verdict.outcome,
        published=verdict.releases,
        rung=chosen.rung,
        snapshot=chosen.snapshot.title,
        accuracy=_of_three(evidence, None),
        critical_slice=_of_three(evidence, critical[0]) if critical else None,
        figures=FiguresOfTwo(parent=figures_of(evidence.parent), candidate=figures_of(evidence.candidate)),
        reasons=verdict.reasons,
        deployed_version=deployed,
        edge_version=edge_version,
        report=report,
        held_against=held_against,
        answered_on=evidence.candidate.answered_on,
        approval=verdict.approval,
    )


def critical_slices(job: Job) -> list[SliceCondition]:
    """The slices that have gates of their own, in the recipe's order."""
    return job.recipe.critical_slices


def accuracy(model: ModelEvidence | None, condition: SliceCondition | None = None) -> float | None:
    """Mean score of a model over all rows or over a slice; None where it was not measured or no row is."""
    if model is None or model.rows is None:
        return None
    try:
        rows = model.rows if condition is None else model.rows[in_slice(model.rows, condition)]
    except EmptySliceError:
        return None
    return float(rows["score"].mean()) if len(rows) else None


def figures_of(model: ModelEvidence | None) -> Figures | None:
    """Resource figures of a model; None where it was not measured."""
    return None if model is None else model.resources


def _of_three(evidence: Evidence, condition: SliceCondition | None) -> OfThree:
    return OfThree(
        parent=accuracy(evidence.parent, condition),
        deployed=accuracy(evidence.deployed, condition),
        candidate=accuracy(evidence.candidate, condition),
    )
