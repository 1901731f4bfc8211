"""Tables of the report: words and numbers that are ready to print, and plain rows for whoever wants to compute on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from typing import Any, TypeAlias

from edge_runtime.measurement import LIMITED, RESOURCES, Resource
from quality_gates.evidence import UNLISTED, LatencyInTurns
from quality_gates.report.content import LayerRow, LedgerRow, ReportContent, RungRow, Side, SizePoint, SliceRow
from quality_gates.report.quantities import (
    MISSING,
    figure,
    finite,
    percent,
    quantity,
    ratio,
    score_change,
    score_title,
    score_writer,
    times,
)
from quality_gates.representativeness import Comparison, Representativeness

Row: TypeAlias = Mapping[str, Any]
WriteScore: TypeAlias = Callable[[float | None], str]
BAR_WIDTH = 120.0
_SEVERITY = ("undecided", "alike")
_BADGES = {"differs": ("fail", "Differs"), "undecided": ("inconclusive", "Undecided"), "alike": ("pass", "Alike")}


@dataclass(frozen=True)
class Cell:
    """A value and, where it belongs to a reference, how the candidate compares with it."""

    value: str
    note: str = ""


@dataclass(frozen=True)
class SideRow:
    """One quantity across the models."""

    label: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class TurnLine:
    """One model timed in turns, in words; `note` says why its times do not compare."""

    role: str
    batch_size: int
    p10: str = MISSING
    p50: str = MISSING
    p99: str = MISSING
    spread: str = MISSING
    switches: str = MISSING
    calls: str = MISSING
    note: str = ""


@dataclass(frozen=True)
class SliceLine:
    """One slice with the candidate's changes; None where one of the two is missing."""

    row: SliceRow
    vs_deployed: float | None
    vs_parent: float | None


def side_rows(sides: Sequence[Side], shares: bool = True, turns: Sequence[LatencyInTurns] = ()) -> tuple[SideRow, ...]:
    """Accuracy, slices and resources of every model, with the candidate's change beside each reference.

    A time has a change only where both models' were taken in the same `turns`, and energy has none.
    """
    single = next((each for each in turns if each.batch_size == 1), None)
    values = [value for side in sides for value in (side.accuracy, *(each.value for each in side.slices))]
    write = score_writer(values, shares)
    rows = [_scores(score_title(shares), sides, lambda side: side.accuracy, shares, write)]
    for name in dict.fromkeys(value.name for side in sides for value in side.slices):
        rows.append(_scores(name, sides, partial(_slice_value, name), shares, write))
    known = [side.figures for side in sides if side.figures is not None]
    measured = [name for name in RESOURCES if not known or any(getattr(each, name) is not None for each in known)]
    rows += [_figures(sides, name, RESOURCES[name], single) for name in measured]
    return tuple(rows)


def turn_lines(turns: Sequence[LatencyInTurns]) -> tuple[TurnLine, ...]:
    """Lay out the times that were taken in turns: a line per model and number of rows at a time."""
    return tuple(_turn_line(each, role) for each in turns for role in (*each.latencies, *each.failures))


def slice_lines(rows: Sequence[SliceRow]) -> tuple[SliceLine, ...]:
    """The slices, the one that lost most against what runs now first; those not measured and whole columns last."""
    lines = [SliceLine(row, _change(row.candidate, row.deployed), _change(row.candidate, row.parent)) for row in rows]
    return tuple(sorted(lines, key=_worst_first))


def deployed_words(content: ReportContent) -> str:
    """Write what ran on the device when the gates decided."""
    return f"version {content.deployed_version}" if content.deployed_version is not None else "none yet"


@dataclass(frozen=True)
class LedgerLine:
    """One stage: for each column the figure after it and its change by it; None where one is missing."""

    row: LedgerRow
    figures: tuple[tuple[float | None, float | None], ...]


@dataclass(frozen=True)
class Ledger:
    """The ledger's columns, accuracy and the slices, its lines, and the writer of their scores."""

    columns: tuple[str, ...]
    lines: tuple[LedgerLine, ...]
    write: WriteScore


