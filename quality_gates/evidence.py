"""What was measured of each model, and how two models' rows are laid side by side."""

from dataclasses import dataclass

import pandas as pd
from pydantic import BaseModel, ConfigDict

from quality_gates.errors import EvidenceError
from quality_gates.frames import MEASURE_AGAIN, check_rows, slice_columns

_PAIRED = ("candidate_prediction", "candidate_score", "reference_prediction", "reference_score")


class Resources(BaseModel):
    """What one model took on one device profile: bytes, megabytes and milliseconds."""

    # A broken figure (NaN, infinite) must reach the gate, which names it, and survive JSON on the way there.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    size_bytes: int
    load_ms: float
    peak_rss_mb: float
    latency_p50_ms: float
    latency_p99_ms: float


@dataclass(frozen=True, eq=False)
class ModelEvidence:
    """One model, measured: rows (row_id, prediction, score of 0 or 1, slice columns), resources, or why it failed.

    `failure` is a sentence when the measurement crashed or ran out of time; whatever else is there then counts for
    nothing.
    """

    rows: pd.DataFrame | None
    resources: Resources | None
    failure: str | None = None

    def measured_rows(self, whose: str) -> pd.DataFrame:
        """Return the checked rows, or raise EvidenceError."""
        self._check_not_failed(whose)
        if self.rows is None:
            raise EvidenceError(f"The {whose} was not measured row by row.", MEASURE_AGAIN)
        check_rows(self.rows, whose)
        return self.rows

    def measured_resources(self, whose: str) -> Resources:
        """Return the resource figures, or raise EvidenceError."""
        self._check_not_failed(whose)
        if self.resources is None:
            raise EvidenceError(f"The {whose}'s resources were not measured.", MEASURE_AGAIN)
        return self.resources

    def _check_not_failed(self, whose: str) -> None:
        if self.failure is not None:
            raise EvidenceError(f"The measurement of the {whose} failed: {self.failure}", MEASURE_AGAIN)


@dataclass(frozen=True, eq=False)
class Evidence:
    """All that a decision may look at. `deployed=None` means that nothing is deployed yet: a first deployment."""

    candidate: ModelEvidence
    parent: ModelEvidence | None
    deployed: ModelEvidence | None


def paired(candidate: pd.DataFrame, reference: pd.DataFrame, reference_name: str = "reference") -> pd.DataFrame:
    """Lay two models' rows side by side by row id, in the candidate's order.

    Returns row_id, the slice columns, candidate_prediction, candidate_score, reference_prediction, reference_score.
    Raises EvidenceError when either frame is damaged, the row ids are not the same set, or the slice columns disagree.
    """
    check_rows(candidate, "candidate")
    check_rows(reference, reference_name)
    slices = _shared_slices(candidate, reference, reference_name)
    ours, theirs = candidate.reset_index(drop=True), _in_order_of(candidate, reference, reference_name)
    for column in slices:
        _check_agreement(ours[column], theirs[column], reference_name)
    together = ours[["row_id", *slices]].copy()
    for name, frame in (("candidate", ours), ("reference", theirs)):
        together[f"{name}_prediction"] = frame["prediction"]
        together[f"{name}_score"] = frame["score"].to_numpy(dtype=float)
    return together


def _shared_slices(candidate: pd.DataFrame, reference: pd.DataFrame, reference_name: str) -> list[str]:
    ours, theirs = slice_columns(candidate), slice_columns(reference)
    if set(ours) != set(theirs):
        only = sorted(map(str, set(ours) ^ set(theirs)))
        raise EvidenceError(
            f"The candidate's and the {reference_name}'s rows differ in their slice columns: {', '.join(only)}.",
            "Measure both models on the same test rows.",
        )
    reserved = sorted(set(ours) & set(_PAIRED))
    if reserved:
        raise EvidenceError(f"The slice column {reserved[0]} has a reserved name.", "Rename it in the workload.")
    return ours


def _in_order_of(candidate: pd.DataFrame, reference: pd.DataFrame, reference_name: str) -> pd.DataFrame:
    order = pd.Index(reference["row_id"]).get_indexer(pd.Index(candidate["row_id"]))
    missing = int((order < 0).sum())
    extra = len(reference) - (len(candidate) - missing)
    if missing or extra:
        raise EvidenceError(
            f"The candidate and the {reference_name} were not measured on the same rows: "
            f"{missing} row ids only in the candidate's, {extra} only in the {reference_name}'s.",
            "Measure both models on the same test rows.",
        )
    return reference.iloc[order].reset_index(drop=True)


def _check_agreement(ours: pd.Series, theirs: pd.Series, reference_name: str) -> None:
    left, right = ours.astype(object), theirs.astype(object)
    differing = int((~((left == right) | (left.isna() & right.isna()))).sum())
    if differing:
        raise EvidenceError(
            f"The candidate's and the {reference_name}'s rows disagree about {ours.name} on {differing} rows.",
            "Measure both models on the same test rows.",
        )
