"""Measured rows: checks of one model's, two models' side by side, and the rows and slices in which they differ."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from quality_gates.errors import EvidenceError
from quality_gates.policy import WORST_SCORES

REQUIRED = ("row_id", "prediction", "score")
OPTIONAL = ("target", "confidence", *WORST_SCORES)
"""Columns that some metrics need beside: the right answer in the words of the predictions, the probability of the one
given, and scores of all classes' probabilities. The probability of class k has the column `p(k)`."""
MOST_VALUES = 20  # of a slice column that are listed one by one
UNLISTED = "values, too many to list"
"""End of the value of a line that stands for a whole slice column."""
MEASURE_AGAIN = "Measure it again; a broken measurement cannot pass a gate."
SAME_ROWS = "Measure both models on the same test rows."
USUAL_ANSWERS = (
    "If the outputs are one column, independent labels or numbers, write Workload.predictions and Workload.score: for "
    "a binary output `(outputs[:, 0] > 0).astype(int)` and equality; for several labels one text of those with "
    "`outputs > 0`, right where all of them are; for a regression `outputs[:, 0]` and "
    "`abs(outputs[:, 0] - targets)`, with gates on mae. Else train the model again."
)
"""The remedy for answers that cannot vary: what workloads that are no classification of several columns write."""
_STILL = 1e-6  # of the spread of the right answers: numbers that vary less are one number
_OF_A_CLASS = ("p(", "both(", "either(")
_ANSWERS = ("prediction", "score", "confidence", *WORST_SCORES)


def slice_columns(rows: pd.DataFrame) -> list[str]:
    """Return the columns that say what kind of row it is: all but those of the answers."""
    return [column for column in rows.columns if not is_answer(column)]


def is_answer(column: object) -> bool:
    """Return True for a column that holds what a model answered, or should have."""
    return column in REQUIRED or column in OPTIONAL or _is_of_a_class(column)


def _is_of_a_class(column: object) -> bool:
    """Return True for a column of one class: its probabilities, or its pixels."""
    return isinstance(column, str) and column.startswith(_OF_A_CLASS) and column.endswith(")")


def check_rows(rows: pd.DataFrame, whose: str) -> None:
    """Raise EvidenceError unless every row has an id of its own and a prediction, and every number is finite.

    Numbers are scores, confidences, p(k), scores of them, and predictions that are numbers: a function that skips NaN
    would look past a row. `whose` names the model in the message, such as "candidate".
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
    for column in rows.columns:
        if is_figure(column):
            check_numbers(rows[column], f"the {whose}'s values of {column}")
    _check_predictions(rows["prediction"], whose)


def check_varied(rows: pd.DataFrame, whose: str) -> None:
    """Raise EvidenceError for one answer to all rows, or one score of all rows that is not 1: neither can be compared.

    Numbers that vary by less than a millionth of what the right answers do are one answer. A single row tells nothing.
    """
    if len(rows) < 2:
        return
    scores = rows["score"].to_numpy(dtype=float)
    if _is_constant(rows["prediction"], rows.get("target")):
        seen = f"gives one answer, {rows['prediction'].tolist()[0]!r}, to all {len(rows)} rows"
    elif scores[0] != 1 and (scores == scores[0]).all():
        seen = f"has a score of {scores[0]:g} on all {len(rows)} rows"
    else:
        return
    raise EvidenceError(f"The {whose} {seen}: what does not vary cannot be compared.", USUAL_ANSWERS)


def is_figure(column: object) -> bool:
    """Return True for a column of numbers that a model gives beside its score, where the workload has them."""
    return column == "confidence" or column in WORST_SCORES or _is_of_a_class(column)


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


def paired(candidate: pd.DataFrame, reference: pd.DataFrame, reference_name: str = "reference") -> pd.DataFrame:
    """Lay two models' rows side by side by row id, in the candidate's order.

    Returns row_id, the slice columns, target where both have it, and candidate_X and reference_X for each answer X that
    both have: prediction, score, confidence and p(k).
    Raises EvidenceError when either frame is damaged, the row ids are not the same set, or slice columns or targets
    disagree.
    """
    check_rows(candidate, "candidate")
    check_rows(reference, reference_name)
    slices = _shared_slices(candidate, reference, reference_name)
    ours, theirs = candidate.reset_index(drop=True), _in_order_of(candidate, reference, reference_name)
    both = [column for column in ours.columns if is_answer(column) and column in theirs.columns]
    shared = [*slices, *(column for column in ("target",) if column in both)]
    for column in shared:
        _check_agreement(ours[column], theirs[column], reference_name)
    together = {"row_id": ours["row_id"]} | {column: ours[column] for column in shared}
    for name, frame in (("candidate", ours), ("reference", theirs)):
        for column in both:
            if column in _ANSWERS or _is_of_a_class(column):
                together[f"{name}_{column}"] = frame[column]
        together[f"{name}_score"] = frame["score"].astype(float)
    return pd.DataFrame(together)


def one_side(rows: pd.DataFrame, side: str) -> pd.DataFrame:
    """Return one model's own rows out of paired ones; `side` is candidate or reference."""
    other = "reference_" if side == "candidate" else "candidate_"
    kept = [column for column in rows.columns if not str(column).startswith(other)]
    return rows[kept].rename(columns=lambda column: str(column).removeprefix(f"{side}_"))


