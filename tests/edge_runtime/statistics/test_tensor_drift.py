"""The index of a change of values, from counts by bin."""

import math

import pytest

from edge_runtime.statistics import BINS, LARGE_DRIFT, SMALL_DRIFT, drift_index
from edge_runtime.statistics.tensor_drift import OUTSIDE, PRIOR_ROWS, expected_shares

EXPECTED = (0, 100, 400, 2000, 2500, 2500, 2000, 400, 100, 0)


def test_the_expected_shares_are_all_there_is() -> None:
    shares = expected_shares()
    assert len(shares) == BINS and math.fsum(shares) == pytest.approx(1)
    assert shares[0] == shares[-1] == OUTSIDE and min(shares) > 0


def test_values_as_expected_are_no_drift() -> None:
    assert drift_index(EXPECTED, 1000) < 0.01
    assert drift_index((0,) * BINS, 0) == 0.0


def test_the_index_is_that_of_its_formula() -> None:
    counts, rows = (0, 0, 0, 0, 50, 30, 20, 0, 0, 0), 200
    weight = rows / (rows + PRIOR_ROWS)
    expected = 0.0
    for count, share in zip(counts, expected_shares(), strict=True):
        seen = weight * count / 100 + (1 - weight) * share
        expected += (seen - share) * math.log(seen / share)
    assert drift_index(counts, rows) == pytest.approx(expected)
    assert drift_index(counts, rows) > LARGE_DRIFT


def test_the_same_change_counts_for_more_the_more_rows_were_seen() -> None:
    shifted = (0, 0, 0, 20, 20, 20, 30, 10, 0, 0)
    few, some, many = (drift_index(shifted, rows) for rows in (2, 50, 10_000))
    assert few < SMALL_DRIFT < many and few < some < many


def test_everything_outside_is_a_large_and_finite_drift() -> None:
    for at in (0, BINS - 1):
        counts = [0] * BINS
        counts[at] = 1 << 50
        assert LARGE_DRIFT < drift_index(counts, 1 << 40) < 1000
