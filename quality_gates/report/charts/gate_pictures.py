"""Pictures of gates: an interval against its threshold on a shared axis, or a bar against its limit."""

from collections.abc import Iterable
from dataclasses import dataclass

from quality_gates.gates import AllowedSide
from quality_gates.report.charts.scales import Scale, linear_ticks, round_values, spaced
from quality_gates.report.quantities import Unit, allowed_side, finite, is_resource, unit_of
from quality_gates.verdict import GateResult

WIDTH = 420.0
PADDING = 26.0
TICK_GAP = 36.0
LABEL_HALF_WIDTH = 44.0
# The smallest margin must be told from zero at a glance; on a linear axis it needs this share of the width.
VISIBLE_SHARE = 0.1
BAR_PADDING = 1.0
# A budget that is kept stands here; one that is missed by more than CLIP_AT times is drawn cut off, with an arrow.
BUDGET_SHARE = 0.72
CLIP_AT = 4.0
ARROW = 8.0


@dataclass(frozen=True)
class Tick:
    """A labelled place on the axis."""

    x: float
    label: str


@dataclass(frozen=True)
class IntervalAxis:
    """The axis that the interval pictures of gates of one unit share; `ticks` are values."""

    scale: Scale
    ticks: tuple[float, ...]

    @property
    def compressed(self) -> bool:
        """True where distances far from zero are drawn shorter than they are."""
        return self.scale.kind != "linear"


@dataclass(frozen=True)
class IntervalPicture:
    """Horizontal coordinates, in units of the picture; None where the gate has no such number."""

    lower: float | None
    upper: float | None
    estimate: float | None
    margin: float | None
    allowed: AllowedSide
    zero: float | None
    label_x: float
    value_label: str
    ticks: tuple[Tick, ...]
    margin_label: str


def is_drawable(gate: GateResult) -> bool:
    """Return True for a gate with an interval, or an estimate that is a difference, to put against its threshold.

    A resource is drawn as a bar against its limit, also where its noise is known.
    """
    if is_resource(gate):
        return False
    bounded = any(finite(value) is not None for value in (gate.lower, gate.upper))
    return bounded or (finite(gate.estimate) is not None and unit_of(gate).difference)


def interval_axis(gates: Iterable[GateResult]) -> IntervalAxis:
    """Return one axis for gates of one unit: linear where the smallest margin stays visible on it, else asinh.

    Differences have zero on their axis; levels have it only where they are bounded from above, or are resources.
    """
    drawable = [gate for gate in gates if is_drawable(gate)]
    values = [value for gate in drawable for value in _numbers(gate)]
    differences = all(unit_of(gate).difference for gate in drawable)
    if not differences:
        return _level_axis(drawable, values)
    margins = [abs(threshold) for gate in drawable if (threshold := finite(gate.threshold))]
    low, high = _domain([0.0, *values], min(margins, default=0.01))
    knee = min(margins, default=high - low)
    linear = knee >= VISIBLE_SHARE * (high - low)
    scale = Scale(low, high, PADDING, WIDTH - PADDING, "linear" if linear else "asinh", knee)
    return IntervalAxis(scale, _axis_ticks(scale))


def interval_picture(gate: GateResult, axis: IntervalAxis) -> IntervalPicture:
    """Put one gate's numbers on the shared axis; the margin's tick replaces the ones that it would touch."""
    place, unit = axis.scale, unit_of(gate)
    lower, upper, estimate, margin = (
        None if (known := finite(value)) is None else place(known)
        for value in (gate.lower, gate.upper, gate.estimate, gate.threshold)
    )
    shown = next((x for x in (estimate, lower, upper) if x is not None), WIDTH / 2)
    kept = spaced(axis.ticks, place, _gap(unit), () if margin is None else (margin,))
    return IntervalPicture(
        lower=lower,
        upper=upper,
        estimate=estimate,
        margin=margin,
        allowed=allowed_side(gate),
        zero=place(0.0) if unit.difference else None,
        label_x=min(max(shown, LABEL_HALF_WIDTH), WIDTH - LABEL_HALF_WIDTH),
        value_label=unit.write(gate.estimate) if estimate is not None else "",
        ticks=tuple(Tick(place(value), unit.tick(value)) for value in kept),
        margin_label=unit.tick(finite(gate.threshold) or 0.0),
    )


@dataclass(frozen=True)
class LimitPicture:
    """Horizontal coordinates of a bar from `start` to `end` and of the budget line, with their labels.

    `allowed` is the side of the line on which the bar may end.
    """

    start: float
    end: float
    budget: float
    clipped: bool
    allowed: AllowedSide
    value_label: str
    budget_label: str


def limit_value(gate: GateResult) -> float | None:
    """Return the measured value that a limit looks at."""
    measured = finite(gate.candidate_value)
    return finite(gate.estimate) if measured is None else measured


def limit_picture(gate: GateResult) -> LimitPicture | None:
    """Return the bar of one number against its limit; None for a difference, or where one of its numbers is missing."""
    value, budget = limit_value(gate), finite(gate.threshold)
    if unit_of(gate).difference or value is None or budget is None or budget < 0 or value < 0:
        return None
    top = max(budget / BUDGET_SHARE, min(value, CLIP_AT * budget or value)) or 1.0
    span = WIDTH - 2 * BAR_PADDING
    clipped, side = value > top, allowed_side(gate)
    return LimitPicture(
        start=BAR_PADDING,
        end=WIDTH - BAR_PADDING - ARROW if clipped else BAR_PADDING + span * value / top,
        budget=BAR_PADDING + span * budget / top,
        clipped=clipped,
        allowed=side,
        value_label=unit_of(gate).write(value),
        budget_label=f"{'at most' if side == 'below' else 'at least'} {unit_of(gate).limit(budget)}",
    )


def _level_axis(gates: list[GateResult], values: list[float]) -> IntervalAxis:
    low, high = min(values), max(values)
    if any(allowed_side(gate) == "below" or is_resource(gate) for gate in gates):
        low = min(low, 0.0)
    room = 0.08 * (high - low) or abs(high) * 0.1 or 0.01
    scale = Scale(low if low == 0 else low - room, high + room, PADDING, WIDTH - PADDING)
    return IntervalAxis(scale, spaced(linear_ticks(scale.low, scale.high, 5), scale, _gap(unit_of(gates[0]))))


def _gap(unit: Unit) -> float:
    return TICK_GAP if unit.difference else 1.4 * TICK_GAP


def _numbers(gate: GateResult) -> list[float]:
    candidates = (gate.estimate, gate.lower, gate.upper, gate.threshold)
    return [known for value in candidates if (known := finite(value)) is not None]


def _domain(values: list[float], least: float) -> tuple[float, float]:
    return min(*values, -least), max(*values, least)


def _axis_ticks(scale: Scale) -> tuple[float, ...]:
    if scale.kind == "linear":
        return spaced((0.0, *linear_ticks(scale.low, scale.high, 6)), scale, TICK_GAP)
    left = tuple(-value for value in round_values(scale.knee / 10, -scale.low))
    right = round_values(scale.knee / 10, scale.high)
    # The outermost ticks tell a compressed axis for what it is, so they are kept before the inner ones.
    return spaced((0.0, *reversed(left), *reversed(right)), scale, TICK_GAP)
