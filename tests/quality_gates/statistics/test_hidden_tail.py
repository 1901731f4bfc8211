"""The tail that a sample could not see: its share holds at the confidence, and its size is what breaks the bound."""

import numpy as np
import pytest

from quality_gates.statistics import rows_that_would_see, unseen_tail


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


@pytest.mark.parametrize("metric", ["mae", "rmse"])
def test_the_rows_that_would_see_a_tail_are_those_after_which_it_hides_nothing(metric: str) -> None:
    needed = rows_that_would_see(metric, 1.2, 1.5, 20.0, 0.95)
    for n, hidden in ((needed - 1, True), (needed, False)):
        tail = unseen_tail(metric, n, 1.2, 1.5, 0.95)
        assert tail is not None and tail.hides(20.0) is hidden


def test_without_a_largest_error_nothing_is_said_to_hide() -> None:
    tail = unseen_tail("mae", 50, 1.0, 1.1, 0.95)
    assert tail is not None and not tail.hides(None)
