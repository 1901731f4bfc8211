"""Reporting: the outcome of a version, the gate report's content, its history, and the records in MLflow.

In come a device's attempts and judgement; out go the outcome, the report that explains it, and what MLflow shows. The
outcome is known first: the report, the history and the records are made from it.
"""

from tasks.reporting.gate_report import decision, report_content
from tasks.reporting.losses import LayerLosses, layer_losses
from tasks.reporting.outcomes import (
    REPORT,
    DeviceOutcome,
    Outcome,
    accuracy,
    device_outcome,
    history,
    recorded_outcomes,
    until_now,
    why,
)
from tasks.reporting.recording import (
    CONTENT,
    decision_tags,
    description,
    open_run,
    read_report,
    record_answer,
    record_device,
    record_outcome,
    record_search,
)

__all__ = [
    "CONTENT",
    "REPORT",
    "DeviceOutcome",
    "LayerLosses",
    "Outcome",
    "accuracy",
    "decision",
    "decision_tags",
    "description",
    "device_outcome",
    "history",
    "layer_losses",
    "open_run",
    "read_report",
    "record_answer",
    "record_device",
    "record_outcome",
    "record_search",
    "recorded_outcomes",
    "report_content",
    "until_now",
    "why",
]
