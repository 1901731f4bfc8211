"""Places of the parts of a limit's picture."""

import pytest

from quality_gates.report.charts.gate_pictures import ARROW, BAR_PADDING, CLIP_AT, WIDTH, LimitPicture, limit_picture
from quality_gates.verdict import GateResult


def gate(value: float | None, at_most: float | None = 20_000.0, metric: str = "size_bytes") -> GateResult:
    return GateResult(
        name="size",
        kind="limit",
        outcome="pass",
        blocking=True,
        metric=metric,
        threshold=at_most,
        candidate_value=value,
        sentence="File size.",
    )


def drawn(value: float) -> LimitPicture:
    picture = limit_picture(gate(value))
    assert picture is not None
    return picture


def test_bar_and_budget_are_in_proportion() -> None:
    picture = drawn(10_000.0)
    assert picture.end - picture.start == pytest.approx((picture.budget - picture.start) / 2)
    assert not picture.clipped


def test_a_bar_over_budget_ends_beyond_the_line() -> None:
    picture = drawn(30_000.0)
    assert picture.budget < picture.end <= WIDTH - BAR_PADDING
    assert not picture.clipped


def test_a_bar_far_over_budget_is_cut_off_and_says_so() -> None:
    picture = drawn(20_000.0 * CLIP_AT * 50)
    assert picture.clipped
    assert picture.end == pytest.approx(WIDTH - BAR_PADDING - ARROW)
    assert picture.budget > BAR_PADDING + WIDTH / 10


def test_labels_carry_units() -> None:
    picture = drawn(13_824.0)
    assert (picture.value_label, picture.budget_label) == ("13.8 kB", "at most 20 kB")
    latency = limit_picture(gate(0.0943, 0.5, "latency_p99_ms"))
    assert latency is not None
    assert (latency.value_label, latency.budget_label) == ("0.094 ms", "at most 0.5 ms")


def test_memory_that_rounds_to_nothing_is_an_empty_bar() -> None:
    picture = limit_picture(gate(0.0, 8.0, "peak_rss_mb"))
    assert picture is not None
    assert picture.end == picture.start


@pytest.mark.parametrize("broken", [gate(None), gate(1.0, None), gate(-1.0), gate(1.0, -1.0)])
def test_a_limit_without_its_numbers_has_no_picture(broken: GateResult) -> None:
    assert limit_picture(broken) is None


def test_at_least_is_allowed_above_the_line() -> None:
    floor = gate(0.95, 0.9, "accuracy").model_copy(update={"lower": 0.93})
    picture = limit_picture(floor)
    assert picture is not None
    assert (picture.allowed, picture.budget_label) == ("above", "at least 90.0 %")


def test_a_limit_of_zero_can_be_drawn() -> None:
    assert limit_picture(gate(0.0, 0.0)) is not None
    assert limit_picture(gate(3.0, 0.0)) is not None


def test_a_small_number_keeps_its_digits() -> None:
    picture = limit_picture(
        gate(2.1e-7, 1e-3, "parity_torch_onnx").model_copy(update={"unit": "value", "kind": "parity"})
    )
    assert picture is not None and (picture.value_label, picture.budget_label) == ("2.1e−07", "at most 0.001")


def test_a_difference_has_no_bar() -> None:
    assert limit_picture(gate(1.0).model_copy(update={"kind": "non_inferiority"})) is None
