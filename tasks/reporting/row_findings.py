"""Findings on rows: slices and classes that are taken for one another as counts of test rows, and flipped rows.

Who sees a test row with its answer may train on it, and then nothing is left to judge by. So rows are shown of the
validation split, unless the recipe allows those of test.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from deployments.user_calls import call_user_code
from deployments.workload import Split, SplitName
from quality_gates.errors import EvidenceError
from quality_gates.evidence import UNLISTED, Evidence, ModelEvidence, flipped_rows, in_slice, paired, slice_table
from quality_gates.policy import SliceCondition
from quality_gates.report import Confusion, FlippedRow, Mistake, SliceRow, png_base64
from quality_gates.statistics import ClassTable, is_shown_to_differ
from tasks.job import Job, right_answers

SHOWN_FLIPS = 24
SHOWN_MISTAKES = 12
MOST_CLASSES = 20
_CLASSES = "iuObUST"  # kinds of numpy arrays whose values name classes: floats are measurements


def slice_rows(job: Job, evidence: Evidence) -> Iterator[SliceRow]:
    """Yield the models' accuracy on each value of each slice column; nothing where rows are damaged."""
    models = {"parent": evidence.parent, "deployed": evidence.deployed, "candidate": evidence.candidate}
    frames = {name: model.rows for name, model in models.items() if model is not None and model.rows is not None}
    if not frames:
        return  # no test row was read
    columns = [str(column) for column in job.splits["test"].slices.columns]
    try:
        table = slice_table(frames, columns)
    except EvidenceError:
        return  # damaged rows are a failed gate, which says so
    rows = next(iter(frames.values()))
    critical = _critical_rows(job, rows)
    for (column, value), lines in table.groupby(["column", "value"], sort=False, dropna=False):
        if lines["value"].isna().all():
            continue  # the rows of other tasks have no value in a column of one task
        figures = dict(zip(lines["model"], lines["accuracy"], strict=True))
        yield SliceRow(
            slice=f"{column}: {value}" if str(value).endswith(UNLISTED) else f"{column} = {value}",
            n=int(lines["n"].iloc[0]),
            critical=_rows_of(rows, str(column), value) in critical,
            vs_deployed_shown=_differs(frames, "deployed", str(column), value),
            vs_parent_shown=_differs(frames, "parent", str(column), value),
            **{str(name): float(figure) for name, figure in figures.items()},
        )


def _critical_rows(job: Job, rows: pd.DataFrame) -> set[bytes]:
    """Return the masks of the critical slices; a slice is one of them also where a gate names its class instead."""
    masks = (_where(rows, condition) for condition in job.recipe.critical_slices)
    return {mask.tobytes() for mask in masks if mask.any()}


def _rows_of(rows: pd.DataFrame, column: str, value: object) -> bytes:
    return _where(rows, SliceCondition(column=column, equals=_plain(value))).tobytes()


def _differs(frames: Mapping[str, pd.DataFrame], reference: str, column: str, value: object) -> bool:
    """Return True where the candidate is shown to differ from a reference on the rows of a slice."""
    if reference not in frames or "candidate" not in frames:
        return False
    rows = paired(frames["candidate"], frames[reference], reference)
    if not str(value).endswith(UNLISTED):
        rows = rows[rows[column] == value]
    return is_shown_to_differ(rows["candidate_score"].to_numpy(), rows["reference_score"].to_numpy())


def _plain(value: object) -> str | int | float | bool:
    plain = value.item() if hasattr(value, "item") else value
    return plain if isinstance(plain, str | int | float | bool) else str(plain)


def flips(job: Job, evidence: Evidence, compared: bool) -> dict[str, Any]:
    """Return the report's fields about flipped rows: counts, and some rows of the split that may be shown.

    They flipped against the reference release where there is one to be `compared` with, else against the parent.
    """
    found = {"test": _flipped(evidence, compared)}
    if evidence.validation is not None:
        found["validation"] = _flipped(evidence.validation, compared)
    shown: SplitName = "test" if job.recipe.show_test_rows else "validation"
    counts = {split: None if rows is None else len(rows) for split, rows in found.items()}
    rows = found.get(shown)
    return {
        "flips": () if rows is None else tuple(shown_flips(job, rows, shown)),
        "flips_from": shown,
        "flips_total": counts["test"],
        "flips_validation": counts.get("validation"),
    }


def _flipped(evidence: Evidence, compared: bool) -> pd.DataFrame | None:
    return negative_flips(evidence.candidate, evidence.deployed if compared else evidence.parent)


def negative_flips(candidate: ModelEvidence, reference: ModelEvidence | None) -> pd.DataFrame | None:
    """Return the rows that only the reference got right; None where the rows cannot be compared."""
    if candidate.rows is None or reference is None or reference.rows is None:
        return None
    try:
        return flipped_rows(candidate.rows, reference.rows)
    except EvidenceError:
        return None


