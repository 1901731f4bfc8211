"""TODO."""

from quality_gates.policy.conditions import SliceCondition, Value, one_of
from quality_gates.policy.kinds import (
    BY_ANSWERS,
    DECIDED_ONCE,
    Calibration,
    Flips,
    FoundSlices,
    Gate,
    GatePolicy,
    Limit,
    NonInferiority,
    Parity,
    ParityCheck,
    Plausibility,
    Reference,
    Representative,
)
from quality_gates.policy.metric_choice import ERRORS, NAMED, MetricChoice, probability_column

__all__ = [
    "BY_ANSWERS",
    "DECIDED_ONCE",
    "ERRORS",
    "NAMED",
    "Calibration",
    "Flips",
    "FoundSlices",
    "Gate",
    "GatePolicy",
    "Limit",
    "MetricChoice",
    "NonInferiority",
    "Parity",
    "ParityCheck",
    "Plausibility",
    "Reference",
    "Representative",
    "SliceCondition",
    "Value",
    "one_of",
    "probability_column",
]
