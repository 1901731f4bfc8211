"""The exact critical value: checked against a count of every table, which knows no score statistic of its own."""

from functools import cache

import numpy as np
import pytest
from scipy.special import gammaln, xlogy

from quality_gates.statistics import proportions


@cache
def _tables(n: int) -> tuple[np.ndarray, np.ndarray]:
    gained, lost = (counts.ravel() for counts in np.meshgrid(np.arange(n + 1), np.arange(n + 1)))
    possible = gained + lost <= n
    return gained[possible], lost[possible]


@cache
def _passing(n: int, margin: float) -> np.ndarray:
    return np.array(
        [
            proportions.exact_bounds(int(g), int(m), n, margin, 0.95)[0] > -margin
            for g, m in zip(*_tables(n), strict=True)
        ]
    )


def _chance(n: int, share_gained: float, share_lost: float, chosen: np.ndarray) -> float:
    gained, lost = _tables(n)
    same = n - gained - lost
    ways = gammaln(n + 1) - gammaln(gained + 1) - gammaln(lost + 1) - gammaln(same + 1)
    log = ways + xlogy(gained, share_gained) + xlogy(lost, share_lost) + xlogy(same, 1 - share_gained - share_lost)
    return float(np.exp(log)[chosen].sum())


@pytest.mark.parametrize(("n", "margin"), [(12, 0.2), (30, 0.1), (42, 0.1), (60, 0.02), (60, 0.0), (90, 0.05)])
def test_a_loss_of_the_margin_passes_in_at_most_one_case_of_twenty(n: int, margin: float) -> None:
    shares = np.linspace(0, (1 - margin) / 2, 60)
    worst = max(_chance(n, float(share), float(share) + margin, _passing(n, margin)) for share in shares)
    assert worst <= 0.0501


@pytest.mark.parametrize(("n", "margin"), [(30, 0.1), (60, 0.0), (90, 0.05)])
def test_the_correction_costs_no_more_than_it_must(n: int, margin: float) -> None:
    """One more passing value of the statistic would be too many: the test is not merely careful."""
    critical = proportions.critical_value(n, -margin, 0.95)
    assert critical == proportions._quantile(0.95) or proportions.largest_chance(n, -margin, critical - 0.01) > 0.05


def test_many_rows_need_no_correction() -> None:
    assert proportions.critical_value(50_000, -0.02, 0.95) == pytest.approx(proportions._quantile(0.95), abs=0.01)


@pytest.mark.parametrize(("gained", "lost", "n", "margin"), [(5, 2, 42, 0.1), (0, 0, 30, 0.1), (9, 3, 60, 0.0)])
def test_the_p_value_is_the_largest_chance_of_such_a_table_or_a_better_one(
    gained: int, lost: int, n: int, margin: float
) -> None:
    every = _tables(n)
    observed = proportions._statistic(np.array([gained]), np.array([lost]), n, -margin)[0]
    better = proportions._statistic(*every, n, -margin) >= observed - 1e-9
    shares = np.linspace(0, (1 - margin) / 2, 400)
    expected = max(_chance(n, float(share), float(share) + margin, better) for share in shares)
    assert proportions.p_value(gained, lost, n, -margin) == pytest.approx(expected, abs=2e-4)


def test_a_p_value_of_a_loss_is_that_of_a_gain_the_other_way() -> None:
    assert proportions.p_value(20, 2, 200, 0.05) < 0.05 < proportions.p_value(12, 2, 200, 0.05)


@pytest.mark.parametrize(("gained", "n", "margin"), [(0, 42, 0.1), (3, 42, 0.1), (5, 200, 0.02)])
def test_most_lost_is_the_edge_of_passing(gained: int, n: int, margin: float) -> None:
    most = proportions.most_lost(gained, n, margin, 0.95)
    assert most is not None
    assert (
        proportions.exact_bounds(gained, most, n, margin, 0.95)[0]
        > -margin
        >= proportions.exact_bounds(gained, most + 1, n, margin, 0.95)[0]
    )


def test_a_bound_that_refuses_is_corrected_too() -> None:
    lower, upper = proportions.exact_bounds(0, 13, 42, 0.1, 0.95)
    nominal = proportions.score_interval(0, 13, 42, 0.95)
    assert lower == nominal[0] and nominal[1] < upper < -0.1
