"""The history of a model's versions: a row for each answer of a device, and for each rollback, as they stand today."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Self, TypeAlias

from quality_gates.report import HistoryRow
from tasks.outcomes.outcomes import DeviceOutcome, device_answers
from tasks.registry import EdgeModels, EdgeVersion, Hold, Runs, standing_holds

Alias: TypeAlias = Literal["deployed", "previous", ""]


def history(runs: Runs, models: EdgeModels, device: str | None = None) -> Iterator[tuple[str, HistoryRow]]:
    """Yield (device, the answer to one version there), the earliest first; of one device or of all.

    A rollback is a row of its own, with the figures of the file that it restored. A version that is held says so.
    """
    answers = [(recorded, line) for recorded, line in device_answers(runs) if device in (None, line.device)]
    places = {name: _Place.of(models, name) for name in dict.fromkeys(line.device for _, line in answers)}
    last = {(line.device, line.release): recorded.run for recorded, line in answers}
    dated = list[tuple[str, str, HistoryRow]]()
    for recorded, line in answers:
        is_last = last[line.device, line.release] == recorded.run  # a release that lost its bundle is published again
        when = datetime.fromtimestamp(recorded.started / 1000, UTC)
        row = history_row(line, when, "")
        row = places[line.device].today(row) if is_last else row
        dated.append((f"{when:%Y-%m-%d %H:%M:%S}", line.device, row))
    for name, place in places.items():
        own = {row.release: row for _, where, row in dated if where == name and row.release is not None}
        dated += [(row.when, name, row) for row in place.rollbacks(own)]
    for moment, name, row in sorted(dated, key=lambda each: each[0]):
        yield name, row.model_copy(update={"when": moment[:16]})


@dataclass(frozen=True)
class _Place:
    """The releases on a device as the registry has them today: aliases and holds by number, and the rollbacks."""

    aliases: Mapping[int | None, Alias]
    holds: Mapping[int | None, Hold]
    rolled_back: Sequence[EdgeVersion]

    @classmethod
    def of(cls, models: EdgeModels, device: str) -> Self:
        """Read the registry. One version may have been released several times, so numbers tell them apart."""
        found: dict[Alias, EdgeVersion | None] = {
            "previous": models.previous(device), "deployed": models.deployed(device),
        }  # fmt: skip
        deployed = found["deployed"]
        holds = standing_holds(models.holds(device), deployed)
        rolled_back = [edge for edge in models.releases(device) if edge.rollback is not None]
        return cls(
            {edge.release: alias for alias, edge in found.items() if edge is not None},
            {hold.release: hold for hold in holds},
            sorted(rolled_back, key=lambda edge: edge.release),
        )

    def today(self, row: HistoryRow) -> HistoryRow:
        """Return a row with the alias that its release has today, and with the hold of its version."""
        hold = self.holds.get(row.release)
        why = row.why if hold is None else f"{hold.sentence}; {row.why}"
        return row.model_copy(update={"now": self.aliases.get(row.release, ""), "why": why})

    def rollbacks(self, rows: Mapping[int, HistoryRow]) -> Iterator[HistoryRow]:
        """Yield a row for each rollback; `rows` are those of releases that gates decided, by number."""
        known = dict(rows)
        for edge in self.rolled_back:
            if edge.rollback is None or edge.rollback.restored not in known:
                continue  # the answer can no longer be read, which was warned of
            told = {"release": edge.release, "when": edge.rollback.when, "why": edge.rollback.sentence}
            known[edge.release] = self.today(known[edge.rollback.restored].model_copy(update=told))
            yield known[edge.release]


def until_now(past: Iterable[HistoryRow], current: HistoryRow) -> tuple[HistoryRow, ...]:
    """Append the version that is being decided to the past ones; published, it replaces the deployed one.

    One that is published again as the release that is deployed takes that row's place and leaves the previous one.
    """
    past = tuple(past)
    deployed = next((row for row in past if row.now == "deployed"), None)
    if not current.published or deployed is None:  # no place is taken, or the aliases name this one already
        return (*past, current)
    again = current.release is not None and current.release == deployed.release
    after: dict[Alias, Alias] = {
        "deployed": "" if again else "previous",
        "previous": "previous" if again else "",
        "": "",
    }
    return (*(row.model_copy(update={"now": after[row.now]}) for row in past), current)


def history_row(line: DeviceOutcome, when: datetime, now: Alias) -> HistoryRow:
    """Return one line of the history; `now` is the alias of its edge model today."""
    return HistoryRow(
        version=line.version,
        when=f"{when:%Y-%m-%d %H:%M}",
        published=line.published,
        overridden=line.approval is not None,
        undecided=line.undecided,
        waits=line.waits,
        signed_off=line.published and line.sign_off is not None,
        release=line.release,
        now=now,
        scores_are_shares=line.scores_are_shares,
        accuracy=line.accuracy.candidate,
        critical=line.critical_slice.candidate if line.critical_slice else None,
        figures=line.figures.candidate,
        why=why(line),
    )


def why(line: DeviceOutcome) -> str:
    """Return in words the person who approved a version, else the reason against it, else how it was made.

    Where persons sign off, their state stands in place of that.
    """
    if line.approval is not None:
        approval = line.approval
        return f"approved by {approval.name} until {approval.until} ({approval.reason}), against: {line.reasons[0]}"
    if line.reasons:
        return line.reasons[0]
    return line.sign_off.sentence if line.sign_off is not None else f"{line.rung} on {line.snapshot}"
