"""Outcomes: the answer to a version, one line per device, and the history of a model's versions made of them."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, ValidationError

from edge_runtime.measurement import Figures
from quality_gates.errors import EmptySliceError
from quality_gates.evidence import Evidence, ModelEvidence, in_slice
from quality_gates.policy import SliceCondition
from quality_gates.report import HistoryRow
from quality_gates.verdict import Approval, Verdict, VerdictOutcome
from tasks.registry import EdgeModels, EdgeVersion, Runs
from tasks.selection import Climb, Judgement
from tasks.upstream import DeviceContext

logger = logging.getLogger("edgewright")
REPORT = "report.html"
Alias: TypeAlias = Literal["deployed", "previous", ""]


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
    """The answer to a version on one device class."""

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
    run_id: str  # of the run that shows this device
    edge_version: str | None = None  # known once the candidate is registered
    held_against: str | None = None  # version of the edge model that was deployed then
    approval: Approval | None = None
    answered_on: str | None = None  # the CPU that the candidate's answers are from
    scores_are_shares: bool = True  # of rows that are right; else accuracy is in the unit of the scores

    @property
    def report(self) -> str:
        """Address of the gate report's page."""
        return f"runs:/{self.run_id}/{REPORT}"

    def registered(self, edge_version: str) -> Self:
        """Return a copy with the version that the candidate was registered as."""
        return self.model_copy(update={"edge_version": edge_version})

    def approved(self, verdict: Verdict) -> Self:
        """Return a copy with an overridden verdict."""
        return self.model_copy(update={"verdict": verdict.outcome, "published": True, "approval": verdict.approval})


class Outcome(_Plain):
    """The answer to a version; `reused` where it had been answered before and nothing was computed."""

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
        """Return the answer that follows from the outcomes on each device."""
        published = [device.published for device in devices]
        return "published" if all(published) else "partly published" if any(published) else "refused"


def device_outcome(context: DeviceContext, climb: Climb, judgement: Judgement) -> DeviceOutcome:
    """Gather one device's figures, as they are known before its candidate is registered."""
    job, evidence, verdict = context.job, judgement.evidence, judgement.verdict
    critical = job.recipe.critical_slices
    return DeviceOutcome(
        model=job.model,
        version=job.version,
        device=context.device.name,
        verdict=verdict.outcome,
        published=verdict.releases,
        rung=climb.chosen.rung.title,
        snapshot=climb.chosen.snapshot.title,
        accuracy=_of_three(evidence, None),
        critical_slice=_of_three(evidence, critical[0]) if critical else None,
        figures=FiguresOfTwo(parent=figures_of(evidence.parent), candidate=figures_of(evidence.candidate)),
        reasons=verdict.reasons,
        deployed_version=judgement.deployed_version,
        run_id=context.device_run,
        held_against=judgement.deployed.version if judgement.deployed else None,
        answered_on=evidence.candidate.answered_on,
        approval=verdict.approval,
        scores_are_shares=scores_are_shares(evidence),
    )


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


def recorded_outcomes(runs: Runs) -> Iterator[tuple[int, str, Outcome]]:
    """Yield (start in ms, run key, outcome) of every answer, the earliest first.

    A record in another form, such as one of another release, is passed over with a warning.
    """
    for started, run_key, content in runs.answers():
        try:
            outcome = Outcome.model_validate(content)
        except ValidationError as error:
            count = error.error_count()
            logger.warning("model %s: an answer in another form is passed over (%d differences)", runs.model, count)
            continue
        yield started, run_key, outcome


def history(runs: Runs, models: EdgeModels, device: str | None = None) -> Iterator[tuple[str, HistoryRow]]:
    """Yield (device, the answer to one version there), the earliest answer first; of one device or of all."""
    aliases: dict[str, dict[str, Alias]] = {}
    for started, run_key, outcome in recorded_outcomes(runs):
        for line in outcome.devices:
            if device in (None, line.device):
                if line.device not in aliases:
                    aliases[line.device] = _aliases(models, line.device)
                when = datetime.fromtimestamp(started / 1000, UTC)
                yield line.device, history_row(line, when, aliases[line.device].get(run_key, ""))


def until_now(past: Iterable[HistoryRow], current: HistoryRow) -> tuple[HistoryRow, ...]:
    """Append the version that is being decided to the past ones; published, it replaces the deployed one."""
    past = tuple(past)
    if not current.published or all(row.now != "deployed" for row in past):  # none, or this one is it already
        return (*past, current)
    after: dict[Alias, Alias] = {"deployed": "previous", "previous": "", "": ""}
    return (*(row.model_copy(update={"now": after[row.now]}) for row in past), current)


def history_row(line: DeviceOutcome, when: datetime, now: Alias) -> HistoryRow:
    """Return one line of the history; `now` is the alias of its edge model today."""
    return HistoryRow(
        version=line.version,
        when=f"{when:%Y-%m-%d %H:%M}",
        published=line.published,
        overridden=line.approval is not None,
        now=now,
        scores_are_shares=line.scores_are_shares,
        accuracy=line.accuracy.candidate,
        critical=line.critical_slice.candidate if line.critical_slice else None,
        figures=line.figures.candidate,
        why=why(line),
    )


def why(line: DeviceOutcome) -> str:
    """Return in words the person who approved a version, else the reason against it, else how it was made."""
    if line.approval is not None:
        approval = line.approval
        return f"approved by {approval.name} until {approval.until} ({approval.reason}), against: {line.reasons[0]}"
    return line.reasons[0] if line.reasons else f"{line.rung} on {line.snapshot}"


def _aliases(models: EdgeModels, device: str) -> dict[str, Alias]:
    """Return the alias that each run's edge model has today, by the key of the run."""
    found: dict[Alias, EdgeVersion | None] = {"previous": models.previous(device), "deployed": models.deployed(device)}
    return {edge.run_key: alias for alias, edge in found.items() if edge is not None}
