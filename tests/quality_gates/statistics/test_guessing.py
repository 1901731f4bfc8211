"""Values that guessing reaches, and differences of scores that rows show."""

import numpy as np
import pandas as pd
import pytest

from quality_gates.policy import MetricChoice
from quality_gates.statistics import guessing_value, is_shown_to_differ

ROWS = pd.DataFrame({"target": ["a"] * 90 + ["b"] * 6 + ["c"] * 4})


@pytest.mark.parametrize(
    ("metric", "of", "value"),
    [
        ("accuracy", None, 1 / 3),
        ("recall", "a", 1 / 3),
        ("recall", "c", 0.04),
        ("precision", "b", 0.06),
        ("f1", "b", 0.06),
        ("macro_f1", None, 1 / 3),
        ("balanced_accuracy", None, 1 / 3),
        ("auroc", "a", 0.5),
        ("mae", None, None),
        ("mean_score", None, None),
    ],
)
def test_a_guess_says_each_class_as_often_as_it_occurs_or_all_alike(
    metric: str, of: str | None, value: float | None
) -> None:
    guess = guessing_value(MetricChoice(metric=metric, of=of), ROWS, ROWS)
    assert guess == (None if value is None else pytest.approx(value))


def test_on_the_rows_of_a_rare_class_a_guess_is_rarely_right() -> None:
    choice = MetricChoice(metric="accuracy")
    assert guessing_value(choice, ROWS[ROWS["target"] == "c"], ROWS) == pytest.approx(0.04)


def test_without_right_answers_guessing_reaches_nothing() -> None:
    assert guessing_value(MetricChoice(metric="accuracy"), ROWS[[]], ROWS[[]]) == 0.0


@pytest.mark.parametrize("shares", [True, False])
def test_models_that_are_alike_are_shown_to_differ_in_one_sample_of_twenty(shares: bool) -> None:
    random = np.random.default_rng(0)
    told = 0
    for _ in range(1000):
        scores = random.random((2, 200))
        ours, theirs = (scores < 0.9).astype(float) if shares else scores
        told += is_shown_to_differ(ours, theirs)
    assert 10 <= told <= 75
    assert is_shown_to_differ(np.zeros(20), np.ones(20)) and is_shown_to_differ(np.arange(20.0), np.arange(20.0) + 1)
    assert not is_shown_to_differ(np.ones(20), np.ones(20))
