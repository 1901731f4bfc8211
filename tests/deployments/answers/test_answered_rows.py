"""Answers of rows: a broken number is wrong wherever it is looked at, and counted."""

import logging

import numpy as np
import pandas as pd
import pytest

from deployments.answers import NOT_A_NUMBER, answers_of, labelled, predictions_of
from deployments.errors import ConfigurationError
from tests.deployments.example_rows import Rows

OUTPUTS = np.array([[2.0, 1.0], [np.nan, 1.0], [1.0, np.inf], [0.0, 3.0]])


def test_an_answer_that_is_no_number_is_wrong_and_counted(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("edgewright"), "propagate", True)
    with caplog.at_level(logging.WARNING, "edgewright"):
        found = answers_of(Rows(), OUTPUTS, np.array([0, 0, 1, 1]))
    assert found.predictions.tolist() == [0, NOT_A_NUMBER, NOT_A_NUMBER, 1]
    assert found.scores.tolist() == [1, 0, 0, 1] and found.mean_score == 0.5
    assert "2 of 4 rows are answered with NaN or infinity" in caplog.text
    assert predictions_of(Rows(), OUTPUTS).tolist() == found.predictions.tolist()


def test_it_has_no_probabilities_and_leaves_those_of_others_alone() -> None:
    _, whole = labelled(Rows(), OUTPUTS[[0, 3]], np.array([0, 1]))
    _, table = labelled(Rows(), OUTPUTS, np.array([0, 0, 1, 1]))
    assert whole is not None and table is not None
    assert table.isna().all(axis=1).tolist() == [False, True, True, False]
    pd.testing.assert_frame_equal(table.iloc[[0, 3]].reset_index(drop=True), whole)


def test_probabilities_stay_probabilities_beside_a_broken_row() -> None:
    _, table = labelled(Rows(), np.array([[0.9, 0.1], [np.nan, 0.5]]), np.array([0, 1]))
    assert table is not None and list(table.loc[0]) == [0.9, 0.1]


def test_where_no_number_means_wrong_the_score_is_none() -> None:
    workload = Rows()
    workload.task = "regression"
    found = answers_of(workload, np.array([1.0, np.nan]), np.array([1.0, 2.0]))
    assert found.scores[0] == 0 and np.isnan(found.scores[1])  # 0 would be the best that an error can be
    assert found.mean_score == -np.inf


def test_rows_that_are_all_broken() -> None:
    found = answers_of(Rows(), np.full((2, 2), np.nan), np.array([0, 1]))
    assert found.predictions.tolist() == [NOT_A_NUMBER] * 2 and found.mean_score == -np.inf


class Wrong(Rows):
    """Functions that do not fit the rows."""

    def predictions(self, outputs: np.ndarray) -> np.ndarray:
        return outputs


def test_functions_that_do_not_fit_are_one_sentence() -> None:
    with pytest.raises(
        ConfigurationError, match=r"test_answered_rows:Wrong`: expected one prediction for each of 4 rows, got"
    ):
        answers_of(Wrong(), np.zeros((4, 2)), np.zeros((4, 2)))