def ledger_of(rows: Sequence[LedgerRow], shares: bool = True) -> Ledger | None:
    """Lay out the stages in their order; None where there are none. The last line is the change by all of them."""
    if not rows:
        return None
    slices = tuple(dict.fromkeys(value.name for row in rows for value in row.slices))
    lines = [
        _ledger_line(rows[0], None, slices),
        *(_ledger_line(row, before, slices) for before, row in pairwise(rows)),
    ]
    if len(rows) > 2:
        together = rows[-1].model_copy(update={"stage": "all of them", "seconds": _total_seconds(rows)})
        lines.append(_ledger_line(together, rows[0], slices))
    write = score_writer([value for line in lines for value, _ in line.figures], shares)
    return Ledger((score_title(shares), *slices), tuple(lines), write)


@dataclass(frozen=True)
class ComparisonLine:
    """One comparison; `bar` and `limit` are the widths of its effect and of what is allowed."""

    row: Comparison
    badge: str
    word: str
    effect: str
    p: str
    held_out: str
    bar: float
    limit: float


def comparison_lines(result: Representativeness | None) -> tuple[ComparisonLine, ...]:
    """Lay out the comparisons: what differs first, then what is undecided; one scale for all bars."""
    if result is None:
        return ()
    top = max([row.allowed for row in result.comparisons] + [row.effect or 0 for row in result.comparisons], default=1)
    rest = sorted(
        (row for row in result.comparisons if row.outcome != "differs"),
        key=lambda row: (_SEVERITY.index(row.outcome), row.allowed - (row.effect or 0)),
    )
    return tuple(_comparison_line(row, BAR_WIDTH / (top or 1)) for row in (*result.findings, *rest))


def report_tables(content: ReportContent) -> dict[str, Sequence[Row]]:
    """Return plain rows by table: the gates, the models, and what else is known of stages, slices and rows.

    No table is empty. Slices of the models and of the ledger are columns of their own; pictures of rows are left out.
    """
    tables: dict[str, Sequence[Row]] = {
        "gates": [gate.model_dump() for gate in content.verdict.gates],
        "models": [_with_slices(side) for side in content.sides],
        "turns": [
            {"role": role, "batch_size": turns.batch_size, **asdict(latency)}
            for turns in content.turns
            for role, latency in turns.latencies.items()
        ],
        "ladder": [_flat(row) for row in content.rungs],
        "ledger": [_with_slices(row) for row in content.ledger],
        "layers": [_with_slices(row) for row in content.layers],
        "slices": [row.model_dump() for row in content.slices],
        "frontier": [_flat(point) for point in content.points],
        "mistakes": [row.model_dump() for row in content.mistakes],
        "overlaps": [row.model_dump() for row in content.overlaps],
        "drawn": [row.model_dump(exclude={"pictures"}) for row in content.drawn],
        "flips": [row.model_dump(exclude={"image_png_base64"}) for row in content.flips],
    }
    return {name: rows for name, rows in tables.items() if rows}


def _worst_first(line: SliceLine) -> tuple[bool, bool, float]:
    change = line.vs_deployed if line.vs_deployed is not None else line.vs_parent
    return line.row.slice.endswith(UNLISTED), change is None, change or 0.0


def _change(candidate: float | None, reference: float | None) -> float | None:
    ours, theirs = finite(candidate), finite(reference)
    return None if ours is None or theirs is None else ours - theirs


def _slice_value(name: str, side: Side) -> float | None:
    return next((value.value for value in side.slices if value.name == name), None)


def _candidate(sides: Sequence[Side]) -> Side | None:
    return next((side for side in sides if side.role == "candidate"), None)


def _resource_note(times: str | None) -> str:
    return "" if times is None else f"candidate {times}" if "×" in times else times


def _compared(change: float | None, shares: bool) -> str:
    if change is None:
        return ""
    return f"candidate {score_change(change, shares)}" if change else "the same"


