"""Why this file and not another, in sentences."""

from collections.abc import Iterable, Sequence

from deployments.techniques import OBJECTIVES, Objective
from quality_gates.report import percent, quantity, size
from tasks.selection.attempts import Attempt
from tasks.selection.pareto import HIGHER_IS_BETTER


def best_of(attempts: Sequence[Attempt], objective: Objective) -> Attempt:
    """The best by an objective, of equal ones the more accurate, then the smaller."""
    sign = 1 if objective in HIGHER_IS_BETTER else -1

    def merit(tried: Attempt) -> tuple[float, float, float]:
        value = tried.figure(objective)
        return (-float("inf") if value is None else sign * value, tried.accuracy or 0.0, -tried.size_bytes)

    return max(attempts, key=merit)


def why_chosen(
    chosen: Attempt, attempts: Sequence[Attempt], objective: Objective, refused: Iterable[Exception]
) -> tuple[str, ...]:
    """Why the chosen one, why not each other rung that was tried on the same model, and what could not be tried."""
    held = [tried for tried in attempts if tried.verdict.passed]
    if not held:
        yes = (
            f"Why {chosen.title}: none of {len(attempts)} files holds every gate on validation; this one misses the "
            f"fewest ({', '.join(sorted(chosen.missed))})."
        )
    elif len(held) == 1:
        yes = f"Why {chosen.title}: the only one of {len(attempts)} files that holds every gate on validation, with "
        yes += f"{_figures(chosen)}."
    else:
        yes = (
            f"Why {chosen.title}: of {len(held)} files that hold every gate on validation, out of {len(attempts)} "
            f"tried, it has {OBJECTIVES[objective]}: {_figures(chosen)}."
        )
    beside = (tried for tried in attempts if tried.snapshot is chosen.snapshot and tried is not chosen)
    passed_over = dict.fromkeys(f"Passed over: {error}." for error in refused)
    return (yes, *(_why_not(tried) for tried in beside), *passed_over)


def _why_not(tried: Attempt) -> str:
    if tried.verdict.passed:
        return f"Why not {tried.rung.title} there: it holds too, with {_figures(tried)}."
    return f"Why not {tried.rung.title} there: it misses {', '.join(sorted(tried.missed))}, with {_figures(tried)}."


def _figures(tried: Attempt) -> str:
    p50 = quantity("latency_p50_ms", tried.figure("latency_p50_ms"))
    return f"{percent(tried.accuracy)} on validation, {size(tried.size_bytes)}, p50 {p50}"
