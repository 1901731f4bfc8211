"""What the report says about losses: what each stage cost, and which rows are taken for what."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from quality_gates.evidence import ModelEvidence
from quality_gates.report import LedgerRow, Mistake, SliceValue
from tasks.attempts import Attempt
from tasks.job import Job
from tasks.measure import answer_rows
from tasks.outcome import accuracy, critical_slices
from tasks.prune import Trajectory
from tasks.snapshots import Snapshot
from tasks.students import Student

SHOWN_MISTAKES = 12


def ledger(job: Job, trajectory: Trajectory, chosen: Attempt) -> Iterator[LedgerRow]:
    """Yield the stages from the parent to the chosen file, each with what was left on validation after it."""
    for model in _way_to(trajectory, chosen.snapshot):
        answers = ModelEvidence(answer_rows(job, "validation", model.validation_outputs), resources=None)
        yield _row(job, model.title, answers, model.file_bytes, model.seconds or None)
    yield _row(job, f"{chosen.rung} (INT8)", chosen.measured, chosen.size_bytes, chosen.seconds)


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


def _way_to(trajectory: Trajectory, last: Snapshot | Student) -> list[Snapshot | Student]:
    if isinstance(last, Student):
        return [trajectory.snapshots[0], last]
    return [snapshot for snapshot in trajectory.snapshots if snapshot.index <= last.index]


def _row(job: Job, stage: str, model: ModelEvidence, size_bytes: int, seconds: float | None) -> LedgerRow:
    slices = tuple(SliceValue(name=str(c), value=accuracy(model, c)) for c in critical_slices(job))
    return LedgerRow(stage=stage, accuracy=accuracy(model), slices=slices, size_bytes=size_bytes, seconds=seconds)


def _confusions(rows: pd.DataFrame, labels: np.ndarray) -> "pd.Series[int]":
    wrong = rows[rows["score"] != 1]
    pairs = pd.DataFrame({"label": labels[wrong["row_id"].to_numpy(dtype=int)], "prediction": wrong["prediction"]})
    return pairs.groupby(["label", "prediction"]).size()