def shown_flips(job: Job, flipped: pd.DataFrame, split: SplitName) -> Iterator[FlippedRow]:
    """Yield some flipped rows of a split, those of critical slices first, as the release owner must see these."""
    rows = job.splits[split]
    told = right_answers(job.workload, rows.targets)
    in_critical = np.zeros(len(flipped), dtype=bool)
    for condition in job.recipe.critical_slices:
        in_critical |= _where(flipped, condition)
    ordered = pd.concat([flipped[in_critical], flipped[~in_critical]])
    for _, row in ordered.head(SHOWN_FLIPS).iterrows():
        index = int(row["row_id"])
        picture, text = shown_row(job, rows, f"of {split} row {index}", index)
        slices = [f"{column} = {_short(row[column])}" for column in rows.slices.columns]
        yield FlippedRow(
            row_id=str(index),
            label=_short(rows.targets[index] if told is None else told[index]),
            reference_prediction=_short(row["reference_prediction"]),
            candidate_prediction=_short(row["candidate_prediction"]),
            slice=", ".join(slices),
            image_png_base64=None if picture is None else png_base64(picture),
            text=text,
        )


def shown_row(job: Job, rows: Split, which: str, row: int) -> tuple[np.ndarray | None, str | None]:
    """Return the picture and the text of a row, None for what the workload does not have."""
    workload = job.workload
    said = f"workload `{job.recipe.workload}`: expected"
    picture = call_user_code(
        lambda: workload.picture(rows, row), f"{said} a picture {which}", "correct Workload.picture"
    )
    text = call_user_code(lambda: workload.text(rows, row), f"{said} a text {which}", "correct Workload.text")
    return picture, text


def _short(value: object) -> str:
    """Write a value of a row: a number that is not whole with three digits."""
    if not isinstance(value, float | np.floating):
        return str(value)
    number = float(value)
    return f"{number:.0f}" if number.is_integer() or abs(number) >= 1000 else f"{number:.3g}"


def _where(rows: pd.DataFrame, condition: SliceCondition) -> np.ndarray:
    """Return a mask of the rows in a slice; an empty one where the slice cannot be evaluated."""
    try:
        return in_slice(rows, condition)
    except EvidenceError:
        return np.zeros(len(rows), dtype=bool)


def confusion(candidate: ModelEvidence, reference: ModelEvidence | None) -> Confusion | None:
    """Count the test rows by right answer and prediction; without a measured reference, the candidate's alone.

    None where rows are missing or damaged, where the right answers are not classes, or for more than 20 classes.
    """
    ours, theirs = candidate.rows, None if reference is None else reference.rows
    if ours is None or "target" not in ours.columns or ours["target"].to_numpy().dtype.kind not in _CLASSES:
        return None
    try:
        rows = paired(ours, ours if theirs is None else theirs)
        table = ClassTable.of(rows["target"], rows["candidate_prediction"], rows["reference_prediction"])
    except EvidenceError:
        return None  # damaged rows are a failed gate, which says so
    if len(table.classes) > MOST_CLASSES:
        return None
    return Confusion(
        classes=tuple(map(str, table.classes)),
        candidate=_matrix(table, 1),
        reference=None if theirs is None else _matrix(table, 2),
    )


def mistakes(job: Job, candidate: ModelEvidence, reference: ModelEvidence | None) -> tuple[Mistake, ...]:
    """Count wrong predictions per label on the test rows, first those that the candidate makes more than the reference.

    Empty where rows are missing or where the right answers are no classes.
    """
    frames = (candidate.rows, None if reference is None else reference.rows)
    if any(rows is None for rows in frames) or (labels := _labels(job, frames[0])) is None:
        return ()
    counts = [_confusions(rows, labels) for rows in frames if rows is not None]
    table = pd.concat(counts, axis=1, keys=["candidate", "reference"]).fillna(0).astype(int).reset_index()
    table["more"] = table["candidate"] - table["reference"]
    table = table.sort_values(["more", "candidate", "label", "prediction"], ascending=[False, False, True, True])
    columns = ["label", "prediction", "candidate", "reference"]
    shown = table[columns].head(SHOWN_MISTAKES).to_numpy(dtype=object).tolist()
    return tuple(
        Mistake(label=str(label), prediction=str(prediction), candidate=ours, reference=theirs)
        for label, prediction, ours, theirs in shown
    )


def _matrix(table: ClassTable, model: int) -> tuple[tuple[int, ...], ...]:
    counts = np.zeros((len(table.classes), len(table.classes)), dtype=np.int64)
    np.add.at(counts, (table.cells[:, 0], table.cells[:, model]), table.counts)
    return tuple(map(tuple, counts.tolist()))


def _labels(job: Job, rows: pd.DataFrame | None) -> np.ndarray | None:
    """Return the right answers to the test rows where they are classes, in the words of the predictions if known."""
    told = job.splits["test"].targets
    if rows is not None and "target" in rows.columns:
        told = rows.sort_values("row_id")["target"].to_numpy()
    return told if told.ndim == 1 and told.dtype.kind in _CLASSES else None


def _confusions(rows: pd.DataFrame, labels: np.ndarray) -> "pd.Series[int]":
    wrong = rows[rows["score"] != 1]
    predictions = wrong["prediction"]
    predictions = predictions.astype(str) if predictions.dtype == object else predictions  # numbers beside text
    pairs = pd.DataFrame({"label": labels[wrong["row_id"].to_numpy(dtype=int)], "prediction": predictions})
    return pairs.groupby(["label", "prediction"]).size()
