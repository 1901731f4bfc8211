"""Outcomes: the answers to versions as the registry holds them, the history made of them, and the stored reports.

In comes a registry; out go plain records. Nothing here computes an answer, so that reading one loads neither torch nor
Prefect: `edgewright report` and `edgewright history` are quick.
"""

from tasks.outcomes.outcomes import (
    DECISION,
    REPORT,
    SIZE,
    WORST_GATE,
    DeviceFailure,
    DeviceOutcome,
    FiguresOfTwo,
    OfThree,
    Outcome,
    device_answers,
    read_line,
)
from tasks.outcomes.stored_reports import CONTENT, read_report
from tasks.outcomes.version_history import history, history_row, until_now, why

__all__ = [
    "CONTENT",
    "DECISION",
    "REPORT",
    "SIZE",
    "WORST_GATE",
    "DeviceFailure",
    "DeviceOutcome",
    "FiguresOfTwo",
    "OfThree",
    "Outcome",
    "device_answers",
    "history",
    "history_row",
    "read_line",
    "read_report",
    "until_now",
    "why",
]
