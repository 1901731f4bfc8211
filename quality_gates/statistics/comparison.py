"""One metric of the candidate and one reference on the rows of a gate, with the bounds of the difference."""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Protocol

import numpy as np

from quality_gates.errors import EvidenceError
from quality_gates.evidence import Evidence, PairedRows, RowGroups
from quality_gates.policy import ERRORS, MetricChoice
from quality_gates.statistics.bootstrap import SIDES
from quality_gates.statistics.class_metrics import ClassTable, check_classes, class_metric, target_of
from quality_gates.statistics.custom_metric import PairedCustomMetric
from quality_gates.statistics.grouped_rows import check_enough_groups, grouped_bounds, grouped_share_bounds
from quality_gates.statistics.proportions import POWER, exact_bounds, rows_needed, score_interval, share_bounds
from quality_gates.statistics.value_metrics import error_metric, ranking_metric, score_metric


@dataclass(frozen=True)
class ComparedMetric:
    """Both models on `n` rows: their values, and the candidate's gain (positive is better) with one-sided bounds.

    `gained` and `lost` count the rows that only the candidate or only the reference has right, where the metric is a
    share of rows. `rows_needed` is how many such rows decide in 4 of 5 cases if the models are truly equal, None for a
    margin of 0. `groups` counts the groups that the rows are of, where they are not independent.
    """

    n: int
    candidate: float
    reference: float
    gain: float
    lower: float
    upper: float
    rows_needed: int | None
    gained: int | None = None
    lost: int | None = None
    groups: int | None = None

    @property
    def figures(self) -> dict[str, float | None]:
        """The fields of a gate's result that say what was seen."""
        return {
            "estimate": self.gain,
            "lower": self.lower,
            "upper": self.upper,
            "n": self.n,
            "groups": self.groups,
            "gained": self.gained,
            "lost": self.lost,
            "candidate_value": self.candidate,
            "reference_value": self.reference,
        }


@dataclass(frozen=True)
class ValueWithBounds:
    """The candidate's value on `n` rows, with one-sided bounds; of so many groups, where rows are not independent."""

    value: float
    lower: float
    upper: float
    n: int
    groups: int | None


@dataclass(frozen=True, eq=False)
class _Shares:
    """The rows that the candidate and the reference have right, (rows,) each, and the groups of these rows."""

    candidate: np.ndarray
    reference: np.ndarray
    groups: RowGroups | None


class Bounded(Protocol):
    """A metric of both models whose bounds can be asked for."""

    @property
    def n(self) -> int:
        """The number of rows."""

    @property
    def sign(self) -> int:
        """1 where higher is better, else -1."""

    @property
    def values(self) -> tuple[float, float]:
        """The values of candidate and reference."""

    @property
    def groups(self) -> RowGroups | None:
        """The groups of the rows, None where rows are independent."""

    def gain_bounds(self, confidence: float) -> tuple[float, float]:
        """Return one-sided bounds of the candidate's gain, positive where it is better."""

    def own_bounds(self, confidence: float) -> tuple[float, float]:
        """Return one-sided bounds of the candidate's value."""

    def gain_spread(self) -> float:
        """Return the standard error of the gain."""


def compare(
    choice: MetricChoice, laid: PairedRows, against: str, margin: float, confidence: float, evidence: Evidence
) -> ComparedMetric:
    """Compare on the rows of the metric's slice; the bounds are exact at a loss of `margin` where they can be.

    Raises EvidenceError for rows that lack what the metric needs, UndecidedError where a known class has none or the
    rows are of too few groups.
    """
    shares = _as_shares(choice, laid, against, evidence)
    if shares is not None:
        return _compare_shares(shares, margin, confidence)
    return compared(bounded(choice, laid, evidence), margin, confidence)


def compared(metric: Bounded, margin: float, confidence: float) -> ComparedMetric:
    """Return both models' values of a metric, and the bounds of the gain."""
    candidate, reference = metric.values
    gain = metric.sign * (candidate - reference)
    lower, upper = metric.gain_bounds(confidence)
    needed = _rows_needed(metric, margin, confidence)
    groups = None if metric.groups is None else metric.groups.count
    return ComparedMetric(
        metric.n, candidate, reference, gain, min(lower, gain), max(upper, gain), needed, groups=groups
    )


def is_shown_to_differ(candidate: np.ndarray, reference: np.ndarray, confidence: float = 0.95) -> bool:
    """Return True where two models' scores (rows,) on the same rows are shown to differ in the mean, on either side.

    Scores of 0 and 1 are compared by Tango's interval, others by the normal one of their differences.
    """
    one_sided = 1 - (1 - confidence) / 2
    if np.isin(candidate, (0, 1)).all() and np.isin(reference, (0, 1)).all():
        gained, lost = int((candidate > reference).sum()), int((candidate < reference).sum())
        lower, upper = score_interval(gained, lost, len(candidate), one_sided)
        return lower > 0 or upper < 0
    differences = candidate - reference
    if len(differences) < 2:
        return False
    error = float(differences.std(ddof=1)) / math.sqrt(len(differences))
    return abs(float(differences.mean())) > NormalDist().inv_cdf(one_sided) * error


