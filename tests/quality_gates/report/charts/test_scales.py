"""Scales and their ticks."""

import pytest

from quality_gates.report.charts.scales import Scale, linear_ticks, round_values, spaced


@pytest.mark.parametrize(
    ("scale", "middle"),
    [
        (Scale(0.0, 10.0, 100.0, 200.0), 5.0),
        (Scale(1.0, 100.0, 100.0, 200.0, "log"), 10.0),
        (Scale(-3.0, 3.0, 100.0, 200.0, "asinh", 0.1), 0.0),
    ],
)
def test_a_scale_maps_its_ends_and_its_middle(scale: Scale, middle: float) -> None:
    assert scale(scale.low) == pytest.approx(100.0)
    assert scale(scale.high) == pytest.approx(200.0)
    assert scale(middle) == pytest.approx(150.0)


def test_a_reversed_range_counts_downwards() -> None:
    assert Scale(0.0, 1.0, 300.0, 0.0)(0.25) == pytest.approx(225.0)


def test_asinh_is_nearly_linear_within_its_knee_and_compressed_beyond() -> None:
    scale = Scale(-1.0, 1.0, 0.0, 1000.0, "asinh", 0.1)
    near = scale(0.04) - scale(0.02), scale(0.02) - scale(0.0)
    assert near[0] == pytest.approx(near[1], rel=0.05)
    assert scale(1.0) - scale(0.98) < near[0] / 5


def test_linear_ticks_are_round_and_within_the_domain() -> None:
    assert linear_ticks(-0.12, 0.07, 5) == (-0.1, -0.05, 0.0, 0.05)
    assert linear_ticks(0.951, 0.989, 4) == (0.96, 0.97, 0.98)


def test_round_values_are_one_two_five_of_each_decade() -> None:
    assert round_values(8.0, 120.0) == pytest.approx((10, 20, 50, 100))
    assert round_values(11.0, 19.0) == ()


def test_spaced_keeps_the_first_named_and_leaves_taken_places_free() -> None:
    scale = Scale(0.0, 10.0, 0.0, 100.0)
    assert spaced((5.0, 6.0, 9.0), scale, 20.0) == (5.0, 9.0)
    assert spaced((5.0, 9.0), scale, 20.0, taken=(88.0,)) == (5.0,)
