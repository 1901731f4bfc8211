"""Drawn rows: the answers of parent and candidate beside the truth, and their masks or boxes by class."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from deployments.workload import Split, SplitName
from edge_runtime.backbone import answers_of_rows, load_model
from edge_runtime.model_files import heads_of
from edge_runtime.settings import SessionSettings
from model_compression.training import Arrays
from quality_gates.errors import EvidenceError
from quality_gates.evidence import Evidence, ModelEvidence, paired
from quality_gates.policy import area_columns, box_columns
from quality_gates.report import ClassOverlap, DrawnRow, Picture, png_base64
from tasks.job import Job
from tasks.reporting.row_findings import shown_row
from tasks.upstream import Context

MOST_ROWS = 6
PIXELS = 128  # of the longer edge of a drawing
LEAST = 0.0005  # of the score, below which both are written with the same digits


def class_overlaps(evidence: Evidence) -> Iterator[ClassOverlap]:
    """Yield each class of masks with the overlap of each model, and each class of boxes with recall and precision."""
    rows = evidence.candidate.rows
    if rows is None:
        return
    models = {"parent": evidence.parent, "deployed": evidence.deployed, "candidate": evidence.candidate}
    for name, measure, part, of in _columns(rows):
        yield ClassOverlap(
            name=name, measure=measure, **{role: _share(model, part, of) for role, model in models.items()}
        )


def _columns(rows: pd.DataFrame) -> Iterator[tuple[str, Literal["overlap", "recall", "precision"], str, str]]:
    """Yield each class with a measure, the column that this counts, and the column that it is a share of."""
    for column in map(str, rows.columns):
        name = column.partition("(")[2][:-1]
        both, either = area_columns(name)
        found, answered, true = box_columns(name)
        if column == both:
            yield name, "overlap", both, either
        if column == found:
            yield name, "recall", found, true
            yield name, "precision", found, answered


def _share(model: ModelEvidence | None, part: str, of: str) -> float | None:
    if model is None or model.rows is None or of not in model.rows.columns:
        return None
    whole = float(model.rows[of].sum())
    return float(model.rows[part].sum()) / whole if whole else None


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
    given = {"parent": context.parent.answers(taken), "candidate": _answers(file, taken)}
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


def _answers(file: Path, rows: Arrays) -> np.ndarray:
    heads = heads_of(file)
    model = load_model(file, SessionSettings(threads=1), heads)
    return answers_of_rows(model.predict(dict(zip((spec.name for spec in model.inputs), rows, strict=True))), heads)


def _worst(seen: Evidence) -> pd.DataFrame | None:
    """Return the rows on which the candidate scores visibly less than the parent, the largest difference first."""
    candidate, parent = seen.candidate, seen.parent
    if candidate.failure is not None or candidate.rows is None or parent is None or parent.rows is None:
        return None
    try:
        rows = paired(candidate.rows, parent.rows, "parent")
    except EvidenceError:
        return None  # damaged rows are a failed gate, which says so
    lost = rows["reference_score"] - rows["candidate_score"]
    return rows.loc[lost[lost >= LEAST].sort_values(ascending=False, kind="stable").index[:MOST_ROWS]]


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
