"""In which unit a gate's numbers read, and on which side of its threshold they may lie."""

from dataclasses import dataclass
from typing import Literal

from quality_gates.report.quantities import MINUS, finite, has_unit, is_proportion, percent, points, quantity, signed
from quality_gates.verdict import GateResult

DIFFERENCES = frozenset({"non_inferiority", "plausibility", "found_slices"})  # the candidate's gain
_AT_MOST = frozenset({"flips", "calibration", "parity"})
_ERRORS = frozenset({"mae", "rmse"})  # better when smaller

Side = Literal["above", "below"]


@dataclass(frozen=True)
class Unit:
    """How the numbers of a gate read: a difference or a level, of a proportion or of another metric."""

    metric: str
    difference: bool
    proportion: bool

    def write(self, value: float | None) -> str:
        """A value with its unit."""
        if self.proportion:
            return points(value) if self.difference else percent(value)
        if has_unit(self.metric):
            return quantity(self.metric, value)
        known = finite(value)
        if self.difference or known is None:
            return signed(value)
        return f"{known:.3g}".replace("-", MINUS)

    def limit(self, value: float | None) -> str:
        """A threshold that was set: resources keep all its digits."""
        return quantity(self.metric, value, exact=True) if has_unit(self.metric) else self.write(value)

    def tick(self, value: float) -> str:
        """A value on the axis, without trailing zeros; zero carries the unit."""
        scaled = round(value * 100, 6) if self.proportion else round(value, 9)
        if not scaled:
            return "0 pp" if self.difference and self.proportion else "0"
        text = f"{scaled:+.6g}" if self.difference else f"{scaled:.6g}"
        return text.replace("-", MINUS) + (" %" if self.proportion and not self.difference else "")


def unit_of(gate: GateResult) -> Unit:
    """The unit of a gate's estimate, bounds and threshold."""
    proportion = gate.unit == "proportion" and is_proportion(gate.metric)
    return Unit(gate.metric, gate.kind in DIFFERENCES, proportion)


def is_resource(gate: GateResult) -> bool:
    """Whether a gate holds a resource of the device, such as bytes or milliseconds."""
    return has_unit(gate.metric)


def allowed_side(gate: GateResult) -> Side:
    """On which side of the threshold a value is allowed.

    A gate that passed or failed has shown it by where its interval lies; else it follows from the kind of gate.
    """
    lower, upper, threshold = finite(gate.lower), finite(gate.upper), finite(gate.threshold)
    if threshold is not None and gate.outcome in ("pass", "fail"):
        holds = gate.outcome == "pass"
        if lower is not None and lower > threshold:
            return "above" if holds else "below"
        if upper is not None and upper < threshold:
            return "below" if holds else "above"
    if gate.kind in DIFFERENCES:
        return "below" if gate.kind == "plausibility" else "above"
    return "below" if gate.kind in _AT_MOST or has_unit(gate.metric) or gate.metric in _ERRORS else "above"