def _scores(
    label: str, sides: Sequence[Side], read: Callable[[Side], float | None], shares: bool, write: WriteScore
) -> SideRow:
    candidate = _candidate(sides)
    cells = []
    for side in sides:
        change = _change(read(candidate), read(side)) if candidate and side is not candidate else None
        cells.append(Cell(write(read(side)), _compared(change, shares)))
    return SideRow(label, tuple(cells))


def _figures(sides: Sequence[Side], name: str, resource: Resource, turns: LatencyInTurns | None) -> SideRow:
    candidate = _candidate(sides)
    cells = []
    for side in sides:
        note = None
        if candidate and side is not candidate and resource.everywhere:  # energy is of whatever else ran meanwhile too
            note = _times(side, name, resource, turns) if resource.is_time else _ratio(candidate, side, name, resource)
        cells.append(Cell(figure(side.figures, name), _resource_note(note)))
    return SideRow(resource.title, tuple(cells))


def _ratio(candidate: Side, side: Side, name: str, resource: Resource) -> str | None:
    if candidate.figures is None or side.figures is None:
        return None
    return ratio(candidate.figures.value(name), side.figures.value(name), resource.less, resource.more)


def _times(side: Side, name: str, resource: Resource, turns: LatencyInTurns | None) -> str | None:
    quotient = None if turns is None else turns.ratio(name, side.role)
    return None if quotient is None else times(quotient, resource.less, resource.more)


def _turn_line(turns: LatencyInTurns, role: str) -> TurnLine:
    note = turns.disturbance("latency_p50_ms", role)
    note = "" if note is None else f"These times do not compare: {note}."
    latency = turns.latencies.get(role)
    if latency is None:
        return TurnLine(role, turns.batch_size, note=note)
    p10, p50, p99 = (
        quantity("latency_p50_ms", value)
        for value in (latency.latency_p10_ms, latency.latency_p50_ms, latency.latency_p99_ms)
    )
    calls = f"{latency.undisturbed:,} of {latency.calls:,}"
    switches = f"{latency.switches_per_s:.0f}"
    return TurnLine(role, turns.batch_size, p10, p50, p99, percent(latency.spread), switches, calls, note)


def _ledger_line(row: LedgerRow, before: LedgerRow | None, slices: tuple[str, ...]) -> LedgerLine:
    figures = []
    for name in (None, *slices):
        value, earlier = _ledger_figure(row, name), None if before is None else _ledger_figure(before, name)
        figures.append((value, None if value is None or earlier is None else value - earlier))
    return LedgerLine(row, tuple(figures))


def _ledger_figure(row: LedgerRow, name: str | None) -> float | None:
    if name is None:
        return finite(row.accuracy)
    return finite(next((value.value for value in row.slices if value.name == name), None))


def _total_seconds(rows: Sequence[LedgerRow]) -> float | None:
    known = [row.seconds for row in rows if row.seconds is not None]
    return sum(known) if known else None


def _comparison_line(row: Comparison, unit: float) -> ComparisonLine:
    badge, word = _BADGES[row.outcome]
    return ComparisonLine(
        row=row,
        badge=badge,
        word=word,
        effect=MISSING if row.effect is None else f"{row.effect:.3f}",
        p=MISSING if row.p is None else "< 0.001" if row.p < 0.001 else f"{row.p:.3f}",
        held_out=MISSING if row.held_out is None else f"{row.held_out:.3f}",
        bar=unit * (row.effect or 0),
        limit=unit * row.allowed,
    )


def _with_slices(row: Side | LedgerRow | LayerRow) -> Row:
    return _flat(row, "slices") | {value.name: value.value for value in row.slices}


def _flat(row: Side | SizePoint | RungRow | LedgerRow | LayerRow, *without: str) -> dict[str, Any]:
    """Return the row with each figure in a column of its own, empty where the file was not measured.

    A figure that many devices cannot measure has no column where it was not.
    """
    columns: dict[str, Any] = row.model_dump(exclude={*without, "figures"})
    if isinstance(row, LedgerRow | LayerRow):
        return columns
    known: Mapping[str, Any] = {} if row.figures is None else row.figures.known
    return {**dict.fromkeys(LIMITED), **known, **columns}
