"""Classes that are taken for one another, counted against the reference."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from quality_gates.evidence import ModelEvidence
from tasks.reporting.row_findings import MOST_CLASSES, SHOWN_MISTAKES, confusion, mistakes

LABELS = np.array([0, 0, 1, 1, 2, 2, 2, 3])


def job(labels: np.ndarray = LABELS) -> Any:
    return SimpleNamespace(splits={"test": SimpleNamespace(targets=labels)})


def answers(*predictions: int) -> ModelEvidence:
    given = np.array(predictions)
    score = (given == LABELS).astype(float)
    return ModelEvidence(pd.DataFrame({"row_id": np.arange(8), "prediction": given, "score": score}), None)


def test_what_the_candidate_does_more_often_comes_first() -> None:
    candidate, reference = answers(0, 0, 1, 1, 3, 3, 3, 0), answers(0, 1, 1, 1, 2, 2, 3, 0)
    found = [(row.label, row.prediction, row.candidate, row.reference) for row in mistakes(job(), candidate, reference)]
    assert found == [("2", "3", 3, 1), ("3", "0", 1, 1), ("0", "1", 0, 1)]


def test_no_mistakes_and_few_are_shown() -> None:
    right = answers(*LABELS)
    assert mistakes(job(), right, right) == ()
    labels = np.repeat(np.arange(30), 2)
    wrong = pd.DataFrame({"row_id": np.arange(60), "prediction": labels + 1, "score": 0.0})
    assert len(mistakes(job(labels), ModelEvidence(wrong, None), ModelEvidence(wrong, None))) == SHOWN_MISTAKES


@pytest.mark.parametrize(
    ("labels", "reference"),
    [(LABELS.astype(float), answers(*LABELS)), (LABELS, None), (LABELS, ModelEvidence(None, None, "crashed"))],
)
def test_what_cannot_be_compared_is_left_out(labels: np.ndarray, reference: ModelEvidence | None) -> None:
    assert mistakes(job(labels), answers(*LABELS), reference) == ()


def told(target: list[object], *predictions: object) -> ModelEvidence:
    """Rows that say the right answer in the words of the predictions."""
    score = [float(one == other) for one, other in zip(target, predictions, strict=True)]
    rows = {"row_id": range(len(target)), "prediction": predictions, "score": score, "target": target}
    return ModelEvidence(pd.DataFrame(rows), None)


def test_the_matrix_counts_rows_by_label_and_answer_of_both_models() -> None:
    target: list[object] = ["cat", "cat", "cat", "dog"]
    found = confusion(told(target, "cat", "dog", "dog", "dog"), told(target, "cat", "cat", "cow", "dog"))
    assert found is not None
    assert found.classes == ("cat", "cow", "dog")  # an answer that is no label has its column too
    assert found.candidate == ((1, 0, 2), (0, 0, 0), (0, 0, 1))
    assert found.reference == ((2, 1, 0), (0, 0, 0), (0, 0, 1))


def test_numbers_stand_in_their_own_order() -> None:
    target: list[object] = [10, 9, 2]
    found = confusion(told(target, 10, 9, 2), told(target, 10, 9, 2))
    assert found is not None and found.classes == ("2", "9", "10")


def test_without_a_measured_reference_the_candidate_stands_alone() -> None:
    for missing in (None, ModelEvidence(None, None, "crashed")):
        found = confusion(told([0, 1], 0, 0), missing)
        assert found is not None and found.candidate == ((1, 0), (1, 0)) and found.reference is None


def test_more_classes_than_can_be_read_have_no_matrix() -> None:
    labels: list[object] = list(range(MOST_CLASSES))
    known = told(labels, *labels)
    assert confusion(known, known) is not None
    labels.append(MOST_CLASSES)
    assert confusion(told(labels, *labels), None) is None


@pytest.mark.parametrize(
    "candidate",
    [
        ModelEvidence(None, None, "crashed"),
        answers(*LABELS),  # nothing says the right answer
        told([0.5, 1.5], 0.5, 1.5),  # measurements are no classes
        told([0, 1], 0, None),  # a damaged row
    ],
)
def test_what_cannot_be_counted_has_no_matrix(candidate: ModelEvidence) -> None:
    assert confusion(candidate, None) is None
