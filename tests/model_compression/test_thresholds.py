"""Where values are cut off, on distributions whose answer is known."""

import numpy as np
import pytest

from model_compression.quantization.ranges import entropy_threshold, percentile_bounds


def histogram(values: np.ndarray, bins: int = 2048) -> tuple[np.ndarray, np.ndarray]:
    return np.histogram(values, bins)


def magnitudes(values: np.ndarray, bins: int = 2048) -> tuple[np.ndarray, np.ndarray]:
    return np.histogram(np.abs(values), bins, (0, np.abs(values).max()))


class TestPercentile:
    def test_by_hand(self) -> None:
        counts, edges = np.array([1, 3, 92, 3, 1]), np.arange(6)
        assert percentile_bounds(counts, edges, 100) == (0, 5)
        assert percentile_bounds(counts, edges, 98) == (1, 4)
        assert percentile_bounds(counts, edges, 95) == (2, 3)

    def test_both_sides_of_a_normal_distribution_lose_alike(self) -> None:
        values = np.random.default_rng(0).normal(size=200_000)
        low, high = percentile_bounds(*histogram(values), 99.5)
        assert low == pytest.approx(-2.576, abs=0.03)
        assert high == pytest.approx(2.576, abs=0.03)

    def test_everything_stays_where_nothing_is_outside(self) -> None:
        values = np.linspace(-1, 1, 1000)
        low, high = percentile_bounds(*histogram(values, 16), 99.99)
        assert (low, high) == (-1, 1)


class TestEntropy:
    def test_a_flat_distribution_is_not_cut(self) -> None:
        values = np.random.default_rng(0).uniform(0, 1, size=500_000)
        assert entropy_threshold(*magnitudes(values)) > 0.95

    def test_a_lone_outlier_is(self) -> None:
        values = np.append(np.random.default_rng(0).normal(size=500_000), 50.0)
        assert 2.5 < entropy_threshold(*magnitudes(values)) < 8

    def test_it_scales_with_the_values(self) -> None:
        values = np.append(np.random.default_rng(0).normal(size=50_000), 50.0)
        once, ten_times = entropy_threshold(*magnitudes(values)), entropy_threshold(*magnitudes(10 * values))
        assert ten_times == pytest.approx(10 * once, rel=1e-3)

    def test_values_in_one_place_are_kept(self) -> None:
        assert entropy_threshold(*magnitudes(np.full(100, 3.0))) == pytest.approx(3)

    def test_no_more_bins_than_levels_lose_nothing(self) -> None:
        assert entropy_threshold(np.ones(100), np.arange(101)) == 100
