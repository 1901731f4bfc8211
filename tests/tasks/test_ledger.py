"""Which rows are taken for what, counted against the reference."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from quality_gates.evidence import ModelEvidence
from tasks.ledger import SHOWN_MISTAKES, mistakes

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
