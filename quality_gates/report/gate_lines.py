"""One line of words and numbers for each gate, for text, Markdown and the registry."""

from dataclasses import dataclass

from quality_gates.report.charts import limit_value
from quality_gates.report.quantities import MISSING, finite, unit_of
from quality_gates.verdict import GateResult


@dataclass(frozen=True)
class GateLine:
    """A gate in words: its result, the bounds of it, the threshold, and the rows that it was decided on."""

    result: str
    bounds: str
    threshold: str
    rows: str


def gate_line(gate: GateResult) -> GateLine:
    """Write a gate's numbers with their units; what is missing is a dash, and bounds that are missing are empty."""
    unit = unit_of(gate)
    known = finite(gate.lower) is not None or finite(gate.upper) is not None
    return GateLine(
        result=unit.write(gate.estimate if unit.difference else limit_value(gate)),
        bounds=f"{unit.write(gate.lower)} .. {unit.write(gate.upper)}" if known else "",
        threshold=unit.limit(gate.threshold),
        rows=MISSING if gate.n is None else f"{gate.n:,}",
    )
