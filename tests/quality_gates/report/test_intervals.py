"""Where the parts of an interval picture stand."""

from itertools import pairwise

import pytest

from quality_gates.report.intervals import (
    PADDING,
    TICK_GAP,
    WIDTH,
    interval_axis,
    interval_picture,
    is_drawable,
    tick_label,
)
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
    assert picture.margin is not None and picture.zero - picture.margin > 0.1 * WIDTH
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


def test_only_non_inferiority_gates_with_a_number_are_drawn() -> None:
    assert is_drawable(gate(0.0, None, None, 0.02))
    assert not is_drawable(gate(None, None, None, 0.02))
    assert not is_drawable(gate(0.0, -0.1, 0.1, 0.02).model_copy(update={"kind": "limit"}))


def test_an_axis_without_gates_is_still_an_axis() -> None:
    axis = interval_axis([])
    assert 0 < axis.scale(0.0) < WIDTH


@pytest.mark.parametrize(("value", "label"), [(0.0, "0 pp"), (-0.02, "−2"), (0.125, "+12.5"), (-0.6, "−60")])
def test_tick_labels_are_signed_points(value: float, label: str) -> None:
    assert tick_label(value) == label
