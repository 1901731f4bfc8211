"""What came of the versions of a model: when, with which figures, what is deployed now, what was refused and why."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

from quality_gates.evidence import Evidence
from quality_gates.report import HistoryRow
from quality_gates.verdict import Approval, Verdict
from tasks.job import Job
from tasks.registry import EdgeModels, Runs
from tasks.reporting.outcomes import DeviceOutcome, Outcome, accuracy, critical_slices
from tasks.selection import Attempt


def history(runs: Runs, models: EdgeModels, device: str | None = None) -> Iterator[tuple[str, HistoryRow]]:
    """Yield (device, what came of one version there), the earliest answer first; of one device or of all."""
    aliases: dict[str, dict[str, str]] = {}
    for started, run_key, content in runs.answers():
        outcome = Outcome.model_validate(content)
        for line in outcome.devices:
            if device in (None, line.device):
                if line.device not in aliases:
                    aliases[line.device] = _aliases(models, line.device)
                yield line.device, history_row(line, started, aliases[line.device].get(run_key, ""))


def until_now(past: Iterable[HistoryRow], current: HistoryRow) -> tuple[HistoryRow, ...]:
    """Put the version that is being decided behind the past ones; published, it takes the deployed one's place."""
    past = tuple(past)
    if not current.published or all(row.now != "deployed" for row in past):  # none, or this one is it already
        return (*past, current)
    after = {"deployed": "previous", "previous": "", "": ""}
    return (*(row.model_copy(update={"now": after[row.now]}) for row in past), current)


def history_row(line: DeviceOutcome, started_ms: int, now: str = "") -> HistoryRow:
    """One line of the history."""
    return HistoryRow.model_validate(
        {
            "version": line.version,
            "when": _when(datetime.fromtimestamp(started_ms / 1000, UTC)),
            "published": line.published,
            "overridden": line.approval is not None,
            "now": now,
            "accuracy": line.accuracy.candidate,
            "critical": line.critical_slice.candidate if line.critical_slice else None,
            "figures": line.figures.candidate,
            "why": why(line),
        }
    )


def why(line: DeviceOutcome) -> str:
    """In words: who answers for it, what stood in the way, or how it was made."""
    return _why(line.approval, line.reasons, f"{line.rung} on {line.snapshot}")


def _why(approval: Approval | None, reasons: Sequence[str], made: str) -> str:
    if approval is not None:
        return f"{approval.name}, until {approval.until}: {approval.reason} {reasons[0]}"
    return reasons[0] if reasons else made


def _aliases(models: EdgeModels, device: str) -> dict[str, str]:
    """What each run's edge model is today, by the key of the run."""
    found = {"previous": models.previous(device), "deployed": models.deployed(device)}
    return {edge.run_key: alias for alias, edge in found.items() if edge is not None}


def candidate_row(job: Job, verdict: Verdict, evidence: Evidence, chosen: Attempt) -> HistoryRow:
    """The line of the candidate that is being decided."""
    critical = critical_slices(job)
    return HistoryRow(
        version=job.version,
        when=_when(datetime.now(UTC)),
        published=verdict.releases,
        overridden=verdict.approval is not None,
        now="deployed" if verdict.releases else "",
        accuracy=accuracy(evidence.candidate),
        critical=accuracy(evidence.candidate, critical[0]) if critical else None,
        figures=evidence.candidate.resources,
        why=_why(verdict.approval, verdict.reasons, f"{chosen.rung} on {chosen.snapshot.title}"),
    )


def _when(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"
