import pytest

from quality_gates.gates import figures_in_words as in_words


@pytest.mark.parametrize(
    ("proportion", "text"), [(-0.30952, "−31.0"), (0.0123, "+1.2"), (0.0, "0.0"), (-0.0001, "0.0"), (1.0, "+100.0")]
)
def test_points(proportion: float, text: str) -> None:
    assert in_words.points(proportion) == text


def test_points_take_more_digits_where_a_bound_would_look_like_the_margin() -> None:
    assert in_words.digits_to_tell_apart(0.02, -0.01, 0.01) == 1
    assert in_words.digits_to_tell_apart(0.02, -0.0198, 0.01) == 2
    assert in_words.digits_to_tell_apart(0.02, -0.01, -0.020004) == 4
    assert in_words.digits_to_tell_apart(0.0025, -0.01, 0.01) == 2
    assert in_words.digits_to_tell_apart(0.02, -0.02, 0.01) == 4


@pytest.mark.parametrize(
    ("value", "text"),
    [(70_000, "70,000"), (65_536.0, "65,536"), (1234.56, "1,234.6"), (12.345, "12.35"), (0.0715, "0.0715"), (0, "0")],
)
def test_figure(value: float, text: str) -> None:
    assert in_words.figure(value) == text


def test_rows_and_percent() -> None:
    assert (in_words.rows(1), in_words.rows(0), in_words.rows(1500)) == ("1 row", "0 rows", "1,500 rows")
    assert (in_words.at_most(0), in_words.at_most(1500)) == ("no row", "at most 1,500")
    assert (in_words.percent(0.95), in_words.percent(0.975)) == ("95 %", "97.5 %")
