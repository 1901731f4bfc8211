"""TODO."""

from quality_gates.statistics.comparison import POWER, Comparison, compare, own_value, share_bounds
from quality_gates.statistics.counted import ClassTable
from quality_gates.statistics.resampled import calibration, is_class, target_of
from quality_gates.statistics.sample_size import rows_for_share, rows_without_a_miss

__all__ = [
    "POWER",
    "ClassTable",
    "Comparison",
    "calibration",
    "compare",
    "is_class",
    "own_value",
    "rows_for_share",
    "rows_without_a_miss",
    "share_bounds",
    "target_of",
]
