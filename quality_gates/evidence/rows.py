"""A model's measured rows: what makes them fit to decide on."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from quality_gates.errors import EvidenceError

REQUIRED = ("row_id", "prediction", "score")
OPTIONAL = ("target", "confidence")
"""What some metrics need beside: the right answer in the words of the predictions, and the probability of the one
given. The probability of class k has the column `p(k)`."""
MEASURE_AGAIN = "Measure it again; a broken measurement cannot pass a gate."


def slice_columns(rows: pd.DataFrame) -> list[str]:
    """Return the columns that say what kind of row it is: all but those of the answers."""
    return [column for column in rows.columns if not is_answer(column)]


def is_answer(column: object) -> bool:
    """Whether a column holds what a model answered, or should have."""
    return column in REQUIRED or column in OPTIONAL or is_probability(column)


def is_probability(column: object) -> bool:
    """Whether a column holds the probabilities of one class."""
    return isinstance(column, str) and column.startswith("p(") and column.endswith(")")


def check_rows(rows: pd.DataFrame, whose: str) -> None:
    """Raise EvidenceError unless every row has an id of its own, a prediction and a finite score.

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
    check_numbers(rows["score"], f"the {whose}'s scores")


def check_right_or_wrong(rows: pd.DataFrame, whose: str) -> None:
    """Raise EvidenceError unless every score is 0 or 1, as accuracy and flips need."""
    values = rows["score"].to_numpy(dtype=float, na_value=np.nan)
    bad = int((~((values == 0) | (values == 1))).sum())
    if bad:
        raise EvidenceError(
            f"The {whose} has {bad} of {len(values)} scores that are neither 0 nor 1, as accuracy needs.",
            "Score each row 1 when right and 0 when wrong, and measure again.",
        )


def check_numbers(values: pd.Series, what: str, lowest: float = -np.inf, highest: float = np.inf) -> None:
    """Raise EvidenceError unless all values are finite numbers within bounds; `what` names them."""
    if not (pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values)):
        raise EvidenceError(f"{_capital(what)} are {values.dtype}; expected finite numbers.", MEASURE_AGAIN)
    numbers = values.to_numpy(dtype=float, na_value=np.nan)
    bad = int((~(np.isfinite(numbers) & (numbers >= lowest) & (numbers <= highest))).sum())
    if bad:
        within = f" from {lowest:g} to {highest:g}" if np.isfinite(highest) else ""
        raise EvidenceError(
            f"{bad} of {len(numbers)} of {what} are no finite numbers{within}.",
            MEASURE_AGAIN,
        )


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


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _listed(names: Sequence[object]) -> str:
    return ", ".join(str(name) for name in names)
