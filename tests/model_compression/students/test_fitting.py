"""The widest that was measured to fit."""

from collections.abc import Sequence

import pytest

from model_compression.students import widest

WIDTHS = range(8, 136, 8)


@pytest.mark.parametrize("limit", [8, 9, 40, 63, 64, 128, 10_000])
def test_it_finds_the_widest(limit: int) -> None:
    assert widest(WIDTHS, lambda width: width <= limit) == max(width for width in WIDTHS if width <= limit)


@pytest.mark.parametrize("widths", [WIDTHS, []])
def test_none_fits(widths: Sequence[int]) -> None:
    assert widest(widths, lambda width: False) is None


def test_few_are_tried() -> None:
    tried: list[int] = []

    def fits(width: int) -> bool:
        tried.append(width)
        return width < 100

    assert widest(WIDTHS, fits) == 96
    assert len(tried) <= 5


def test_what_is_returned_was_measured_to_fit_also_where_measurements_are_noisy() -> None:
    seen: dict[int, bool] = {}

    def fits(width: int) -> bool:
        return seen.setdefault(width, width in (64, 128))

    found = widest(WIDTHS, fits)
    assert found == 64
    assert seen[64]
    assert False in seen.values()
