"""Statistics of the gates: metrics of two models on the same rows, their confidence bounds, and sample sizes.

Paired rows and a choice of metric come in; values with one-sided bounds go out. Shares of rows have exact bounds, all
other metrics those of a bootstrap; where rows belong together, their groups are the units of both. Everything is
deterministic and does not depend on the order of the rows.
"""

from quality_gates.statistics.bootstrap import BootstrapMetric
from quality_gates.statistics.class_metrics import ClassTable, check_classes, is_class, target_of
from quality_gates.statistics.comparison import (
    ComparedMetric,
    bounds_of_share,
    compare,
    compared,
    is_shown_to_differ,
    value_with_bounds,
)
from quality_gates.statistics.grouped_rows import FEWEST_GROUPS, check_enough_groups, grouped_p_value
from quality_gates.statistics.guessing import Standing, guessing_score, guessing_value
from quality_gates.statistics.hidden_tail import UnseenTail, check_largest_error, rows_that_would_see, unseen_tail
from quality_gates.statistics.process_noise import NOISE_CONFIDENCE, PROCESSES, ProcessBounds, process_bounds
from quality_gates.statistics.proper_scores import (
    calibration_errors,
    row_scores,
    rows_without_a_difference,
    score_metric,
)
from quality_gates.statistics.proportions import (
    POWER,
    exact_bounds,
    holm,
    least_found_loss,
    most_lost,
    p_value,
    rows_for_share,
    rows_needed,
    rows_without_a_miss,
    score_interval,
    share_bounds,
)
from quality_gates.statistics.weak_regions import Region, WeakRegions, weakest_regions

__all__ = [
    "FEWEST_GROUPS",
    "NOISE_CONFIDENCE",
    "POWER",
    "PROCESSES",
    "BootstrapMetric",
    "ClassTable",
    "ComparedMetric",
    "ProcessBounds",
    "Region",
    "Standing",
    "UnseenTail",
    "WeakRegions",
    "bounds_of_share",
    "calibration_errors",
    "check_classes",
    "check_enough_groups",
    "check_largest_error",
    "compare",
    "compared",
    "exact_bounds",
    "grouped_p_value",
    "guessing_score",
    "guessing_value",
    "holm",
    "is_class",
    "is_shown_to_differ",
    "least_found_loss",
    "most_lost",
    "p_value",
    "process_bounds",
    "row_scores",
    "rows_for_share",
    "rows_needed",
    "rows_that_would_see",
    "rows_without_a_difference",
    "rows_without_a_miss",
    "score_interval",
    "score_metric",
    "share_bounds",
    "target_of",
    "unseen_tail",
    "value_with_bounds",
    "weakest_regions",
]
