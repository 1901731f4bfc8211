"""The comparisons with the deployment sites as lines of the report, with a bar each."""

from dataclasses import dataclass

from quality_gates.report.quantities import MISSING
from quality_gates.representativeness import Comparison, Representativeness

WIDTH = 120.0
_SEVERITY = ("undecided", "alike")
_BADGES = {"differs": ("fail", "Differs"), "undecided": ("inconclusive", "Undecided"), "alike": ("pass", "Alike")}


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
    """What differs first, then what is undecided; one scale for all bars."""
    if result is None:
        return ()
    top = max([row.allowed for row in result.comparisons] + [row.effect or 0 for row in result.comparisons], default=1)
    rest = sorted(
        (row for row in result.comparisons if row.outcome != "differs"),
        key=lambda row: (_SEVERITY.index(row.outcome), row.allowed - (row.effect or 0)),
    )
    return tuple(_line(row, WIDTH / (top or 1)) for row in (*result.findings, *rest))


def _line(row: Comparison, unit: float) -> ComparisonLine:
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
