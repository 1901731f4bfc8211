"""Where two models differ: the rows that flipped, and accuracy slice by slice."""

from collections.abc import Mapping, Sequence

import pandas as pd

from quality_gates.errors import EvidenceError
from quality_gates.evidence.models import paired
from quality_gates.evidence.rows import check_right_or_wrong, check_rows, slice_columns

MOST_VALUES = 20


def flipped_rows(candidate_rows: pd.DataFrame, reference_rows: pd.DataFrame) -> pd.DataFrame:
    """Return the negative flips: rows where the reference was right and the candidate is wrong.

    Columns: row_id, the slice columns, reference_prediction, candidate_prediction; the candidate's row order.
    Raises EvidenceError when the two frames cannot be paired.
    """
    for whose, frame in (("candidate", candidate_rows), ("reference", reference_rows)):
        check_rows(frame, whose)
        check_right_or_wrong(frame, whose)
    rows = paired(candidate_rows, reference_rows)
    flipped = rows[(rows["reference_score"] == 1) & (rows["candidate_score"] == 0)]
    columns = ["row_id", *slice_columns(candidate_rows), "reference_prediction", "candidate_prediction"]
    return flipped[columns].reset_index(drop=True)


def slice_table(frames: Mapping[str, pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    """Return accuracy per slice value and model: one line per column, value and model.

    Columns: column, value, model, n, accuracy. A column with more than 20 values is one line per model over all rows,
    whose value says so. Raises EvidenceError for damaged rows or a column that a frame does not have.
    """
    lines = [line for column in columns for model, rows in frames.items() for line in _lines(model, rows, column)]
    return pd.DataFrame(lines, columns=["column", "value", "model", "n", "accuracy"])


def _lines(model: str, rows: pd.DataFrame, column: str) -> list[tuple[str, object, str, int, float]]:
    check_rows(rows, model)
    if column not in slice_columns(rows):
        raise EvidenceError(f"The {model} has no slice column {column!r}.", "Name a column that all models' rows have.")
    distinct = rows[column].nunique(dropna=False)
    if distinct > MOST_VALUES:
        return [(column, f"{distinct} values, too many to list", model, len(rows), float(rows["score"].mean()))]
    groups = rows.groupby(column, dropna=False, observed=True)["score"]
    return [(column, value, model, len(scores), float(scores.mean())) for value, scores in groups]
