"""The gates of a verdict as rows of the report, the ones that did not pass first."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from quality_gates.gates import shown_of
from quality_gates.report.charts import (
    IntervalAxis,
    IntervalPicture,
    LimitPicture,
    interval_axis,
    interval_picture,
    is_drawable,
    limit_picture,
    limit_value,
)
from quality_gates.report.quantities import Unit, allowed_side, finite, has_unit, is_resource, unit_of
from quality_gates.verdict import GateResult, worst_first

WORTHLESS = "worthless"
"""The tone of a gate that holds although the candidate is no better than guessing: not that of a pass."""
OUTCOME_WORDS = {
    "pass": "Pass",
    "fail": "Fail",
    "inconclusive": "Inconclusive",
    "not_applicable": "Not applicable",
    "overridden": "Overridden",
    WORTHLESS: "Holds, worthless",
}


@dataclass(frozen=True)
class GateRow:
    """One gate with the picture that fits it, if any, and the facts behind its sentence."""

    gate: GateResult
    interval: IntervalPicture | None
    limit: LimitPicture | None
    facts: tuple[str, ...]
    spoken: str

    @property
    def tone(self) -> str:
        """The outcome as it is coloured."""
        return tone_of(self.gate)


@dataclass(frozen=True)
class GateGroup:
    """Gates of one family under a heading; their intervals, if any, stand on one axis in one unit.

    `notes` are what the kinds of gates among them say of their own pictures.
    """

    title: str
    rows: tuple[GateRow, ...]
    axis: IntervalAxis | None
    unit: Unit | None
    notes: tuple[str, ...]


def worst_gate(gates: Sequence[GateResult]) -> GateResult | None:
    """Return the gate that a reader must see first; None where none has a number.

    That is one that stands in the way, a failed one before an undecided one. Where none does, it is the gate with the
    smallest share of its margin or limit left.
    """
    in_the_way = [gate for gate in worst_first(gates) if gate.blocking and gate.outcome in ("fail", "inconclusive")]
    if in_the_way:
        return in_the_way[0]
    known = [(room, gate) for gate in gates if gate.outcome == "pass" and (room := _room(gate)) is not None]
    return min(known, key=lambda each: each[0])[1] if known else None


def _room(gate: GateResult) -> float | None:
    """Return the share of a gate's margin or limit that its bound leaves; None where it has no such numbers."""
    threshold, unit = finite(gate.threshold), unit_of(gate)
    if not threshold or (unit.proportion and threshold >= 1):  # nothing is better than all rows
        return None
    above = allowed_side(gate) == "above"
    bound = finite(gate.lower if above else gate.upper)
    bound = limit_value(gate) if bound is None else bound
    if bound is None:
        return None
    return (bound - threshold if above else threshold - bound) / abs(threshold)


COMPARED, RESOURCES, BOUNDED = "Against the models before it", "Against the device's limits", "Against fixed bounds"


def gate_groups(gates: Sequence[GateResult]) -> tuple[GateGroup, ...]:
    """The gates by family and, where they have intervals, by unit; the worst outcome first within each."""
    grouped: dict[tuple[str, Unit | None], list[GateResult]] = {}
    for title in (COMPARED, BOUNDED, RESOURCES):
        for gate in worst_first(gates):
            if _family(gate) == title:
                grouped.setdefault((title, _shared_unit(gate)), []).append(gate)
    return tuple(_group(title, unit, members) for (title, unit), members in grouped.items())


def _family(gate: GateResult) -> str:
    if unit_of(gate).difference:
        return COMPARED
    return RESOURCES if is_resource(gate) else BOUNDED


def _shared_unit(gate: GateResult) -> Unit | None:
    unit = unit_of(gate)
    if not unit.proportion and not is_drawable(gate):
        return None
    return Unit("proportion", unit.difference, True) if unit.proportion else replace(unit, more=0)


def _group(title: str, unit: Unit | None, gates: Sequence[GateResult]) -> GateGroup:
    axis = interval_axis(gates) if any(map(is_drawable, gates)) else None
    heading = f"{title}: {unit.metric}" if unit and not unit.proportion and not has_unit(unit.metric) else title
    notes = dict.fromkeys(note for gate in gates if (note := shown_of(gate.kind).note))
    return GateGroup(heading, tuple(_row(gate, axis) for gate in gates), axis, unit, tuple(notes))


def remedies(gates: Sequence[GateResult]) -> tuple[tuple[str, str], ...]:
    """Names and remedy of the gates that did not pass and know one; equal remedies once.

    Blocking gates come first, and the worst among them.
    """
    open_gates = [gate for gate in worst_first(gates) if gate.outcome in ("fail", "inconclusive") and gate.remedy]
    names: dict[str, list[str]] = {}
    for gate in sorted(open_gates, key=lambda gate: not gate.blocking):
        names.setdefault(gate.remedy or "", []).append(gate.name)
    return tuple((", ".join(who), remedy) for remedy, who in names.items())


def tone_of(gate: GateResult) -> str:
    """Return the outcome as it is coloured: a gate that holds at a worthless value is not green."""
    return WORTHLESS if gate.worthless and gate.outcome == "pass" else gate.outcome


def _row(gate: GateResult, axis: IntervalAxis | None) -> GateRow:
    interval = interval_picture(gate, axis) if axis is not None and is_drawable(gate) else None
    limit = None if interval else limit_picture(gate)
    spoken = _spoken_interval(gate) if interval else f"{limit.value_label}, {limit.budget_label}" if limit else ""
    return GateRow(gate, interval, limit, _facts(gate), spoken)


def _facts(gate: GateResult) -> tuple[str, ...]:
    facts = []
    if unit_of(gate).difference and finite(gate.candidate_value) is not None:
        facts.append(f"candidate {_level(gate, gate.candidate_value)}")
    if finite(gate.reference_value) is not None:
        facts.append(f"{gate.against or 'reference'} {_level(gate, gate.reference_value)}")
    if facts and gate.floor is not None:
        facts.append(f"floor {_level(gate, gate.floor)}")
    if gate.outcome in ("fail", "inconclusive") and not gate.blocking:
        facts.append("warns only, does not block")
    return tuple(facts)


def _level(gate: GateResult, value: float | None) -> str:
    return replace(unit_of(gate), difference=False, more=0).write(value)


def _spoken_interval(gate: GateResult) -> str:
    unit = unit_of(gate)
    what, line = ("difference", "margin") if unit.difference else ("estimate", "limit")
    told = f"{what} {unit.write(gate.estimate)}, bounds {unit.write(gate.lower)} to {unit.write(gate.upper)}"
    threshold = finite(gate.threshold)
    return told if threshold is None else f"{told}, {line} {unit.write(threshold)}"
