"""Statistics of the gates: metrics of two models on the same rows, their confidence bounds, and sample sizes.

Paired rows and a choice of metric come in; values with one-sided bounds go out. Shares of rows have exact bounds, all
other metrics those of a bootstrap. Everything is deterministic and does not depend on the order of the rows.
"""

from quality_gates.statistics.class_metrics import ClassTable, check_classes, is_class, target_of
from quality_gates.statistics.comparison import ComparedMetric, compare, value_with_bounds
from quality_gates.statistics.proportions import (
    POWER,
    exact_bounds,
    holm,
    most_lost,
    p_value,
    rows_for_share,
    rows_needed,
    rows_without_a_miss,
    score_interval,
    share_bounds,
)
from quality_gates.statistics.value_metrics import calibration_error

__all__ = [
    "POWER",
    "ClassTable",
    "ComparedMetric",
    "calibration_error",
    "check_classes",
    "compare",
    "exact_bounds",
    "holm",
    "is_class",
    "most_lost",
    "p_value",
    "rows_for_share",
    "rows_needed",
    "rows_without_a_miss",
    "score_interval",
    "share_bounds",
    "target_of",
    "value_with_bounds",
]
