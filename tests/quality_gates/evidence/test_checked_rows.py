from typing import Any

import numpy as np
import pandas as pd
import pytest

from quality_gates.errors import EvidenceError
from quality_gates.evidence.checked_rows import check_right_or_wrong, check_rows, check_varied, slice_columns
from tests.quality_gates.builders import rows

GAPS = rows(10).astype({"score": "Int64"})
GAPS["score"] = GAPS["score"].mask(GAPS["score"] == 1)


def _with(column: str, position: int, value: Any) -> pd.DataFrame:
    frame = rows(10).astype({column: object})
    frame.loc[position, column] = value
    return frame.infer_objects()


def test_sound_rows_pass() -> None:
    check_rows(rows(10), "candidate")
    check_rows(rows(10).astype({"score": "Int64"}), "candidate")
    check_rows(rows(10).astype({"score": bool}), "candidate")


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (rows(0), "candidate has no measured rows"),
        (rows(10).drop(columns="score"), "no column score"),
        (rows(10).drop(columns=["row_id", "prediction"]), "no column row_id, prediction"),
        (pd.concat([rows(10), rows(10)[["score"]]], axis=1), "a column twice"),
        (pd.concat([rows(10), rows(2)]), r"2 repeated row ids \(the first is 0\)"),
        (_with("row_id", 3, None), "1 of 10 rows without a row_id"),
        (_with("prediction", 3, None), "1 of 10 rows without a prediction"),
        (_with("score", 3, np.nan), "1 of 10 of the candidate's scores are no finite numbers"),
        (_with("score", 3, np.inf), "1 of 10 of the candidate's scores"),
        (GAPS, "10 of 10 of the candidate's scores"),
        (rows(10).astype({"score": str}), "scores are str|scores are object"),
        (_with("prediction", 3, np.inf), "1 of 10 of the candidate's predictions are no finite"),
        (rows(10).astype({"prediction": object}).replace({"prediction": {3: -np.inf}}), "1 of 10 of the candidate's"),
        (rows(10).assign(confidence=np.where(np.arange(10) == 3, np.nan, 0.9)), "1 of 10 .* values of confidence"),
        (rows(10).assign(**{"p(8)": np.where(np.arange(10) == 3, np.inf, 0.9)}), r"1 of 10 .* values of p\(8\)"),
    ],
)
def test_damaged_rows_are_refused_with_the_reason(frame: pd.DataFrame, message: str) -> None:
    with pytest.raises(EvidenceError, match=message) as raised:
        check_rows(frame, "candidate")
    assert raised.value.remedy


@pytest.mark.parametrize("score", [0.5, -1, 2])
def test_accuracy_needs_scores_of_0_and_1(score: float) -> None:
    frame = _with("score", 3, score)
    check_rows(frame, "candidate")
    with pytest.raises(EvidenceError, match="1 of 10 scores that are neither 0 nor 1"):
        check_right_or_wrong(frame, "candidate")


def test_something_other_than_a_frame_is_refused() -> None:
    with pytest.raises(EvidenceError, match="are a list; expected a pandas DataFrame"):
        check_rows([1, 2], "parent")  # type: ignore[arg-type]


def test_slice_columns_are_all_the_others() -> None:
    assert slice_columns(rows(3)) == ["label", "site"]
    answers = {"target": 1, "confidence": 0.5, "p(8)": 0.1}
    assert slice_columns(rows(3).assign(**answers)) == ["label", "site"]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (rows(10).assign(prediction=7), "gives one answer, 7, to all 10 rows"),
        (rows(10).assign(prediction="no"), "gives one answer, 'no', to all 10 rows"),
        (rows(10).assign(prediction=pd.Series([(1, 2)] * 10)), r"gives one answer, \(1, 2\), to all 10 rows"),
        (rows(10).assign(prediction=pd.Series([np.array([1, 2])] * 10)), "gives one answer"),
        (rows(10).assign(prediction=0.5), r"gives one answer, 0\.5"),
        (rows(10).assign(prediction=0.5 + np.arange(10) * 1e-9, target=np.arange(10.0)), "gives one answer"),
        (rows(10).assign(score=0), "has a score of 0 on all 10 rows"),
        (rows(10).assign(score=0.25), r"has a score of 0\.25 on all 10 rows"),
    ],
)
def test_answers_that_do_not_vary_are_refused_with_what_the_workload_should_write(
    frame: pd.DataFrame, message: str
) -> None:
    check_rows(frame, "candidate")
    with pytest.raises(EvidenceError, match=message) as raised:
        check_varied(frame, "candidate")
    assert "Workload.predictions" in raised.value.remedy and "regression" in raised.value.remedy


def test_answers_that_vary_a_flawless_model_and_a_single_row_are_good() -> None:
    small = np.arange(10) * 1e-9
    for frame in (
        rows(10),
        rows(10, wrong=[3]).assign(prediction=rows(10)["prediction"]),
        rows(10).assign(prediction=1.7e9 + np.arange(10.0), target=1.7e9 + np.arange(10.0), score=np.arange(10.0)),
        rows(10).assign(prediction=small, target=small),
        rows(1, wrong=[0]),
    ):
        check_varied(frame, "candidate")
