"""Scores of a row's probabilities: measured where a calibration gate asks for them, refused where they cannot be."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from deployments.errors import ConfigurationError
from quality_gates.errors import EvidenceError
from quality_gates.evidence import Evidence, ModelEvidence
from quality_gates.gates import Calibration
from tasks.measurement import answer_rows
from tasks.workspace import Workspace
from tests.tasks.tiny import Blobs, job

GATE = Calibration(name="believable", metric="brier", at_most=0.5, confidence=0.95)


def measured(workspace: Workspace, table: Any, *gates: Calibration) -> pd.DataFrame:
    class Given(Blobs):
        def probabilities(self, outputs: np.ndarray) -> pd.DataFrame | None:
            return table(outputs)

    asked = job(workspace, workload=Given(), gates=gates)
    return answer_rows(asked, "test", np.eye(3)[asked.splits["test"].targets])


def shares(outputs: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(0.7 * outputs + 0.1)


def test_a_gate_gets_the_score_that_it_asks_for_and_no_other(workspace: Workspace) -> None:
    rows = measured(workspace, shares, GATE)
    assert rows["brier"].tolist() == pytest.approx([0.2**2 + 2 * 0.1**2] * 30) and "log_loss" not in rows
    both = measured(workspace, shares, GATE, GATE.model_copy(update={"metric": "log_loss"}))
    assert both["log_loss"].tolist() == pytest.approx([-np.log(0.8)] * 30)
    assert "brier" not in measured(workspace, shares)


def test_without_probabilities_there_is_no_score_and_the_gate_fails(workspace: Workspace) -> None:
    model = ModelEvidence(measured(workspace, lambda _: None, GATE), None)
    result = GATE.evaluate(Evidence(model, model, None))
    assert result.outcome == "fail" and "have no candidate brier" in result.sentence


def test_a_class_that_no_column_is_of_has_no_probability(workspace: Workspace) -> None:
    rows = measured(workspace, lambda outputs: pd.DataFrame(np.full((len(outputs), 2), 0.5)), GATE)
    assert rows["brier"].tolist() == pytest.approx([0.5, 0.5, 1.5] * 10)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (lambda outputs: shares(outputs) + 0.2, r"sum to 1 in every row, got \[1\. .* in one of 30 rows"),
        (lambda outputs: pd.DataFrame(3 * outputs - 2 / 3), "at least 0 that sum to 1 in every row"),
        (
            lambda outputs: shares(outputs).set_axis(["a", "b", "c"], axis=1),
            r"columns of classes that right answers name, got \['a', 'b', 'c'\]",
        ),
    ],
)
def test_what_is_no_distribution_over_the_classes_is_refused(workspace: Workspace, table: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{says}.*correct Workload.probabilities, for which a calibration"):
        measured(workspace, table, GATE)
    assert len(measured(workspace, table)) == 30  # nothing asks for it


def test_a_row_that_is_nan_damages_the_measurement_and_not_the_workload(workspace: Workspace) -> None:
    def broken(outputs: np.ndarray) -> pd.DataFrame:
        return shares(np.where(np.arange(30)[:, None] == 7, np.nan, outputs))

    rows = measured(workspace, broken, GATE)
    assert rows["brier"].isna().sum() == 1
    with pytest.raises(EvidenceError, match="1 of 30 of the candidate's values of"):
        ModelEvidence(rows, None).measured_rows("candidate")
