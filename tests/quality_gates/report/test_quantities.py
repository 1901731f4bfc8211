"""Numbers as a reader sees them."""

import math

import pytest

from quality_gates.report.quantities import duration, finite, percent, points, quantity, ratio, score_writer, size


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.976, "97.6 %"), (1.0, "100.0 %"), (0.99997, "99.99 %"), (0.0, "0.0 %"), (None, "–"), (math.nan, "–")],
)
def test_percent(value: float | None, shown: str) -> None:
    assert percent(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(-0.5952, "−59.5 pp"), (0.02, "+2.0 pp"), (0.0, "0.0 pp"), (-0.0004, "−0.04 pp"), (None, "–"), (math.inf, "–")],
)
def test_points(value: float | None, shown: str) -> None:
    assert points(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(812, "812 bytes"), (13_824, "13.8 kB"), (154_812, "155 kB"), (4_250_000, "4.25 MB"), (2.5e9, "2.50 GB")],
)
def test_size(value: float, shown: str) -> None:
    assert size(value) == shown


def test_what_was_set_keeps_its_digits() -> None:
    assert size(20_480, exact=True) == "20.48 kB"
    assert quantity("latency_p99_ms", 0.125, exact=True) == "0.125 ms"


@pytest.mark.parametrize(
    ("value", "shown"), [(2.4, "2.40 s"), (74.2, "1 min 14 s"), (3725.0, "1 h 2 min"), (None, "–")]
)
def test_duration(value: float | None, shown: str) -> None:
    assert duration(value) == shown


@pytest.mark.parametrize(
    ("metric", "value", "shown"),
    [
        ("size_bytes", 13_824.0, "13.8 kB"),
        ("peak_rss_mb", 4.25, "4.25 MiB"),
        ("latency_p50_ms", 0.061, "0.061 ms"),
        ("accuracy", 0.93, "93.0 %"),
        ("rows_per_joule", 1234.0, "1234"),
        ("accuracy", None, "–"),
        ("mae", 0.25, "0.25"),
        ("metrics.own:cost", 0.25, "0.25"),
        ("energy_mj", 1.5, "1.50 mJ"),
    ],
)
def test_quantity_takes_its_unit_from_the_metric(metric: str, value: float | None, shown: str) -> None:
    assert quantity(metric, value) == shown


def test_ratio_says_which_way() -> None:
    assert ratio(10.0, 50.0, "smaller", "larger") == "5.0× smaller"
    assert ratio(30.0, 20.0, "faster", "slower") == "1.5× slower"
    assert ratio(101.0, 100.0, "faster", "slower") == "about the same"


@pytest.mark.parametrize("broken", [None, 0.0, -1.0, math.nan])
def test_a_ratio_needs_two_positive_numbers(broken: float | None) -> None:
    assert ratio(broken, 10.0, "smaller", "larger") is None
    assert ratio(10.0, broken, "smaller", "larger") is None


def test_finite() -> None:
    assert finite(0.0) == 0.0
    assert finite(-math.inf) is None


@pytest.mark.parametrize(
    ("values", "written"),
    [
        ([-0.115, -0.09871, -0.12], ["−0.115", "−0.099", "−0.120"]),
        ([-1234.5, -9.0, None], ["−1234", "−9", "–"]),
        ([-12.34, math.nan, -math.inf], ["−12.3", "–", "–"]),
        ([0.0, None], ["0.00", "–"]),
        ([], []),
    ],
)
def test_scores_of_one_table_have_the_same_decimals(values: list[float | None], written: list[str]) -> None:
    write = score_writer(values, shares=False)
    assert [write(value) for value in values] == written


def test_shares_of_one_table_are_percentages() -> None:
    assert score_writer([0.5, 0.99997])(0.99997) == "99.99 %"
