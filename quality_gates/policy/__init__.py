"""Words that gates are written in: slices of rows, metrics, and the types of values that several kinds of gates share.

What comes in is a part of a recipe; what goes out are frozen settings that check themselves. The kinds of gates, which
are built of these words, are in `quality_gates.gates`.
"""

from quality_gates.policy.conditions import (
    Confidence,
    Name,
    OnInconclusive,
    ParityCheck,
    Reference,
    Setting,
    Share,
    SliceCondition,
    Value,
    one_of,
)
from quality_gates.policy.metric_choice import (
    ERRORS,
    NAMED,
    Metric,
    MetricChoice,
    below_one_for_proportions,
    probability_column,
)

__all__ = [
    "ERRORS",
    "NAMED",
    "Confidence",
    "Metric",
    "MetricChoice",
    "Name",
    "OnInconclusive",
    "ParityCheck",
    "Reference",
    "Setting",
    "Share",
    "SliceCondition",
    "Value",
    "below_one_for_proportions",
    "one_of",
    "probability_column",
]
