"""A parent whose answers can show nothing ends before any training, with one sentence."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deployments.workload import Workload
from model_compression.errors import IntakeError
from quality_gates.gates import NonInferiority
from tasks.errors import PreflightError
from tasks.job import Job
from tasks.upstream import check_parent_answers, check_teacher
from tasks.workspace import Workspace
from tests.tasks.builders import context
from tests.tasks.tiny import Blobs, job

ROWS = 24
RIGHT = np.eye(3)[np.arange(ROWS) % 3]


class Answering:
    """A parent that answers training rows with zeros."""

    digest = "p"

    def answers(self, rows: tuple[np.ndarray, ...]) -> np.ndarray:
        return np.zeros((len(rows[0]), 3))


def of(tmp_path: Path, workload: Workload | None = None, **changes: Any) -> Job:
    return job(Workspace.at(tmp_path, "sqlite:///unused"), workload=workload, **changes)


def checked(asked: Job, outputs: np.ndarray) -> float:
    return check_parent_answers(context(asked, Answering()), outputs)


def test_a_parent_that_is_always_right_goes_on(tmp_path: Path, warned: list[str]) -> None:
    assert checked(of(tmp_path), RIGHT) == 1
    assert warned == []


def test_one_answer_for_all_rows_is_a_warning(tmp_path: Path, warned: list[str]) -> None:
    assert checked(of(tmp_path), RIGHT[[1] * ROWS]) == pytest.approx(1 / 3)
    assert len(warned) == 1 and "got 1 for all 24 validation rows, with which no gate can show a loss" in warned[0]


def test_scores_that_are_all_the_same_end_it(tmp_path: Path) -> None:
    with pytest.raises(PreflightError, match=r"tell right from wrong, got 0 for each of 24 validation rows, .*`task`"):
        checked(of(tmp_path), RIGHT[:, [1, 2, 0]])


class Always(Blobs):
    """A score that calls every answer right."""

    def score(self, outputs: np.ndarray, _: np.ndarray) -> np.ndarray:
        return np.ones(len(outputs))


def test_one_answer_that_is_always_right_ends_it_too(tmp_path: Path) -> None:
    with pytest.raises(PreflightError, match="tell right from wrong, got 1 for each"):
        checked(of(tmp_path, Always()), RIGHT[[1] * ROWS])


class BrokenInTraining(Answering):
    """A parent that cannot answer two training rows."""

    def answers(self, rows: tuple[np.ndarray, ...]) -> np.ndarray:
        outputs = super().answers(rows)
        outputs[:2] = np.nan
        return outputs


def test_answers_to_training_rows_are_looked_at_where_they_are_learnt_from(tmp_path: Path) -> None:
    asked = of(tmp_path)
    with pytest.raises(IntakeError, match="in 2 of 48 of the train rows"):
        check_parent_answers(context(asked, BrokenInTraining()), RIGHT)
    untaught = without_distillation(asked)
    assert check_parent_answers(context(untaught, BrokenInTraining()), RIGHT) == 1


def without_distillation(asked: Job) -> Job:
    prune = asked.recipe.prune
    untaught = prune.model_copy(update={"fine_tune": prune.fine_tune.model_copy(update={"distillation_weight": 0.0})})
    return job(asked.workspace, workload=asked.workload, prune=untaught)


class Silent(Blobs):
    """A score that is no number."""

    def score(self, outputs: np.ndarray, _: np.ndarray) -> np.ndarray:
        return np.where(np.arange(len(outputs)) < 4, np.nan, 1.0)


def test_scores_that_are_no_numbers(tmp_path: Path) -> None:
    with pytest.raises(PreflightError, match="got NaN or infinity for 4 of 24 validation rows of the parent"):
        checked(of(tmp_path, Silent()), RIGHT)


MAE = NonInferiority.model_validate(
    {"kind": "non_inferiority", "name": "e", "metric": "mae", "against": "parent", "margin": 0.1, "confidence": 0.95}
)


class Errors(Blobs):
    """Errors as scores, signed as asked."""

    sign = 1

    def score(self, outputs: np.ndarray, _: np.ndarray) -> np.ndarray:
        return self.sign * np.arange(len(outputs), dtype=float)


class Negated(Errors):
    """Errors as they should be."""

    sign = -1


def test_errors_are_scores_below_zero_as_training_keeps_what_scores_higher(tmp_path: Path) -> None:
    with pytest.raises(PreflightError, match=r"scores of 0 or less for the gate 'e', .* got up to 23; return minus"):
        checked(of(tmp_path, Errors(), gates=(MAE,)), RIGHT)
    assert checked(of(tmp_path, Negated(), gates=(MAE,)), RIGHT) == -11.5


def test_what_no_soft_labels_fit_is_refused_unless_nothing_distils(tmp_path: Path) -> None:
    asked = of(tmp_path, Always())
    with pytest.raises(PreflightError, match=r"got outputs \(rows, 1\) of float64 .*`distillation_weight: 0` in prune"):
        check_teacher(asked, np.zeros((8, 1)))
    check_teacher(without_distillation(asked), np.zeros((8, 1)))
    check_teacher(asked, np.zeros((8, 3)))
