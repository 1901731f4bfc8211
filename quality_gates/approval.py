"""The one way past a fail: a recorded approval with name, reason and expiry. Pure: the caller says what day it is."""

from datetime import date

from edge_runtime.settings import MAX_TEXT, is_plain_text
from quality_gates.errors import ApprovalError
from quality_gates.verdict import Approval, GateResult, Verdict


def approve(verdict: Verdict, *, name: str, reason: str, given: date, until: date, run_key: str, file: str) -> Verdict:
    """Return the verdict, overridden by an approval of exactly this verdict and this file's sha256.

    Only gates that were decided can be overridden: where evidence is missing or damaged nobody knows what would be
    answered for, so measuring again is the only way. Raises ApprovalError.
    """
    check_words("approval", name, reason)
    _check_days(given, until)
    _check_overridable(verdict)
    decided = verdict.unapproved
    approval = Approval(
        name=name,
        reason=reason,
        given=given,
        until=until,
        run_key=run_key,
        file_sha256=file,
        verdict_sha256=decided.sha256,
    )
    return Verdict.of(verdict.gates, approval, verdict.file_sha256, verdict.look)


def reinstate(verdict: Verdict, approval: Approval, *, run_key: str, file: str, on: date) -> Verdict:
    """Return a verdict that was decided again, overridden by the approval that was given for it before.

    Raises ApprovalError unless it is of exactly this verdict, run and file's sha256, and still counts on this day.
    """
    decided = verdict.unapproved
    if (approval.run_key, approval.verdict_sha256) != (run_key, decided.sha256):
        raise ApprovalError(
            f"expected the approval of {approval.name} to be of this verdict, with sha256 {decided.sha256}, got one of "
            f"{approval.verdict_sha256}; approve the version again"
        )
    overridden = Verdict.of(verdict.gates, approval, verdict.file_sha256, verdict.look)
    check_release(overridden, file, on)
    return overridden


def check_release(verdict: Verdict, file: str, on: date) -> None:
    """Raise ApprovalError unless a file of this sha256 may be published with this verdict on this day."""
    if not verdict.releases:
        raise ApprovalError(f"expected a passing or an overridden verdict, got {verdict.outcome}: {verdict.headline}")
    if verdict.file_sha256 not in (None, file):
        raise ApprovalError(
            f"expected the file that was measured, with sha256 {verdict.file_sha256}, got {file}; compress the version "
            "again"
        )
    approval = verdict.approval
    if approval is None:
        return
    if approval.file_sha256 != file:
        raise ApprovalError(
            f"expected the file that {approval.name} approved, with sha256 {approval.file_sha256}, got {file}; "
            "approve the version again"
        )
    if on > approval.until:
        raise ApprovalError(
            f"expected an approval that still counts on {on}, got one of {approval.name} that ended with "
            f"{approval.until}; approve the version again, or publish one that passes"
        )
    _check_overridable(verdict)


def check_words(decision: str, name: str, reason: str) -> None:
    """Raise ApprovalError unless a decision has the name of a person and a reason, each of plain text on one line."""
    for what, words in (("name", name), ("reason", reason)):
        if not words.strip():
            raise ApprovalError(f"expected a {what} for the {decision}, got none; say who answers for it and why")
        if not is_plain_text(words.strip()):
            raise ApprovalError(
                f"expected a {what} of at most {MAX_TEXT:,} printable characters on one line, as devices show it, got "
                f"{words[:80]!r}; write it so"
            )


def undecided_gates(verdict: Verdict) -> tuple[GateResult, ...]:
    """The gates in the way that have no figure: nothing was measured that a person could answer for.

    A file that another instruction set answered has one: it was measured, and a person can answer for the device's own.
    """
    figures = ("estimate", "lower", "upper", "candidate_value")
    return tuple(gate for gate in verdict.blocking if all(getattr(gate, name) is None for name in figures))


def _check_days(given: date, until: date) -> None:
    if until < given:
        raise ApprovalError(f"expected an approval that ends on {given} or later, got {until}; choose a later day")


def _check_overridable(verdict: Verdict) -> None:
    if verdict.decided == "pass":
        raise ApprovalError("expected a verdict that did not pass, got pass; it needs no approval")
    if not verdict.blocking:
        raise ApprovalError(
            "expected gates that were decided, got none: nothing was shown about the candidate; measure it first"
        )
    open_gates = undecided_gates(verdict)
    if open_gates:
        names = ", ".join(gate.name for gate in open_gates)
        raise ApprovalError(
            f"expected gates that were decided, got {names} without a figure: {open_gates[0].sentence} A measurement "
            "that is missing cannot be answered for; measure again"
        )
