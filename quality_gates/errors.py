"""Errors of the gates."""

from edge_runtime.errors import EdgewrightError

_LONGEST = 400  # characters of another's message


class GateError(EdgewrightError):
    """The root of every error of the gates."""


class PolicyError(GateError, ValueError):
    """A policy that cannot be applied. Also a ValueError, so that pydantic reports it as a validation error."""


class ApprovalError(GateError):
    """An approval that may not be given, or that does not count any more."""


class SignOffError(ApprovalError, ValueError):
    """A sign-off that may not be given, or does not count. Also a ValueError, which pydantic reports in a recipe."""


class EvidenceError(GateError):
    """Measurements that cannot be trusted. `decide` turns it into a failed gate, with `remedy` as the way out."""

    def __init__(self, reason: str, remedy: str) -> None:
        """Keep the reason and the remedy apart, each a sentence."""
        super().__init__(f"{reason} {remedy}")
        self.reason = reason
        self.remedy = remedy


class UnansweredError(EvidenceError):
    """Answers that could not be taken where they count. Inconclusive, and blocking whatever a gate allows."""


class UndecidedError(EvidenceError):
    """Rows that leave a question open however the models answer. Inconclusive, as too few rows are."""


class UnsettledError(EvidenceError):
    """Evidence that says nothing about the version: an interrupted measurement, or a machine too busy to compare.

    Inconclusive and blocking whatever a gate allows, and asked again.
    """


class EmptySliceError(EvidenceError):
    """A slice that no measured row is in."""


def in_one_line(error: BaseException) -> str:
    """Return another library's or a user's error as part of a sentence: its type and the beginning of its message."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:_LONGEST]}"


def reason_and_remedy(error: Exception) -> tuple[str, str]:
    """Say in two sentences why a gate could not be evaluated and what to do about it."""
    if isinstance(error, EvidenceError):
        return error.reason, error.remedy
    reason = f"The measurements could not be read ({in_one_line(error)})."
    return reason, "Measure again; if it happens again, look at the frames that the measurement wrote."
