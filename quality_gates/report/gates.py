"""The gates of a verdict as rows of the report, the ones that did not pass first."""

from collections.abc import Sequence
from dataclasses import dataclass

from quality_gates.report.intervals import IntervalAxis, IntervalPicture, interval_picture, is_drawable
from quality_gates.report.limits import LimitPicture, limit_picture
from quality_gates.report.quantities import finite, points, quantity
from quality_gates.verdict import GateResult

OUTCOME_WORDS = {
    "pass": "Pass",
    "fail": "Fail",
    "inconclusive": "Inconclusive",
    "not_applicable": "Not applicable",
}
_SEVERITY = ("fail", "inconclusive", "pass", "not_applicable")


@dataclass(frozen=True)
class GateRow:
    """One gate with the picture that fits it, if any, and the facts behind its sentence."""

    gate: GateResult
    interval: IntervalPicture | None
    limit: LimitPicture | None
    facts: tuple[str, ...]
    spoken: str


@dataclass(frozen=True)
class GateGroup:
    """Gates of one family under a heading."""

    title: str
    rows: tuple[GateRow, ...]


def gate_groups(gates: Sequence[GateResult], axis: IntervalAxis) -> tuple[GateGroup, ...]:
    """The gates by family, the worst outcome first within each; empty families are left out."""
    families = {"non_inferiority": "Against the models before it", "limit": "Against the device's limits"}
    rows: dict[str, list[GateRow]] = {title: [] for title in (*families.values(), "Other gates")}
    for gate in sorted(gates, key=lambda gate: _SEVERITY.index(gate.outcome)):
        rows[families.get(gate.kind, "Other gates")].append(_row(gate, axis))
    return tuple(GateGroup(title, tuple(members)) for title, members in rows.items() if members)


def remedies(gates: Sequence[GateResult]) -> tuple[tuple[str, str], ...]:
    """Names and remedy of the gates that did not pass and know one, blocking gates first; equal remedies once."""
    open_gates = [gate for gate in gates if gate.outcome in ("fail", "inconclusive") and gate.remedy]
    names: dict[str, list[str]] = {}
    for gate in sorted(open_gates, key=lambda gate: not gate.blocking):
        names.setdefault(gate.remedy or "", []).append(gate.name)
    return tuple((", ".join(who), remedy) for remedy, who in names.items())


def _row(gate: GateResult, axis: IntervalAxis) -> GateRow:
    interval = interval_picture(gate, axis) if is_drawable(gate) else None
    limit = limit_picture(gate)
    spoken = _spoken_interval(gate) if interval else f"{limit.value_label}, {limit.budget_label}" if limit else ""
    return GateRow(gate, interval, limit, _facts(gate), spoken)


def _facts(gate: GateResult) -> tuple[str, ...]:
    facts = []
    if gate.kind != "limit" and finite(gate.candidate_value) is not None:
        facts.append(f"candidate {quantity(gate.metric, gate.candidate_value)}")
    if finite(gate.reference_value) is not None:
        facts.append(f"{gate.against or 'reference'} {quantity(gate.metric, gate.reference_value)}")
    if gate.outcome in ("fail", "inconclusive") and not gate.blocking:
        facts.append("warns only, does not block")
    return tuple(facts)


def _spoken_interval(gate: GateResult) -> str:
    difference = f"difference {points(gate.estimate)}, bounds {points(gate.lower)} to {points(gate.upper)}"
    margin = finite(gate.threshold)
    return difference if margin is None else f"{difference}, margin {points(margin)}"
