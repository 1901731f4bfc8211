"""TODO."""

from quality_gates.evidence.flips import flipped_rows, slice_table
from quality_gates.evidence.models import (
    BatchLatency,
    ComparedRows,
    Evidence,
    ModelEvidence,
    PairedRows,
    ParityMeasurement,
    Unanswered,
    paired,
)
from quality_gates.evidence.pairing import is_reserved, one_side
from quality_gates.evidence.rows import MEASURE_AGAIN, OPTIONAL, REQUIRED, check_numbers
from quality_gates.evidence.slices import SliceIndex, check_slices, in_slice

__all__ = [
    "MEASURE_AGAIN",
    "OPTIONAL",
    "REQUIRED",
    "BatchLatency",
    "ComparedRows",
    "Evidence",
    "ModelEvidence",
    "PairedRows",
    "ParityMeasurement",
    "SliceIndex",
    "Unanswered",
    "check_numbers",
    "check_slices",
    "flipped_rows",
    "in_slice",
    "is_reserved",
    "one_side",
    "paired",
    "slice_table",
]
