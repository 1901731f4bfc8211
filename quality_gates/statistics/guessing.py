"""Values that guessing reaches: answers that are drawn without a look at the inputs."""

import math
from dataclasses import dataclass

import pandas as pd

from quality_gates.policy import OF_SCORES, MetricChoice, ProperScore


@dataclass(frozen=True)
class Standing:
    """The candidate's own `value` of what a gate compares, its reference's, and the value that guessing reaches."""

    title: str
    value: float
    reference: float | None
    guess: float
    proportion: bool = True
    lower_is_better: bool = False

    @property
    def is_worthless(self) -> bool:
        """True where the candidate is no better than guessing."""
        return self.value >= self.guess if self.lower_is_better else self.value <= self.guess


def guessing_value(choice: MetricChoice, rows: pd.DataFrame, every: pd.DataFrame) -> float | None:
    """Return the metric on `rows` of answers that guess; None for a mean of scores or errors and a custom metric.

    A guess says each class as often as it occurs among `every` row, or all classes alike, whichever is right less
    often: so no model that knows something is taken for worthless. Without right answers, 0 is the value of guessing.
    """
    if choice.is_custom or choice.metric in OF_SCORES:
        return None
    if choice.metric == "auroc":
        return 0.5
    shares = every["target"].value_counts(normalize=True) if "target" in every.columns else pd.Series(dtype=float)
    return 0.0 if len(shares) < 2 else min(1 / len(shares), _drawn_as_often(choice, rows["target"], shares))


def _drawn_as_often(choice: MetricChoice, target: pd.Series, shares: "pd.Series[float]") -> float:
    """Return the metric of answers that say each class as often as it occurs; 1 where the classes are averaged."""
    if choice.metric == "accuracy":
        return float(target.map(shares).mean())
    if choice.metric == "recall":
        return float(shares.get(choice.of, 0.0))
    return 1.0 if choice.of is None else float((target == choice.of).mean())


def guessing_score(score: ProperScore, every: pd.DataFrame) -> float | None:
    """Return the proper score of probabilities that are alike for all classes; None without right answers."""
    classes = every["target"].nunique() if "target" in every.columns else 0
    if classes < 2:
        return None
    return 1 - 1 / classes if score == "brier" else math.log(classes)
