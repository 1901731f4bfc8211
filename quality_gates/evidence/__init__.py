"""Evidence: what was measured of the candidate, the parent and the deployed model, checked before anything trusts it.

Frames of measured rows and resource figures come in; what goes out are rows of two models side by side, masks of
slices, and an EvidenceError with a remedy for whatever is missing or damaged.
"""

from quality_gates.evidence.checked_rows import (
    MEASURE_AGAIN,
    OPTIONAL,
    REQUIRED,
    UNLISTED,
    check_numbers,
    flipped_rows,
    is_answer,
    is_figure,
    is_reserved,
    one_side,
    paired,
    slice_table,
)
from quality_gates.evidence.classes import KnownClasses
from quality_gates.evidence.comparable_latency import LatencyInTurns
from quality_gates.evidence.groups import RowGroups, group_name
from quality_gates.evidence.models import (
    AnsweringCpu,
    BatchLatency,
    ComparedRows,
    Evidence,
    ModelEvidence,
    PairedRows,
    ParityMeasurement,
    RowsMetric,
    Unanswered,
)
from quality_gates.evidence.repeated_figures import RepeatedFigures
from quality_gates.evidence.slices import SliceIndex, in_slice

__all__ = [
    "MEASURE_AGAIN",
    "OPTIONAL",
    "REQUIRED",
    "UNLISTED",
    "AnsweringCpu",
    "BatchLatency",
    "ComparedRows",
    "Evidence",
    "KnownClasses",
    "LatencyInTurns",
    "ModelEvidence",
    "PairedRows",
    "ParityMeasurement",
    "RepeatedFigures",
    "RowGroups",
    "RowsMetric",
    "SliceIndex",
    "Unanswered",
    "check_numbers",
    "flipped_rows",
    "group_name",
    "in_slice",
    "is_answer",
    "is_figure",
    "is_reserved",
    "one_side",
    "paired",
    "slice_table",
]
