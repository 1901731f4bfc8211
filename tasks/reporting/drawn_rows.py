"""Drawn rows: the answers of parent and candidate beside the truth, and the overlap of their areas by class."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from deployments.workload import Split, SplitName
from model_compression.quantization import answers
from model_compression.training import Arrays
from quality_gates.errors import EvidenceError
from quality_gates.evidence import Evidence, ModelEvidence, paired
from quality_gates.policy import area_columns
from quality_gates.report import ClassOverlap, DrawnRow, Picture, png_base64
from tasks.job import Job
from tasks.reporting.row_findings import shown_row
from tasks.upstream import Context

MOST_ROWS = 6
PIXELS = 128  # of the longer edge of a drawing


def class_overlaps(evidence: Evidence) -> Iterator[ClassOverlap]:
    """Yield each class of masks with the models' intersection over union, over all pixels of the test rows."""
    rows = evidence.candidate.rows
    if rows is None:
        return
    names = [str(column)[len("both(") : -1] for column in rows.columns if str(column).startswith("both(")]
    models = {"parent": evidence.parent, "deployed": evidence.deployed, "candidate": evidence.candidate}
    for name in names:
        found = {role: _overlap(model, name) for role, model in models.items()}
        yield ClassOverlap(name=name, **found)


def _overlap(model: ModelEvidence | None, name: str) -> float | None:
    both, either = area_columns(name)
    if model is None or model.rows is None or either not in model.rows.columns:
        return None
    whole = float(model.rows[either].sum())
    return float(model.rows[both].sum()) / whole if whole else None


def drawn_rows(context: Context, evidence: Evidence, file: Path) -> Iterator[DrawnRow]:
    """Yield the rows that the candidate, a graph in a file, answers worse than the parent by most, drawn side by side.

    They are of the split whose rows may be shown. Nothing for a task whose answers are no pictures, and where the two
    cannot be compared.
    """
    job = context.job
    shown: SplitName = "test" if job.recipe.show_test_rows else "validation"
    seen = evidence if shown == "test" else evidence.validation
    worst = _worst(seen) if seen is not None and job.workload.meaning.draws else None
    if worst is None or worst.empty:
        return
    rows, numbers = job.splits[shown], worst["row_id"].to_numpy(dtype=int)
    taken: Arrays = tuple(np.ascontiguousarray(array[numbers]) for array in rows.inputs)
    given = {"parent": context.parent.answers(taken), "candidate": answers(file, taken)}
    for place, (_, row) in enumerate(worst.iterrows()):
        own = {role: outputs[place] for role, outputs in given.items()}
        pictures = tuple(_pictures(job, rows, shown, int(numbers[place]), own))
        if len(pictures) > 1:
            yield DrawnRow(
                row_id=str(numbers[place]),
                slice=", ".join(f"{column} = {row[column]}" for column in rows.slices.columns),
                parent=float(row["reference_score"]),
                candidate=float(row["candidate_score"]),
                pictures=pictures,
            )


def _worst(seen: Evidence) -> pd.DataFrame | None:
    """Return the rows on which the candidate scores less than the parent, the largest difference first."""
    candidate, parent = seen.candidate, seen.parent
    if candidate.failure is not None or candidate.rows is None or parent is None or parent.rows is None:
        return None
    try:
        rows = paired(candidate.rows, parent.rows, "parent")
    except EvidenceError:
        return None  # damaged rows are a failed gate, which says so
    lost = rows["reference_score"] - rows["candidate_score"]
    return rows.loc[lost[lost > 0].sort_values(ascending=False, kind="stable").index[:MOST_ROWS]]


def _pictures(job: Job, rows: Split, split: SplitName, row: int, given: Mapping[str, np.ndarray]) -> Iterator[Picture]:
    """Yield the input, the target and the answers of a row, as far as they can be drawn."""
    meaning = job.workload.meaning
    picture, _ = shown_row(job, rows, f"of {split} row {row}", row)
    if picture is not None:
        yield Picture(title="input", png_base64=png_base64(picture, PIXELS))
    drawn = {"target": meaning.drawing_of_target(np.asarray(rows.targets[row]), picture)}
    drawn |= {role: meaning.drawing(own, picture) for role, own in given.items()}
    for title, drawing in drawn.items():
        if drawing is not None:
            yield Picture(title=title, png_base64=png_base64(drawing, PIXELS, stretch=False))
