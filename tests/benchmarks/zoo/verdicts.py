"""Outcomes of the architectures: each went through, was refused, or failed at a step; and those of the peers."""

from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]
STEPS = ("program", "intake", "found", "round", "silencing", "fine-tune", "export", "ptq")
"""The steps that an architecture must go through, in their order."""
BEFORE_LONG_WORK = ("program", "intake")
CHANGED = ("silencing",)
SAME_SCORE = 0.01


@dataclass(frozen=True)
class Outcome:
    """The outcome of an architecture: `through`, `refused` or `failed`, the step that ended it, and the sentence."""

    kind: str
    step: str = ""
    said: str = ""

    @property
    def in_words(self) -> str:
        """The outcome for the table."""
        return "yes" if self.kind == "through" else f"{self.kind} at {self.step}"


def outcome_of(row: Row) -> Outcome:
    """Return what came of an architecture. A hang, a crash, and an error of another library are failures."""
    steps = row["steps"]
    if row["ended"]:
        at = next((name for name, found in steps.items() if not found["ended"]), "the start")
        return Outcome("through" if _all_through(steps) else "failed", at, row["ended"])
    for name in STEPS:
        if name not in steps:
            return Outcome("failed", name, "it was not reached")
        found = steps[name]
        if "error" in found:
            refused = name in BEFORE_LONG_WORK and found["ours"]
            return Outcome("refused" if refused else "failed", name, f"{found['type']}: {found['error']}")
    return Outcome("through")


def _all_through(steps: dict[str, Any]) -> bool:
    return all(name in steps and steps[name]["ended"] and "error" not in steps[name] for name in STEPS)


def hung_or_crashed(row: Row) -> bool:
    """Tell a row whose process was ended or ended by itself."""
    return bool(row["ended"])


def silently_changed(row: Row) -> bool:
    """Tell a row in which removal answers otherwise than silencing, or the file otherwise than torch."""
    steps = row["steps"]
    return "error" in steps.get("silencing", {}) or steps.get("export", {}).get("parity", 0.0) > 1e-3


def freed(row: Row) -> float | None:
    """Return the share of the parameters that the round freed; None where it was not taken or nothing could go."""
    found = row["steps"].get("round", {})
    share = found.get("share")
    return share if share and "nothing" not in found else None


def may_free(row: Row) -> float:
    """Return the largest share that one round may free, with at least half of each group's units left."""
    return float(row["steps"].get("round", {}).get("most", 0.0))


def pruned_rightly(row: Row) -> bool:
    """Tell a row in which our round removed something, and removal answers as silencing."""
    silencing = row["steps"].get("silencing", {})
    return bool(freed(row)) and silencing.get("ended", False) and "error" not in silencing


def peer_pruned_rightly(row: Row) -> bool:
    """Tell a row in which torch-pruning's model runs, has the output's shape, is smaller, and answers as silencing."""
    found = row["steps"].get("torch-pruning", {})
    return bool(found.get("ended")) and "error" not in found


def times_of(row: Row) -> dict[str, float]:
    """Return the times of the files that were timed together at last, where the machine was quiet enough to compare."""
    return dict(shown_times(row)) if row.get("times", {}).get("last_busy", "none") is None else {}


def shown_times(row: Row) -> dict[str, float]:
    """Return the times that were taken at last, also those of a busy machine; a chosen float file is the float file."""
    times = row.get("times", {})
    last: dict[str, float] = times.get("last", {})
    return {**last, "chosen": last["float"]} if times.get("choice") == "float" and "float" in last else last


def same_score(row: Row) -> bool:
    """Tell a row whose chosen file scores as well as that of quantize_static alone, within a point."""
    chosen, alone = _scores(row)
    return chosen is not None and alone is not None and chosen >= alone - SAME_SCORE


def better_score(row: Row) -> bool:
    """Tell a row whose chosen file scores more than a point better than that of quantize_static alone."""
    chosen, alone = _scores(row)
    return chosen is not None and alone is not None and chosen > alone + SAME_SCORE


def _scores(row: Row) -> tuple[float | None, float | None]:
    return row.get("times", {}).get("chosen_score"), row["steps"].get("quantize_static", {}).get("score")
