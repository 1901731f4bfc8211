"""History of a model's versions: when each was answered, with which figures, and which is deployed now."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from quality_gates.report import HistoryRow
from tasks.registry import EdgeModels, EdgeVersion, Runs
from tasks.reporting.outcomes import DeviceOutcome, Outcome

Alias: TypeAlias = Literal["deployed", "previous", ""]


def history(runs: Runs, models: EdgeModels, device: str | None = None) -> Iterator[tuple[str, HistoryRow]]:
    """Yield (device, the answer to one version there), the earliest answer first; of one device or of all."""
    aliases: dict[str, dict[str, Alias]] = {}
    for started, run_key, content in runs.answers():
        outcome = Outcome.model_validate(content)
        for line in outcome.devices:
            if device in (None, line.device):
                if line.device not in aliases:
                    aliases[line.device] = _aliases(models, line.device)
                when = datetime.fromtimestamp(started / 1000, UTC)
                yield line.device, history_row(line, when, aliases[line.device].get(run_key, ""))


def until_now(past: Iterable[HistoryRow], current: HistoryRow) -> tuple[HistoryRow, ...]:
    """Put the version that is being decided behind the past ones; published, it takes the deployed one's place."""
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
        accuracy=line.accuracy.candidate,
        critical=line.critical_slice.candidate if line.critical_slice else None,
        figures=line.figures.candidate,
        why=why(line),
    )


def why(line: DeviceOutcome) -> str:
    """Return in words who answers for a version, what stood in the way, or how it was made."""
    if line.approval is not None:
        approval = line.approval
        return f"{approval.name}, until {approval.until}: {approval.reason} {line.reasons[0]}"
    return line.reasons[0] if line.reasons else f"{line.rung} on {line.snapshot}"


def _aliases(models: EdgeModels, device: str) -> dict[str, Alias]:
    """Return the alias that each run's edge model has today, by the key of the run."""
    found: dict[Alias, EdgeVersion | None] = {"previous": models.previous(device), "deployed": models.deployed(device)}
    return {edge.run_key: alias for alias, edge in found.items() if edge is not None}
