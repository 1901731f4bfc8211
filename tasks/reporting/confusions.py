"""What is taken for what on the test rows, by the candidate and by what it is held against."""

import numpy as np
import pandas as pd

from quality_gates.errors import EvidenceError
from quality_gates.evidence import ModelEvidence, paired
from quality_gates.report import Confusion, Mistake
from quality_gates.statistics import ClassTable
from tasks.job import Job

SHOWN_MISTAKES = 12
MOST_CLASSES = 20
_CLASSES = "iuObUST"  # kinds of numpy arrays whose values name classes: floats are measurements


def confusion(candidate: ModelEvidence, reference: ModelEvidence | None) -> Confusion | None:
    """Count the test rows by right answer and prediction; without a measured reference, the candidate's alone.

    None where rows are missing or damaged, where the right answers are no classes, or for more than 20 classes.
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
    """Count what is taken for what on the test rows; what the candidate does more often than the reference first.

    Empty where rows are missing or where labels are no class numbers to compare predictions with.
    """
    labels = job.splits["test"].targets
    frames = (candidate.rows, None if reference is None else reference.rows)
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or any(rows is None for rows in frames):
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


def _confusions(rows: pd.DataFrame, labels: np.ndarray) -> "pd.Series[int]":
    wrong = rows[rows["score"] != 1]
    pairs = pd.DataFrame({"label": labels[wrong["row_id"].to_numpy(dtype=int)], "prediction": wrong["prediction"]})
    return pairs.groupby(["label", "prediction"]).size()
