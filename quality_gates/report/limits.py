"""Where things stand in the picture of a limit: a bar against its budget."""

from dataclasses import dataclass

from quality_gates.report.quantities import finite, quantity
from quality_gates.verdict import GateResult

WIDTH = 420.0
PADDING = 1.0
# A budget that is kept stands here; one that is missed by more than CLIP_AT times is drawn cut off, with an arrow.
BUDGET_SHARE = 0.72
CLIP_AT = 4.0
ARROW = 8.0


@dataclass(frozen=True)
class LimitPicture:
    """Horizontal coordinates of a bar from `start` to `end` and of the budget line, with their labels."""

    start: float
    end: float
    budget: float
    clipped: bool
    value_label: str
    budget_label: str


def limit_value(gate: GateResult) -> float | None:
    """The measured value that a limit looks at."""
    measured = finite(gate.candidate_value)
    return finite(gate.estimate) if measured is None else measured


def limit_picture(gate: GateResult) -> LimitPicture | None:
    """The bar of a limit; None where it is no limit or one of its numbers is missing."""
    value, budget = limit_value(gate), finite(gate.threshold)
    if gate.kind != "limit" or value is None or budget is None or budget <= 0 or value < 0:
        return None
    top = max(budget / BUDGET_SHARE, min(value, CLIP_AT * budget))
    span = WIDTH - 2 * PADDING
    clipped = value > top
    return LimitPicture(
        start=PADDING,
        end=WIDTH - PADDING - ARROW if clipped else PADDING + span * value / top,
        budget=PADDING + span * budget / top,
        clipped=clipped,
        value_label=quantity(gate.metric, value),
        budget_label=f"at most {quantity(gate.metric, budget, exact=True)}",
    )
