"""What all gates say alike: results without figures, and how bounds decide."""

from collections.abc import Callable
from typing import Any, Protocol

from quality_gates.errors import UnansweredError, reason_and_remedy
from quality_gates.verdict import GateOutcome, GateResult


class Named(Protocol):
    """A gate of the policy."""

    @property
    def name(self) -> str: ...


def concluded(
    gate: Named, outcome: GateOutcome, sentence: str, remedy: Callable[[], str], **figures: Any
) -> GateResult:
    """Return the result of a gate that was decided: what did not pass has a remedy, and blocks unless it only warns."""
    return GateResult(
        name=gate.name,
        outcome=outcome,
        blocking=_blocks(outcome, getattr(gate, "on_inconclusive", "fail")),  # without that choice it always blocks
        sentence=sentence,
        remedy=None if outcome == "pass" else remedy(),
        **figures,
    )


def decided(name: str, title: str, decide: Callable[[], GateResult], **facts: Any) -> GateResult:
    """Return what `decide` finds; whatever stops it is a failed gate that says why, never an exception.

    Answers that could not be taken on the device's CPU are inconclusive instead, and block whatever the policy allows.
    `facts` are the fields of the result that are known all the same.
    """
    try:
        return decide()
    except Exception as error:  # whatever stops a gate from being decided must read as a failed gate, never as no gate
        reason, remedy = reason_and_remedy(error)
        sentence = f"{title} could not be decided. {reason}"
        outcome: GateOutcome = "inconclusive" if isinstance(error, UnansweredError) else "fail"
        return GateResult(name=name, outcome=outcome, blocking=True, sentence=sentence, remedy=remedy, **facts)


def not_applicable(name: str, title: str, **facts: Any) -> GateResult:
    """Return the result of a gate that needs a deployed model before there is one."""
    sentence = f"No deployed model yet: {title[0].lower()}{title[1:]} cannot be compared on a first deployment."
    return GateResult(name=name, outcome="not_applicable", blocking=False, sentence=sentence, **facts)


def at_least(threshold: float, lower: float, upper: float) -> GateOutcome:
    """Return pass where what is bounded is shown to be above a threshold, fail where below, else inconclusive."""
    if lower > threshold:
        return "pass"
    return "fail" if upper < threshold else "inconclusive"


def at_most(threshold: float, lower: float, upper: float) -> GateOutcome:
    """Return pass where what is bounded is shown to be at most a threshold, fail where above, else inconclusive."""
    if upper <= threshold:
        return "pass"
    return "fail" if lower > threshold else "inconclusive"


def _blocks(outcome: GateOutcome, on_inconclusive: str) -> bool:
    return not (outcome == "inconclusive" and on_inconclusive == "warn")
