"""Samples of rows, and two-sample tests whose effect sizes do not depend on how many rows each sample has."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy

SMALLEST_EXPECTED = 5  # rows per cell, below which the chi-square distribution is no longer a good approximation
RESAMPLES = 19_999
SEED = 0
POINTS = 2  # decimals
_AT_ONCE = 16 << 20  # bytes of outputs: masks of many rows are more than the memory holds


@dataclass(frozen=True)
class Sample:
    """One array per kind of figure, all of the same rows.

    `figures` (rows, figures) are the parent's raw outputs as they are compared, with a name for each column;
    `predictions` (rows, ...) what it answers, `targets` (rows, ...) the labels or None where they are not known,
    `slices` a frame with a row for each.
    """

    figures: np.ndarray
    names: tuple[str, ...]
    predictions: np.ndarray
    targets: np.ndarray | None
    slices: pd.DataFrame

    @classmethod
    def of(
        cls, outputs: np.ndarray, predictions: np.ndarray, targets: np.ndarray | None, slices: pd.DataFrame
    ) -> "Sample":
        """Take the parent's raw outputs (rows, ...), which may be a map of a file: they are read part by part.

        Class scores (rows, classes, ...) become probabilities, averaged over further axes, and the largest of them, in
        whole points: ranks would take 0.00001 and 0.001 for as far apart as 0 and 1. A map of one output in each row
        becomes its mean and its largest value. Anything else stays what it is. The figures of a row with a value that
        is not finite are NaN.
        """
        parts = list(_parts(outputs))
        shares = _has_classes(outputs) and all(map(_are_shares, parts))
        figures = np.concatenate([_figures(part, shares) for part in parts])
        return cls(figures, _names(outputs), predictions, targets, slices)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.figures)

    def where(self, mask: np.ndarray) -> "Sample":
        """The rows of a mask."""
        targets = None if self.targets is None else self.targets[mask]
        return Sample(self.figures[mask], self.names, self.predictions[mask], targets, self.slices[mask])

    def in_slices(self, column: str) -> Iterator[tuple[object, np.ndarray]]:
        """Yield the values of a slice column, each with the mask of its rows; gaps are a value of their own."""
        codes, values = pd.factorize(self.slices[column], use_na_sentinel=False)
        for code, value in enumerate(values):
            yield value, codes == code


def is_categorical(values: np.ndarray) -> bool:
    """Return True for values (rows,) that are classes, whose shares can be compared, and not measurements."""
    return values.ndim == 1 and values.dtype.kind in "biuOSU"


@dataclass(frozen=True)
class TwoSample:
    """A test's statistic, its p-value before any correction, the effect in [0, 1], and what moved most."""

    statistic: float
    p: float
    effect: float
    moved: str


def compare_shares(ours: np.ndarray, theirs: np.ndarray) -> TwoSample | None:
    """Pearson's chi-square test of homogeneity for classes (rows,); None where all rows are of one class.

    Where a cell expects fewer than 5 rows, p is Monte Carlo over the tables with the same margins. The effect is
    Cramer's V, sqrt(chi-square / rows), of two groups of equal size with these shares: with the samples' own sizes,
    which V is usually computed with, the same shift has a V of 0.44 at equal sizes and of 0.08 at a hundred to one.
    """
    codes, classes = pd.factorize(np.concatenate([_objects(ours), _objects(theirs)]), use_na_sentinel=False)
    if len(classes) < 2:
        return None
    table = np.stack(
        [np.bincount(part, minlength=len(classes)) for part in (codes[: len(ours)], codes[len(ours) :])],
    )
    statistic, p, _, expected = scipy.stats.chi2_contingency(table, correction=False)
    if expected.min() < SMALLEST_EXPECTED:
        p = _monte_carlo(table)
    shares = table / table.sum(axis=1, keepdims=True)
    parts = (shares[0] - shares[1]) ** 2 / shares.sum(axis=0)
    most = int(np.argmax(parts))
    moved = f"{classes[most]} is {_percent(shares[0, most])} of the rows here and {_percent(shares[1, most])} there"
    return TwoSample(float(statistic), float(p), float(np.sqrt(parts.sum() / 2)), moved)


def compare_figures(ours: np.ndarray, theirs: np.ndarray, names: Sequence[str]) -> TwoSample:
    """Kolmogorov-Smirnov's test for each column of figures (rows, columns); the column that moved most, Bonferroni."""
    tests = [_kolmogorov_smirnov(ours[:, column], theirs[:, column]) for column in range(ours.shape[1])]
    most = int(np.argmax([effect for effect, _ in tests]))
    p = min(1.0, len(tests) * min(p for _, p in tests))
    here, there = np.median(ours[:, most]), np.median(theirs[:, most])
    moved = f"the median of {names[min(most, len(names) - 1)]} is {here:.3g} here and {there:.3g} there"
    return TwoSample(tests[most][0], p, tests[most][0], moved)


def absence(rows: int, present: int, others: int) -> float:
    """The chance that none of `rows` is of a kind that `present` of `others` are, if both have the same share of it."""
    return float(scipy.stats.hypergeom.pmf(0, rows + others, present, rows))


def _kolmogorov_smirnov(ours: np.ndarray, theirs: np.ndarray) -> tuple[float, float]:
    test = scipy.stats.ks_2samp(ours, theirs)
    return float(test.statistic), float(test.pvalue)


def _monte_carlo(table: np.ndarray) -> float:
    method = scipy.stats.MonteCarloMethod(n_resamples=RESAMPLES, rng=np.random.default_rng(SEED))
    return float(scipy.stats.chi2_contingency(table, correction=False, method=method).pvalue)


def _objects(values: np.ndarray) -> np.ndarray:
    return np.asarray(values).astype(object)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _parts(outputs: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the rows in order, some megabytes at a time, as views."""
    step = max(_AT_ONCE // max(outputs[:1].nbytes, 1), 1)
    for start in range(0, max(len(outputs), 1), step):
        yield outputs[start : start + step]


def _has_classes(outputs: np.ndarray) -> bool:
    return outputs.ndim > 1 and outputs.shape[1] > 1


def _is_map(outputs: np.ndarray) -> bool:
    return outputs.ndim > 2 and outputs.shape[1] == 1


def _names(outputs: np.ndarray) -> tuple[str, ...]:
    if _has_classes(outputs):
        return (*(f"the probability of class {index}" for index in range(outputs.shape[1])), "the confidence")
    return ("the mean output", "the largest output") if _is_map(outputs) else ("the output",)


def _figures(outputs: np.ndarray, are_shares: bool) -> np.ndarray:
    flat = outputs.astype(float).reshape(len(outputs), -1)
    flat[~np.isfinite(flat).all(axis=1)] = np.nan
    if _is_map(outputs):
        return np.column_stack([flat.mean(axis=1), flat.max(axis=1)])
    if not _has_classes(outputs):
        return flat
    scores = flat.reshape(*outputs.shape[:2], -1)
    shares = scores if are_shares else scipy.special.softmax(scores, axis=1)
    return np.column_stack([shares.mean(axis=2), shares.max(axis=1).mean(axis=1)]).round(POINTS)


def _are_shares(outputs: np.ndarray) -> bool:
    return bool((outputs >= 0).all() and np.allclose(outputs.sum(axis=1), 1, atol=1e-3))
