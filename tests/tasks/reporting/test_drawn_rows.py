"""Rows that are drawn: those that lost visibly, the largest loss first, and a few of them."""

import numpy as np
import pandas as pd

from quality_gates.evidence import Evidence, ModelEvidence
from tasks.reporting.drawn_rows import MOST_ROWS, _worst


def scored(scores: list[float]) -> ModelEvidence:
    rows = {"row_id": np.arange(len(scores)), "prediction": ["cell 10 %"] * len(scores), "score": scores}
    return ModelEvidence(pd.DataFrame(rows), resources=None)


def worst(parent: list[float], candidate: list[float]) -> list[int]:
    found = _worst(Evidence(scored(candidate), scored(parent), None))
    assert found is not None
    return found["row_id"].tolist()


def test_the_largest_loss_comes_first_and_what_nobody_sees_is_left_out() -> None:
    assert worst([0.9, 0.9, 0.9, 0.9, 0.9], [0.9, 0.8, 0.8998, 0.5, 0.95]) == [3, 1]


def test_a_few_rows_are_drawn_equal_losses_in_their_order() -> None:
    assert worst([1.0] * 20, [0.5] * 20) == list(range(MOST_ROWS))


def test_without_two_models_nothing_is_drawn() -> None:
    assert _worst(Evidence(scored([0.5]), None, None)) is None
