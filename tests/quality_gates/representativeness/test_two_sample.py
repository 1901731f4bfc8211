"""The tests against values worked out otherwise."""

from math import comb

import numpy as np
import pytest
from scipy import stats

from quality_gates.representativeness.two_sample import absence, compare_figures, compare_shares
from quality_gates.statistics import holm


def test_holm_as_in_a_textbook() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_absence_is_the_chance_of_drawing_none() -> None:
    assert absence(3, 2, 4) == pytest.approx(comb(5, 3) / comb(7, 3))
    assert absence(1000, 0, 10) == 1


def test_cramers_v_runs_from_the_same_to_nothing_in_common() -> None:
    same, other = np.array([0, 1] * 20), np.array([2, 3] * 50)
    found = compare_shares(same, np.tile(same, 7))
    assert found is not None and found.effect == 0
    found = compare_shares(same, other)
    assert found is not None and found.effect == pytest.approx(1)


def test_cramers_v_at_equal_sizes_is_the_usual_one() -> None:
    ours, theirs = np.repeat([0, 1, 2], [50, 30, 20]), np.repeat([0, 1, 2], [20, 30, 50])
    table = [[50, 30, 20], [20, 30, 50]]
    found = compare_shares(ours, theirs)
    assert found is not None and found.effect == pytest.approx(stats.contingency.association(np.array(table)))


def test_the_usual_v_depends_on_the_sizes_and_this_one_does_not() -> None:
    ours, theirs = np.repeat([0, 1], [5000, 5000]), np.repeat([0, 1], [90, 10])
    found = compare_shares(ours, theirs)
    usual = stats.contingency.association(np.array([[5000, 5000], [90, 10]]))
    assert found is not None and found.effect == pytest.approx(0.436, abs=1e-3)
    assert usual == pytest.approx(0.08, abs=3e-3)


def test_thin_tables_get_a_p_value_that_holds() -> None:
    """Fisher's exact test for 2x2, whose margins are as thin as they come."""
    ours, theirs = np.array([0] * 30 + [1]), np.array([0] * 3 + [1] * 2)
    found = compare_shares(ours, theirs)
    assert found is not None
    assert found.p == pytest.approx(stats.fisher_exact([[30, 1], [3, 2]])[1], abs=0.01)
    assert found.p > 1.3 * stats.chi2_contingency([[30, 1], [3, 2]], correction=False)[1]


def test_one_class_is_nothing_to_compare() -> None:
    assert compare_shares(np.zeros(5, int), np.zeros(9, int)) is None


def test_the_figure_that_moved_most_is_named_and_paid_for() -> None:
    generator = np.random.default_rng(0)
    ours, theirs = generator.normal(size=(200, 3)), generator.normal(size=(200, 3))
    theirs[:, 1] += 1
    found = compare_figures(ours, theirs, ("a", "b", "c"))
    alone = stats.ks_2samp(ours[:, 1], theirs[:, 1])
    assert found.effect == pytest.approx(alone.statistic) and found.p == pytest.approx(3 * alone.pvalue)
    assert found.moved.startswith("the median of b is ")