def value_with_bounds(choice: MetricChoice, laid: PairedRows, confidence: float, evidence: Evidence) -> ValueWithBounds:
    """Return the candidate's value with its one-sided bounds; raises as `compare` does."""
    shares = _as_shares(choice, laid, "candidate", evidence)
    if shares is not None:
        n = len(shares.candidate)
        bounds = bounds_of_share(shares.candidate, shares.groups, confidence)
        return ValueWithBounds(int(shares.candidate.sum()) / n, *bounds, n, _count(shares.groups))
    metric = bounded(choice, laid, evidence)
    value, (lower, upper) = metric.values[0], metric.own_bounds(confidence)
    return ValueWithBounds(value, min(lower, value), max(upper, value), metric.n, _count(metric.groups))


def bounds_of_share(hits: np.ndarray, groups: RowGroups | None, confidence: float) -> tuple[float, float]:
    """Return the one-sided bounds of the share of rows (rows,) that are hits, exact where rows are independent.

    Raises UndecidedError for rows of too few groups.
    """
    if groups is None:
        return share_bounds(int(hits.sum()), len(hits), confidence)
    check_enough_groups(groups)
    return grouped_share_bounds(hits, groups, confidence)


def bounded(choice: MetricChoice, laid: PairedRows, evidence: Evidence) -> Bounded:
    """Prepare a metric that is no share of rows; raises EvidenceError, UndecidedError for rows of too few groups."""
    mask = laid.index.mask(choice.slice)
    rows, groups = laid.rows[mask], laid.groups(mask)
    if groups is not None:
        check_enough_groups(groups)
    if choice.metric in ERRORS:
        return error_metric(choice.metric, rows, groups)
    if choice.metric == "mean_score":
        return score_metric(rows, groups)
    if choice.is_of_classes:
        check_classes(choice, target_of(rows), evidence.classes.on(choice.slice))
    if choice.metric == "auroc":
        return ranking_metric(choice, rows, groups)
    if not choice.is_custom:
        return class_metric(choice, rows, groups)
    function = evidence.functions.get(choice.metric)
    if function is None:
        raise EvidenceError(
            f"The metric {choice.metric} is not known: no such function was given.",
            "Correct `metric` in the recipe, or put its module on the path.",
        )
    if "target" in rows:
        target_of(rows)  # a function that skips rows without one would look past them
    return PairedCustomMetric(function, choice.metric, choice.sign, rows, groups)


def _as_shares(choice: MetricChoice, laid: PairedRows, against: str, evidence: Evidence) -> _Shares | None:
    """Return the rows that the candidate and the reference have right, where the metric is a share of rows."""
    if choice.metric not in ("accuracy", "recall"):
        return None
    mask = laid.index.mask(choice.slice)
    if choice.metric == "accuracy":
        laid.check_right_or_wrong(against, mask)
    rows = laid.rows[mask]
    if choice.metric == "accuracy":
        candidate, reference = (rows[f"{side}_score"].to_numpy() == 1 for side in SIDES)
        return _Shares(candidate, reference, laid.groups(mask))
    check_classes(choice, target_of(rows), evidence.classes.on(choice.slice))
    table = ClassTable.of(target_of(rows), rows["candidate_prediction"], rows["reference_prediction"])
    cells = table.cells[table.place]
    of_class = cells[:, 0] == table.code(choice.of)
    mask[np.flatnonzero(mask)[~of_class]] = False
    cells = cells[of_class]
    return _Shares(cells[:, 1] == cells[:, 0], cells[:, 2] == cells[:, 0], laid.groups(mask))


def _compare_shares(shares: _Shares, margin: float, confidence: float) -> ComparedMetric:
    candidate, reference, groups, n = shares.candidate, shares.reference, shares.groups, len(shares.candidate)
    gained, lost = int((candidate & ~reference).sum()), int((reference & ~candidate).sum())
    effect = 1.0
    if groups is None:
        lower, upper = exact_bounds(gained, lost, n, margin, confidence)
    else:
        check_enough_groups(groups)
        gains = candidate.astype(float) - reference.astype(float)
        lower, upper, effect = grouped_bounds(gains, groups, margin, confidence)
    # Without a discordant row so far, count one: a share of exactly zero would promise too much.
    needed = rows_needed(max(gained + lost, 1) / n, margin, confidence, POWER) if 0 <= margin < 1 else None
    return ComparedMetric(
        n,
        int(candidate.sum()) / n,
        int(reference.sum()) / n,
        (gained - lost) / n,
        lower,
        upper,
        None if needed is None else math.ceil(needed * effect),
        gained,
        lost,
        _count(groups),
    )


def _count(groups: RowGroups | None) -> int | None:
    return None if groups is None else groups.count


def _rows_needed(metric: Bounded, margin: float, confidence: float) -> int | None:
    if margin <= 0:
        return None
    spread = NormalDist().inv_cdf(confidence) + NormalDist().inv_cdf(POWER)
    return math.floor(metric.n * (spread * metric.gain_spread() / margin) ** 2) + 1
