"""Where things stand in the picture of a non-inferiority gate: its interval against its margin, on a shared axis."""

from collections.abc import Iterable
from dataclasses import dataclass

from quality_gates.report.quantities import MINUS, finite, points
from quality_gates.report.scales import Scale, linear_ticks, round_values, spaced
from quality_gates.verdict import GateResult

WIDTH = 420.0
PADDING = 26.0
TICK_GAP = 36.0
LABEL_HALF_WIDTH = 44.0
# The smallest margin must be told from zero at a glance; on a linear axis it needs this share of the width.
VISIBLE_SHARE = 0.1


@dataclass(frozen=True)
class Tick:
    """A labelled place on the axis."""

    x: float
    label: str


@dataclass(frozen=True)
class IntervalAxis:
    """The axis that all interval pictures of a page share; `ticks` are values as proportions."""

    scale: Scale
    ticks: tuple[float, ...]

    @property
    def compressed(self) -> bool:
        """Whether distances far from zero are drawn shorter than they are."""
        return self.scale.kind != "linear"


@dataclass(frozen=True)
class IntervalPicture:
    """Horizontal coordinates, in units of the picture; None where the gate has no such number."""

    lower: float | None
    upper: float | None
    estimate: float | None
    margin: float | None
    zero: float
    label_x: float
    value_label: str
    ticks: tuple[Tick, ...]
    margin_label: str


def is_drawable(gate: GateResult) -> bool:
    """Whether the gate has a number that can be put against its margin."""
    numbers = (gate.estimate, gate.lower, gate.upper)
    return gate.kind == "non_inferiority" and any(finite(value) is not None for value in numbers)


def interval_axis(gates: Iterable[GateResult]) -> IntervalAxis:
    """One axis for all gates: linear where the smallest margin stays visible on it, asinh where it would not."""
    drawable = [gate for gate in gates if is_drawable(gate)]
    values = [0.0, *(v for gate in drawable for v in _numbers(gate))]
    margins = [-threshold for gate in drawable if (threshold := finite(gate.threshold)) is not None and threshold < 0]
    low, high = _domain(values, min(margins, default=0.01))
    knee = min(margins, default=high - low)
    linear = knee >= VISIBLE_SHARE * (high - low)
    scale = Scale(low, high, PADDING, WIDTH - PADDING, "linear" if linear else "asinh", knee)
    return IntervalAxis(scale, _axis_ticks(scale))


def interval_picture(gate: GateResult, axis: IntervalAxis) -> IntervalPicture:
    """Puts one gate's numbers on the shared axis; the margin's tick replaces the ones that it would touch."""
    place = axis.scale
    lower, upper, estimate, margin = (
        None if (known := finite(value)) is None else place(known)
        for value in (gate.lower, gate.upper, gate.estimate, gate.threshold)
    )
    shown = next(x for x in (estimate, lower, upper, place(0.0)) if x is not None)
    kept = spaced(axis.ticks, place, TICK_GAP, () if margin is None else (margin,))
    return IntervalPicture(
        lower=lower,
        upper=upper,
        estimate=estimate,
        margin=margin,
        zero=place(0.0),
        label_x=min(max(shown, LABEL_HALF_WIDTH), WIDTH - LABEL_HALF_WIDTH),
        value_label=points(gate.estimate) if estimate is not None else "",
        ticks=tuple(Tick(place(value), tick_label(value)) for value in kept),
        margin_label=tick_label(finite(gate.threshold) or 0.0),
    )


def tick_label(value: float) -> str:
    """A proportion as signed percentage points without trailing zeros; zero carries the unit."""
    scaled = round(value * 100, 6)
    return f"{scaled:+g}".replace("-", MINUS) if scaled else "0 pp"


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
