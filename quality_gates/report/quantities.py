"""Quantities as a reader wants them: with a unit, a real minus sign, and no more digits than they carry."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from edge_runtime.measurement import RESOURCES, Figures
from quality_gates.gates import AllowedSide, digits_to_tell_apart, shown_of
from quality_gates.policy import ERRORS, OF_SCORES, WORST_SCORES
from quality_gates.verdict import GateResult

MINUS = "\u2212"
MISSING = "\u2013"
_MOST_DIGITS = 3
_UNITS = (("bytes", "bytes"), ("_mb", "MiB"), ("_ms", "ms"), ("_s", "s"), ("_mj", "mJ"))


def finite(value: float | None) -> float | None:
    """The value, or None where it is missing, NaN or infinite: neither can be drawn."""
    return value if value is not None and math.isfinite(value) else None


def plain(value: float, digits: int = 0) -> str:
    """A fixed-point number with a typographic minus sign."""
    return f"{value:.{digits}f}".replace("-", MINUS)


def percent(value: float | None, digits: int = 1) -> str:
    """A proportion in [0, 1] as a percentage; never rounds up to 100 %."""
    known = finite(value)
    if known is None:
        return MISSING
    rounds_to_all = known < 1 and round(known * 100, digits) >= 100
    finer = 10 ** (digits + 1)
    shown = math.floor(known * 100 * finer) / finer if rounds_to_all else known * 100
    return plain(shown, digits + rounds_to_all) + " %"


def points(value: float | None, digits: int = 1) -> str:
    """A difference of proportions in signed percentage points."""
    known = finite(value)
    if known is None:
        return MISSING
    scaled = known * 100
    digits = max(digits, 2 if 0 < abs(scaled) < 0.1 else 1)
    return f"{scaled:+.{digits}f} pp".replace("-", MINUS) if scaled else "0.0 pp"


def score(value: float | None, shares: bool = True) -> str:
    """A mean score: an accuracy in percent, or a plain number where scores are no shares of rows."""
    return Unit("score", False, shares).write(value)


def score_writer(values: Sequence[float | None], shares: bool = True) -> Callable[[float | None], str]:
    """Return the writer of one table's mean scores: those that are no shares of rows have the same decimals.

    The largest of them has three digits.
    """
    if shares:
        return percent
    largest = max((abs(known) for value in values if (known := finite(value))), default=1.0)
    digits = max(0, 2 - math.floor(math.log10(largest)))

    def write(value: float | None) -> str:
        known = finite(value)
        return MISSING if known is None else plain(known, digits)

    return write


def score_change(value: float | None, shares: bool = True) -> str:
    """A difference of mean scores: in percentage points, or a signed number where scores are no shares of rows."""
    return Unit("score", True, shares).write(value)


def score_title(shares: bool) -> str:
    """The heading of mean scores."""
    return "Accuracy" if shares else "Score"


def size(value: float | None, exact: bool = False, more: int = 0) -> str:
    """A number of bytes in decimal units (1 kB = 1000 bytes); `exact` for what was set rather than measured.

    `more` are digits beyond the usual ones.
    """
    known = finite(value)
    if known is None:
        return MISSING
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if abs(known) >= factor:
            return f"{_figure(known / factor, exact, more)} {unit}"
    return f"{plain(known)} bytes"


def duration(seconds: float | None) -> str:
    """Seconds as seconds, minutes or hours."""
    known = finite(seconds)
    if known is None:
        return MISSING
    if known < 60:
        return f"{_figure(known)} s"
    minutes, rest = divmod(round(known), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def quantity(metric: str, value: float | None, exact: bool = False, more: int = 0) -> str:
    """A metric's value with the unit of its resource, or that its name ends in (`_ms`, `_s`, `_mj`), else a proportion.

    `exact` keeps the digits of a figure that was set rather than measured; `more` are digits beyond the usual ones.
    """
    known = finite(value)
    if known is None:
        return MISSING
    unit = _unit(metric)
    if unit is not None:
        return size(known, exact, more) if unit == "bytes" else f"{_figure(known, exact, more)} {unit}"
    return percent(known, 1 + more) if is_proportion(metric) and 0 <= known <= 1 else _figure(known, exact, more)


def figure(figures: Figures | None, resource: str) -> str:
    """Write one of the figures with its unit; a dash where the file was not measured."""
    return quantity(resource, None if figures is None else figures.value(resource))


def has_unit(metric: str) -> bool:
    """Return True for a resource, and for another metric whose name ends in a unit."""
    return _unit(metric) is not None


def is_proportion(metric: str) -> bool:
    """Return True for a share of rows: errors, scores and custom metrics (`module:function`) are none."""
    return not has_unit(metric) and metric not in OF_SCORES and metric not in WORST_SCORES and ":" not in metric


def signed(value: float | None, more: int = 0) -> str:
    """A difference of a metric that is no proportion, with `more` digits than usual."""
    known = finite(value)
    if known is None:
        return MISSING
    return f"+{_figure(known, more=more)}" if known > 0 else _figure(known, more=more)


def ratio(candidate: float | None, reference: float | None, less: str, more: str) -> str | None:
    """Write how many times the candidate is `less` (smaller, faster) or `more` than the reference; None if unknown."""
    ours, theirs = finite(candidate), finite(reference)
    if ours is None or theirs is None or ours <= 0 or theirs <= 0:
        return None
    return times(ours / theirs, less, more)


def times(quotient: float, less: str, more: str) -> str:
    """Write a positive quotient, candidate over reference, as how many times the candidate is `less` or `more`."""
    factor = max(quotient, 1 / quotient)
    if factor < 1.05:
        return "about the same"
    return f"{factor:.{1 if factor < 100 else 0}f}× {less if quotient < 1 else more}"


@dataclass(frozen=True)
class Unit:
    """The unit of a gate's numbers: a difference or a level, of a proportion or of another metric.

    `more` is how many digits more than usual a value is written with.
    """

    metric: str
    difference: bool
    proportion: bool
    more: int = 0

    def write(self, value: float | None) -> str:
        """A value with its unit."""
        if self.proportion:
            return points(value, 1 + self.more) if self.difference else percent(value, 1 + self.more)
        if has_unit(self.metric):
            return quantity(self.metric, value, more=self.more)
        known = finite(value)
        if known is None:
            return MISSING
        if self.difference:
            return signed(value, self.more)
        return f"{known:.{3 + self.more}g}".replace("-", MINUS)

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
    """The unit of a gate's estimate, bounds and threshold; none reads like the threshold from which it differs."""
    proportion = gate.unit == "proportion" and is_proportion(gate.metric)
    unit = Unit(gate.metric, shown_of(gate.kind).difference, proportion)
    threshold = finite(gate.threshold)
    beside = (gate.lower, gate.upper, gate.estimate, None if unit.difference else gate.candidate_value)
    bounds = [known for value in beside if (known := finite(value)) is not None and known != threshold]
    if threshold is None or not bounds:
        return unit
    if proportion:
        return replace(unit, more=digits_to_tell_apart(-threshold, *bounds) - 1)
    finer = (replace(unit, more=more) for more in range(_MOST_DIGITS))
    return next((each for each in finer if _tells_apart(each, threshold, bounds)), replace(unit, more=_MOST_DIGITS))


