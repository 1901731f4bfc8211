"""Where things stand in the picture of a gate without an interval: a bar against its limit."""

from dataclasses import dataclass

from quality_gates.report.quantities import finite
from quality_gates.report.units import DIFFERENCES, Side, allowed_side, unit_of
from quality_gates.verdict import GateResult

WIDTH = 420.0
PADDING = 1.0
# A budget that is kept stands here; one that is missed by more than CLIP_AT times is drawn cut off, with an arrow.
BUDGET_SHARE = 0.72
CLIP_AT = 4.0
ARROW = 8.0


@dataclass(frozen=True)
class LimitPicture:
    """Horizontal coordinates of a bar from `start` to `end` and of the budget line, with their labels.

    `allowed` is the side of the line on which the bar may end.
    """

    start: float
    end: float
    budget: float
    clipped: bool
    allowed: Side
    value_label: str
    budget_label: str


def limit_value(gate: GateResult) -> float | None:
    """The measured value that a limit looks at."""
    measured = finite(gate.candidate_value)
    return finite(gate.estimate) if measured is None else measured


def limit_picture(gate: GateResult) -> LimitPicture | None:
    """The bar of one number against its limit; None for a difference, or where one of its numbers is missing."""
    value, budget = limit_value(gate), finite(gate.threshold)
    if gate.kind in DIFFERENCES or value is None or budget is None or budget < 0 or value < 0:
        return None
    top = max(budget / BUDGET_SHARE, min(value, CLIP_AT * budget or value)) or 1.0
    span = WIDTH - 2 * PADDING
    clipped, side = value > top, allowed_side(gate)
    return LimitPicture(
        start=PADDING,
        end=WIDTH - PADDING - ARROW if clipped else PADDING + span * value / top,
        budget=PADDING + span * budget / top,
        clipped=clipped,
        allowed=side,
        value_label=unit_of(gate).write(value),
        budget_label=f"{'at most' if side == 'below' else 'at least'} {unit_of(gate).limit(budget)}",
    )