def is_reserved(column: object) -> bool:
    """Return True for a name that a slice column may not have, as measured or paired rows have it themselves."""
    prefixed = isinstance(column, str) and column.startswith(("candidate_", "reference_"))
    return is_answer(column) or (prefixed and is_answer(str(column).partition("_")[2]))


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


def _check_predictions(predictions: pd.Series, whose: str) -> None:
    if pd.api.types.is_float_dtype(predictions):
        check_numbers(predictions, f"the {whose}'s predictions")
    elif predictions.dtype == object:
        bad = sum(isinstance(value, float) and not math.isfinite(value) for value in predictions)
        if bad:
            raise EvidenceError(
                f"{bad} of {len(predictions)} of the {whose}'s predictions are no finite numbers.", MEASURE_AGAIN
            )


def _is_constant(values: pd.Series, target: pd.Series | None) -> bool:
    if pd.api.types.is_float_dtype(values):
        return _spread(values) <= (0.0 if target is None else _STILL * _spread(target))
    listed = values.tolist()
    return all(value is listed[0] or bool(np.all(value == listed[0])) for value in listed)


def _spread(values: pd.Series) -> float:
    """Return the largest difference of values that are measured numbers, 0 of names and classes."""
    known = values.dropna().to_numpy(dtype=float) if pd.api.types.is_float_dtype(values) else np.zeros(0)
    return float(np.ptp(known)) if len(known) else 0.0


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _listed(names: Sequence[object]) -> str:
    return ", ".join(str(name) for name in names)


def _shared_slices(candidate: pd.DataFrame, reference: pd.DataFrame, reference_name: str) -> list[str]:
    ours, theirs = slice_columns(candidate), slice_columns(reference)
    if set(ours) != set(theirs):
        only = sorted(map(str, set(ours) ^ set(theirs)))
        raise EvidenceError(
            f"The candidate's and the {reference_name}'s rows differ in their slice columns: {', '.join(only)}.",
            SAME_ROWS,
        )
    reserved = sorted(column for column in ours if is_reserved(column))
    if reserved:
        raise EvidenceError(f"The slice column {reserved[0]} has a reserved name.", "Rename it in the workload.")
    return ours


def _in_order_of(candidate: pd.DataFrame, reference: pd.DataFrame, reference_name: str) -> pd.DataFrame:
    if candidate["row_id"].reset_index(drop=True).equals(reference["row_id"].reset_index(drop=True)):
        return reference.reset_index(drop=True)
    order = pd.Index(reference["row_id"]).get_indexer(pd.Index(candidate["row_id"]))
    missing = int((order < 0).sum())
    extra = len(reference) - (len(candidate) - missing)
    if missing or extra:
        raise EvidenceError(
            f"The candidate and the {reference_name} were not measured on the same rows: "
            f"{missing} row ids only in the candidate's, {extra} only in the {reference_name}'s.",
            SAME_ROWS,
        )
    ordered: pd.DataFrame = reference.iloc[order].reset_index(drop=True)
    return ordered


def _check_agreement(ours: pd.Series, theirs: pd.Series, reference_name: str) -> None:
    if ours.equals(theirs):
        return
    left, right = ours.astype(object), theirs.astype(object)
    differing = int((~((left == right) | (left.isna() & right.isna()))).sum())
    if differing:
        raise EvidenceError(
            f"The candidate's and the {reference_name}'s rows disagree about {ours.name} on {differing} rows.",
            SAME_ROWS,
        )


def _lines(model: str, rows: pd.DataFrame, column: str) -> list[tuple[str, object, str, int, float]]:
    check_rows(rows, model)
    if column not in slice_columns(rows):
        raise EvidenceError(f"The {model} has no slice column {column!r}.", "Name a column that all models' rows have.")
    distinct = rows[column].nunique(dropna=False)
    if distinct > MOST_VALUES:
        return [(column, f"{distinct} {UNLISTED}", model, len(rows), float(rows["score"].mean()))]
    groups = rows.groupby(column, dropna=False, observed=True)["score"]
    return [(column, value, model, len(scores), float(scores.mean())) for value, scores in groups]