def _tells_apart(unit: Unit, threshold: float, bounds: Sequence[float]) -> bool:
    return all(unit.write(bound) != unit.write(threshold) for bound in bounds)


def is_resource(gate: GateResult) -> bool:
    """Return True for a gate that holds a resource of the device, such as bytes or milliseconds."""
    return has_unit(gate.metric)


def allowed_side(gate: GateResult) -> AllowedSide:
    """Return the side of the threshold on which a value is allowed.

    A gate that passed or failed has shown it by where its interval lies; else it follows from the kind of gate.
    """
    lower, upper, threshold = finite(gate.lower), finite(gate.upper), finite(gate.threshold)
    if threshold is not None and gate.outcome in ("pass", "fail"):
        holds = gate.outcome == "pass"
        if lower is not None and lower > threshold:
            return "above" if holds else "below"
        if upper is not None and upper < threshold:
            return "below" if holds else "above"
    by_kind = shown_of(gate.kind).allowed
    return by_kind or ("below" if has_unit(gate.metric) or gate.metric in ERRORS else "above")


def _unit(metric: str) -> str | None:
    if metric in RESOURCES:
        return RESOURCES[metric].unit
    return next((unit for suffix, unit in _UNITS if metric.endswith(suffix)), None)


def _figure(value: float, exact: bool = False, more: int = 0) -> str:
    if exact:
        return f"{value:.6g}".replace("-", MINUS)
    magnitude = abs(value)
    return plain(value, more + (0 if magnitude >= 100 else 1 if magnitude >= 10 else 2 if magnitude >= 0.095 else 3))
