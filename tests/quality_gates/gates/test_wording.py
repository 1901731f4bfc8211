import pytest

from quality_gates.gates import wording


@pytest.mark.parametrize(
    ("proportion", "text"), [(-0.30952, "−31.0"), (0.0123, "+1.2"), (0.0, "0.0"), (-0.0001, "0.0"), (1.0, "+100.0")]
)
def test_points(proportion: float, text: str) -> None:
    assert wording.points(proportion) == text


def test_points_take_more_digits_where_a_bound_would_look_like_the_margin() -> None:
    assert wording.digits_to_tell_apart(0.02, -0.01, 0.01) == 1
    assert wording.digits_to_tell_apart(0.02, -0.0198, 0.01) == 2
    assert wording.digits_to_tell_apart(0.02, -0.01, -0.020004) == 4
    assert wording.digits_to_tell_apart(0.0025, -0.01, 0.01) == 2
    assert wording.digits_to_tell_apart(0.02, -0.02, 0.01) == 4


@pytest.mark.parametrize(
    ("value", "text"),
    [(70_000, "70,000"), (65_536.0, "65,536"), (1234.56, "1,234.6"), (12.345, "12.35"), (0.0715, "0.0715"), (0, "0")],
)
def test_figure(value: float, text: str) -> None:
    assert wording.figure(value) == text


def test_rows_and_percent() -> None:
    assert (wording.rows(1), wording.rows(0), wording.rows(1500)) == ("1 row", "0 rows", "1,500 rows")
    assert (wording.percent(0.95), wording.percent(0.975)) == ("95 %", "97.5 %")
