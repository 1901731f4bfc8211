"""Advances of the selection: each rung that was tried, with the reason for the next one, and each gate's outcome."""

from deployments.rungs import Rung
from quality_gates.verdict import Verdict
from tasks.progress import Advance, tell
from tasks.selection.attempts import Attempt, Model
from tasks.upstream import DeviceContext


def tell_attempt(context: DeviceContext, tried: Attempt, done: int, left: int) -> None:
    """Tell a rung that was tried: its figures on validation, whether the gates hold there, and what comes next."""
    line = {
        "rung": tried.rung.title,
        "model": tried.snapshot.title,
        f"validation {context.job.score_word}": tried.accuracy,
        "bytes": tried.size_bytes,
        "p50 ms": tried.figure("latency_p50_ms"),
        "gates hold": "yes" if tried.verdict.passed else f"no: {', '.join(sorted(tried.missed))}",
        "what follows": tried.reason,
    }
    tell(Advance("rungs", done, done + left, f"{tried.title}: {tried.reason}", context.device.name, [line]))


def tell_passed_over(context: DeviceContext, model: Model, rung: Rung, error: Exception, done: int, left: int) -> None:
    """Tell a rung that this model does not take."""
    line = {"rung": rung.title, "model": model.title, "gates hold": "no file", "what follows": f"Passed over: {error}"}
    said = f"{rung.title} is passed over"
    tell(Advance("rungs", done, done + left, said, context.device.name, [line]))


def tell_gates(context: DeviceContext, verdict: Verdict) -> None:
    """Tell the gates' outcomes on the test rows, in the order of the recipe."""
    lines = [
        {"gate": gate.name, "outcome": gate.outcome, "blocks": "yes" if gate.blocking else "no", "says": gate.sentence}
        for gate in verdict.gates
    ]
    said = f"{verdict.outcome}: {verdict.headline}"
    tell(Advance("gates", len(lines), len(lines), said, context.device.name, lines, whole=True))
