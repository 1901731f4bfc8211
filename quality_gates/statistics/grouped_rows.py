"""Bounds where rows belong together in groups: a group and not a row is what was drawn by chance.

Shares of rows keep their intervals, on fewer rows: all counts are divided by the design effect, the factor by which
groups make the variance larger (Rao JNK, Scott AJ. A simple method for the analysis of clustered binary data.
Biometrics 1992;48:577-585), and the quantile is Student's, with the groups less one as its degrees of freedom (Korn EL,
Graubard BI. Confidence intervals for proportions with small expected number of positive counts estimated from survey
data. Survey Methodology 1998;24:193-201). The design effect is estimated from residuals that are corrected for the
weight of their own group (CR2: Bell RM, McCaffrey DF. Bias reduction in standard errors for linear regression with
multi-stage samples. Survey Methodology 2002;28:169-181), with one group more in which all rows are lost: few discordant
rows cannot show that rows of a group are independent.
"""

import math
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import scipy

from quality_gates.errors import UndecidedError
from quality_gates.evidence import RowGroups
from quality_gates.statistics.proportions import critical_value, score_bound, score_statistic

Floats = npt.NDArray[np.float64]
FEWEST_GROUPS = 10
"""Groups below which every gate is inconclusive: so few do not show how much groups differ."""


def check_enough_groups(groups: RowGroups) -> None:
    """Raise UndecidedError for fewer groups than show how much groups differ."""
    if groups.count < FEWEST_GROUPS:
        raise UndecidedError(
            f"Expected rows in at least {FEWEST_GROUPS} groups, got {len(groups.codes):,} rows in {groups.count}: so "
            "few groups do not show how much groups differ.",
            "Add rows of further groups to the split; more rows of the same groups do not help.",
        )


def design_effect(values: Floats, groups: RowGroups, loudest: float = 1.0) -> float:
    """Return the factor by which groups make the variance of a mean of `values` (rows,) larger; at least 1.

    `loudest` is the largest value that a row can have. A group of such rows, as large as that of a usual row, is added
    to what was seen; where groups are of different sizes it counts more than once, as the largest ones decide.
    """
    n, size = len(values), groups.rows_beside
    residual = values - math.fsum(values) / n  # exact sums, so that nothing depends on the order of the rows
    leverage = np.minimum(groups.sizes / n, 1 - 1e-9)
    between = math.fsum(groups.sums(residual) ** 2 / (1 - leverage))
    within = math.fsum(residual**2) * n / max(n - 1, 1)
    unseen = size / float(groups.sizes.mean()) * loudest**2
    seen = within + unseen * size
    return min(max(1.0, (between + unseen * size**2) / seen), float(n)) if seen > 0 else size


def widening(groups: RowGroups, confidence: float) -> float:
    """Return Student's quantile over the normal one, for the number of groups of one size that these are worth."""
    return float(scipy.stats.t.ppf(confidence, _freedom(groups))) / NormalDist().inv_cdf(confidence)


def grouped_bounds(gains: Floats, groups: RowGroups, margin: float, confidence: float) -> tuple[float, float, float]:
    """Return the bounds of candidate - reference, each one-sided, and the design effect.

    `gains` (rows,) are 1 where only the candidate is right, -1 where only the reference is, else 0. The bounds are
    Tango's with the exact critical value at a loss of `margin`, on rows and counts divided by the design effect.
    """
    effect, wider = design_effect(gains, groups), widening(groups, confidence)
    gained, lost, n = (float(count) / effect for count in ((gains > 0).sum(), (gains < 0).sum(), len(gains)))
    nominal = wider * NormalDist().inv_cdf(confidence)
    lower, upper = score_bound(gained, lost, n, confidence, nominal), -score_bound(lost, gained, n, confidence, nominal)
    if lower > -margin:
        lower = score_bound(gained, lost, n, confidence, wider * _critical(n, -margin, confidence))
    if upper < -margin:
        upper = -score_bound(lost, gained, n, confidence, wider * _critical(n, margin, confidence))
    return lower, upper, effect


def grouped_share_bounds(hits: npt.NDArray[np.bool_], groups: RowGroups, confidence: float) -> tuple[float, float]:
    """Return the one-sided bounds of a share of rows: Clopper's and Pearson's on as many rows as the groups allow."""
    values = hits.astype(float)
    n = max(len(values) / design_effect(values, groups) / widening(groups, confidence) ** 2, 1.0)
    count = float(values.mean()) * n
    lower = 0.0 if not hits.any() else float(scipy.stats.beta.ppf(1 - confidence, count, n - count + 1))
    upper = 1.0 if hits.all() else float(scipy.stats.beta.ppf(confidence, count + 1, n - count))
    return lower, upper


def grouped_p_value(gains: Floats, groups: RowGroups, difference: float) -> float:
    """Return the chance of gains at least as large, of rows (rows,) of 1, 0 and -1, at a true `difference`.

    It is 1 for fewer groups than show how much groups differ.
    """
    if groups.count < FEWEST_GROUPS:
        return 1.0
    effect = design_effect(gains, groups)
    gained, lost, n = (float(count) / effect for count in ((gains > 0).sum(), (gains < 0).sum(), len(gains)))
    statistic = score_statistic(gained, lost, n, difference)
    return float(scipy.stats.t.sf(statistic, _freedom(groups)))


def _freedom(groups: RowGroups) -> float:
    return max(groups.effective - 1, 1.0)


def _critical(n: float, difference: float, confidence: float) -> float:
    # Two digits of an estimated number of rows are enough, and the value of each takes a while.
    unit = 10 ** max(len(str(int(n))) - 2, 0)
    return critical_value(max(int(n) // unit * unit, 1), difference, confidence)
