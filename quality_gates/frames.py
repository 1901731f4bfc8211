"""A model's measured rows: what makes them fit to decide on."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from quality_gates.errors import EvidenceError

REQUIRED = ("row_id", "prediction", "score")
MEASURE_AGAIN = "Measure it again; a broken measurement cannot pass a gate."


def slice_columns(rows: pd.DataFrame) -> list[str]:
    """Return the columns that say what kind of row it is: all but row_id, prediction and score."""
    return [column for column in rows.columns if column not in REQUIRED]


def check_rows(rows: pd.DataFrame, whose: str) -> None:
    """Raise EvidenceError unless every row has an id of its own, a prediction and a score of 0 or 1.

    `whose` names the model in the message, such as "candidate".
    """
    _check_columns(rows, whose)
    _check_complete(rows, whose, ("row_id", "prediction"))
    repeated = rows["row_id"].duplicated()
    if repeated.any():
        first = rows["row_id"][repeated.to_numpy()].tolist()[0]
        raise EvidenceError(
            f"The {whose} has {int(repeated.sum())} repeated row ids (the first is {first!r}); expected each id once.",
            "Give every test row an id of its own, and measure again.",
        )
    _check_scores(rows["score"], whose)


def _check_columns(rows: pd.DataFrame, whose: str) -> None:
    if not isinstance(rows, pd.DataFrame):
        raise EvidenceError(
            f"The {whose}'s rows are a {type(rows).__name__}; expected a pandas DataFrame.", MEASURE_AGAIN
        )
    missing = [column for column in REQUIRED if column not in rows.columns]
    if missing:
        raise EvidenceError(f"The {whose}'s rows have no column {_listed(missing)}.", MEASURE_AGAIN)
    if not rows.columns.is_unique:
        raise EvidenceError(f"The {whose}'s rows name a column twice: {_listed(list(rows.columns))}.", MEASURE_AGAIN)
    if rows.empty:
        raise EvidenceError(f"The {whose} has no measured rows.", MEASURE_AGAIN)


def _check_complete(rows: pd.DataFrame, whose: str, columns: Sequence[str]) -> None:
    for column in columns:
        missing = int(rows[column].isna().sum())
        if missing:
            raise EvidenceError(f"The {whose} has {missing} of {len(rows)} rows without a {column}.", MEASURE_AGAIN)


def _check_scores(scores: pd.Series, whose: str) -> None:
    if not (pd.api.types.is_numeric_dtype(scores) or pd.api.types.is_bool_dtype(scores)):
        raise EvidenceError(f"The {whose}'s scores are {scores.dtype}; expected the numbers 0 and 1.", MEASURE_AGAIN)
    values = scores.to_numpy(dtype=float, na_value=np.nan)
    bad = int((~np.isin(values, (0.0, 1.0))).sum())
    if bad:
        raise EvidenceError(
            f"The {whose} has {bad} of {len(values)} scores that are neither 0 nor 1, as accuracy needs.",
            "Score each row 1 when right and 0 when wrong, and measure again.",
        )


def _listed(names: Sequence[object]) -> str:
    return ", ".join(str(name) for name in names)
