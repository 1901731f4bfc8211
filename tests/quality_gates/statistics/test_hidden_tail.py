"""The tail that a sample could not see: its share holds at the confidence, and its size is what breaks the bound."""

import numpy as np
import pytest

from quality_gates.statistics import unseen_tail


@pytest.mark.parametrize("n", [30, 200, 1000])
def test_the_share_that_errs_more_than_any_row_is_at_most_so_large_in_95_of_100_samples(n: int) -> None:
    tail = unseen_tail("mae", n, 1.0, 2.0, 0.95)
    assert tail is not None and tail.share == pytest.approx(3 / n, rel=0.05)
    largest = np.random.default_rng(0).random((20_000, n) if n < 500 else (4_000, n)).max(axis=1)
    assert np.mean(1 - largest <= tail.share) == pytest.approx(0.95, abs=0.012)


@pytest.mark.parametrize("metric", ["mae", "rmse"])
def test_errors_of_that_size_on_that_share_reach_the_bound(metric: str) -> None:
    tail = unseen_tail(metric, 500, 1.2, 1.5, 0.95)
    assert tail is not None
    power = 2 if metric == "rmse" else 1
    reached = ((1 - tail.share) * 1.2**power + tail.share * tail.error**power) ** (1 / power)
    assert reached == pytest.approx(1.5)


def test_a_value_that_is_not_below_the_bound_hides_nothing_more() -> None:
    assert unseen_tail("mae", 500, 1.5, 1.5, 0.95) is None
