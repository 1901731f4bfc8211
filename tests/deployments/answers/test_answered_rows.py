"""Answers of rows: a broken number is wrong wherever it is looked at, and counted."""

import logging

import numpy as np
import pandas as pd
import pytest

from deployments.answers import NOT_A_NUMBER, answers_of, labelled, predictions_of
from deployments.errors import ConfigurationError
from deployments.mapped import part_outputs
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


class Spied(Rows):
    """Notes how many rows its functions are given at once."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[int] = []

    def predictions(self, outputs: np.ndarray) -> np.ndarray:
        self.given.append(len(outputs))
        return super().predictions(outputs)

    def score(self, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        self.given += [len(outputs), len(targets)]
        return np.asarray(outputs.argmax(axis=1) == targets).astype(float)


@pytest.mark.parametrize("broken", [False, True])
def test_many_bytes_are_answered_part_by_part_as_all_at_once(monkeypatch: pytest.MonkeyPatch, broken: bool) -> None:
    outputs = np.random.default_rng(0).normal(size=(23, 3)).astype(np.float32)
    outputs[[4, 5, 20] if broken else [], 1] = np.nan
    targets = np.arange(23) % 3
    whole = answers_of(Spied(), outputs, targets)
    monkeypatch.setattr(part_outputs, "MOST_BYTES", 5 * outputs[:1].nbytes)
    workload = Spied()
    parts = answers_of(workload, outputs, targets)
    assert max(workload.given) == 5
    for name in ("predictions", "scores", "finite"):
        assert getattr(parts, name).tolist() == getattr(whole, name).tolist()
    assert parts.mean_score == whole.mean_score
    assert predictions_of(workload, outputs).tolist() == whole.predictions.tolist()
    assert (~parts.finite).sum() == (3 if broken else 0)


@pytest.mark.parametrize("most", [1 << 20, 2 * 8])
def test_fewer_outputs_than_rows_are_refused(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(part_outputs, "MOST_BYTES", most)
    with pytest.raises(ConfigurationError, match=r"for each of 4 rows, got an array of shape \(3,\)"):
        answers_of(Rows(), np.zeros((3, 2), dtype=np.float32), np.zeros(4, dtype=int))
