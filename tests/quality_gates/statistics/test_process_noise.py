"""Bounds of figures over fresh processes: they keep to their level, also when they are looked at again."""

import numpy as np
import pytest

from quality_gates.statistics import PROCESSES, ProcessBounds, process_bounds


@pytest.mark.parametrize("noise", [0.01, 0.1, 0.4])
def test_a_figure_at_its_limit_passes_in_at_most_5_of_100_cases_whenever_it_is_looked_at(noise: float) -> None:
    random = np.random.default_rng(0)
    passed = 0
    for _ in range(2000):
        values = np.exp(noise * random.standard_normal(max(PROCESSES)))
        bounds = [process_bounds(values[:count].tolist()) for count in PROCESSES]
        passed += any(each is not None and each.upper <= 1.0 for each in bounds)
    assert passed / 2000 < 0.05 + 3 * (0.05 * 0.95 / 2000) ** 0.5


def test_the_bounds_close_in_with_more_processes_and_hold_the_geometric_mean() -> None:
    few, many = process_bounds([1.0, 2.0, 4.0]), process_bounds([1.0, 2.0, 4.0] * 5)
    assert few is not None and many is not None
    assert few.typical == pytest.approx(2.0) and many.typical == pytest.approx(2.0)
    assert few.lower < many.lower < 2.0 < many.upper < few.upper
    assert (few.processes, many.processes) == (3, 15)


def test_processes_that_agree_leave_no_doubt() -> None:
    bounds = process_bounds([3.0] * 5)
    assert bounds is not None
    assert bounds.lower == pytest.approx(3.0) and bounds.upper == pytest.approx(3.0)


def test_a_process_that_measured_nothing_makes_the_bounds_wide_and_does_not_decide_alone() -> None:
    bounds = process_bounds([80.0, 80.1, 0.0, 79.9, 80.0])
    assert bounds is not None and bounds.processes == 5
    assert bounds.lower < 40 and bounds.upper > 100
    assert process_bounds([0.0] * 5) == ProcessBounds(0.0, 0.0, 0.0, 5)


@pytest.mark.parametrize("values", [[], [1.0]])
def test_one_process_has_no_noise_that_is_known(values: list[float]) -> None:
    assert process_bounds(values) is None
