"""Places of the parts of an interval picture."""

from itertools import pairwise

import pytest

from quality_gates.report.charts.gate_pictures import (
    PADDING,
    TICK_GAP,
    WIDTH,
    interval_axis,
    interval_picture,
    is_drawable,
)
from quality_gates.report.quantities import Unit
from quality_gates.verdict import GateResult


def gate(estimate: float | None, lower: float | None, upper: float | None, margin: float) -> GateResult:
    return GateResult(
        name="accuracy",
        kind="non_inferiority",
        outcome="pass",
        blocking=True,
        metric="accuracy",
        estimate=estimate,
        lower=lower,
        upper=upper,
        threshold=-margin,
        margin=margin,
        sentence="Accuracy holds.",
    )


def test_estimate_and_margin_stand_where_their_values_say_on_a_linear_axis() -> None:
    wide, narrow = gate(-0.05, -0.1, 0.1, 0.1), gate(0.0, -0.02, 0.02, 0.05)
    axis = interval_axis([wide, narrow])
    picture = interval_picture(wide, axis)
    assert not axis.compressed
    # The domain is -10..+10 pp over the width less its padding.
    step = (WIDTH - 2 * PADDING) / 20
    assert picture.zero == pytest.approx(WIDTH / 2)
    assert picture.margin == pytest.approx(PADDING)
    assert picture.estimate == pytest.approx(WIDTH / 2 - 5 * step)
    assert interval_picture(narrow, axis).margin == pytest.approx(WIDTH / 2 - 5 * step)


def test_all_pictures_share_one_axis() -> None:
    gates = [gate(-0.05, -0.1, 0.0, 0.1), gate(0.01, -0.02, 0.04, 0.05)]
    axis = interval_axis(gates)
    assert len({interval_picture(each, axis).zero for each in gates}) == 1


def test_a_margin_stays_visible_beside_a_loss_that_dwarfs_it() -> None:
    lost, held = gate(-0.6, -0.71, -0.47, 0.1), gate(0.0, -0.006, 0.006, 0.02)
    axis = interval_axis([lost, held])
    picture = interval_picture(held, axis)
    assert axis.compressed
    assert picture.margin is not None and picture.zero is not None
    assert picture.zero - picture.margin > 0.1 * WIDTH
    assert interval_picture(lost, axis).lower == pytest.approx(PADDING)


@pytest.mark.parametrize("lower", [-0.03, -0.2, -0.71, -1.0])
def test_the_order_of_values_is_kept_and_nothing_leaves_the_picture(lower: float) -> None:
    both = [gate(lower + 0.01, lower, lower + 0.02, 0.02), gate(0.0, -0.01, 0.01, 0.02)]
    axis = interval_axis(both)
    for each in both:
        picture = interval_picture(each, axis)
        assert picture.lower is not None and picture.estimate is not None and picture.upper is not None
        assert 0 <= picture.lower < picture.estimate < picture.upper <= WIDTH
        assert 0 <= picture.label_x <= WIDTH


@pytest.mark.parametrize("lower", [-0.03, -0.166, -0.2, -0.71])
def test_ticks_keep_their_distance_and_the_margin_keeps_its_tick(lower: float) -> None:
    each = gate(0.0, lower, 0.01, 0.02)
    picture = interval_picture(each, interval_axis([each]))
    assert picture.margin is not None
    places = sorted([tick.x for tick in picture.ticks] + [picture.margin])
    assert all(right - left >= TICK_GAP for left, right in pairwise(places))
    assert "0 pp" in [tick.label for tick in picture.ticks]
    assert picture.margin_label == "−2"


def test_an_interval_without_an_estimate_is_drawn_without_a_dot() -> None:
    each = gate(None, -0.01, 0.02, 0.02)
    picture = interval_picture(each, interval_axis([each]))
    assert picture.estimate is None
    assert picture.value_label == ""
    assert picture.lower is not None


def test_a_margin_of_zero_stands_on_the_zero_line() -> None:
    each = gate(0.01, 0.002, 0.02, 0.0)
    picture = interval_picture(each, interval_axis([each]))
    assert picture.margin == pytest.approx(picture.zero)
    assert picture.margin_label == "0 pp"


def test_what_has_an_interval_is_drawn_whatever_its_kind() -> None:
    assert is_drawable(gate(0.0, None, None, 0.02))
    assert not is_drawable(gate(None, None, None, 0.02))
    assert is_drawable(gate(0.0, -0.1, 0.1, 0.02).model_copy(update={"kind": "a kind of next year"}))


def flips(estimate: float, upper: float, at_most: float, outcome: str = "pass") -> GateResult:
    changes = {"kind": "flips", "threshold": at_most, "margin": None, "outcome": outcome}
    return gate(estimate, None, upper, 0.0).model_copy(update=changes)


def test_a_level_bounded_from_above_is_allowed_below_its_limit_and_has_zero_on_its_axis() -> None:
    held, broken = flips(0.01, 0.02, 0.03), flips(0.05, 0.07, 0.03, "fail")
    axis = interval_axis([held, broken])
    picture = interval_picture(held, axis)
    assert picture.allowed == "below" and picture.zero is None
    assert picture.margin is not None and picture.upper is not None and picture.upper < picture.margin
    assert (picture.value_label, picture.margin_label) == ("1.0 %", "3 %")
    assert interval_picture(broken, axis).allowed == "below"
    assert axis.scale(0.0) == pytest.approx(PADDING)


def test_a_difference_of_an_error_keeps_its_own_unit() -> None:
    worse = gate(-0.4, -0.7, -0.1, 1.0).model_copy(update={"metric": "mae", "unit": "value"})
    picture = interval_picture(worse, interval_axis([worse]))
    assert picture.value_label == "−0.40" and picture.margin_label == "−1"
    assert picture.allowed == "above"


def test_an_axis_without_gates_is_still_an_axis() -> None:
    axis = interval_axis([])
    assert 0 < axis.scale(0.0) < WIDTH


@pytest.mark.parametrize(("value", "label"), [(0.0, "0 pp"), (-0.02, "−2"), (0.125, "+12.5"), (-0.6, "−60")])
def test_tick_labels_are_signed_points(value: float, label: str) -> None:
    assert Unit("accuracy", difference=True, proportion=True).tick(value) == label
