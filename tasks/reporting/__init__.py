"""TODO."""

from tasks.reporting.gate_report import decision, report_content
from tasks.reporting.layer_sensitivity import layer_losses
from tasks.reporting.outcomes import DeviceOutcome, Outcome, device_outcome
from tasks.reporting.recording import (
    CONTENT,
    REPORT,
    decision_tags,
    description,
    open_run,
    record_answer,
    record_device,
    record_outcome,
    record_search,
)
from tasks.reporting.version_history import history, until_now, why

__all__ = [
    "CONTENT",
    "REPORT",
    "DeviceOutcome",
    "Outcome",
    "decision",
    "decision_tags",
    "description",
    "device_outcome",
    "history",
    "layer_losses",
    "open_run",
    "record_answer",
    "record_device",
    "record_outcome",
    "record_search",
    "report_content",
    "until_now",
    "why",
]
