"""Two models' rows laid side by side by row id."""

import pandas as pd

from quality_gates.errors import EvidenceError
from quality_gates.evidence.rows import check_rows, is_answer, is_probability, slice_columns

SAME_ROWS = "Measure both models on the same test rows."
_ANSWERS = ("prediction", "score", "confidence")


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
            if column in _ANSWERS or is_probability(column):
                together[f"{name}_{column}"] = frame[column]
        together[f"{name}_score"] = frame["score"].astype(float)
    return pd.DataFrame(together)


def one_side(rows: pd.DataFrame, side: str) -> pd.DataFrame:
    """Return one model's own rows out of paired ones; `side` is candidate or reference."""
    other = "reference_" if side == "candidate" else "candidate_"
    kept = [column for column in rows.columns if not str(column).startswith(other)]
    return rows[kept].rename(columns=lambda column: str(column).removeprefix(f"{side}_"))


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


def is_reserved(column: object) -> bool:
    """Whether a slice column may not have this name, as measured or paired rows have it themselves."""
    prefixed = isinstance(column, str) and column.startswith(("candidate_", "reference_"))
    return is_answer(column) or (prefixed and is_answer(str(column).partition("_")[2]))


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
    return reference.iloc[order].reset_index(drop=True)


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
