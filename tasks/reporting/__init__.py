"""Reporting: the outcome of a version, the gate report's content, its history, and the records in MLflow.

In come a device's attempts and judgement; out go the outcome, the report that explains it, and what MLflow shows. The
outcome is known first: the report, the history and the records are made from it.
"""

from tasks.outcomes import (
    CONTENT,
    REPORT,
    DeviceFailure,
    DeviceOutcome,
    Outcome,
    device_answers,
    history,
    read_line,
    read_report,
    until_now,
    why,
)
from tasks.reporting.gate_report import decision, report_content
from tasks.reporting.judged_device import accuracy, device_outcome
from tasks.reporting.late_layers import record_layers
from tasks.reporting.losses import LayerLosses, layer_losses
from tasks.reporting.planned_gates import DevicePlan, earlier_verdicts, plan_gates
from tasks.reporting.recording import (
    LONGEST_DESCRIPTION,
    RECIPE,
    SIGN_OFF,
    VERDICT,
    decision_tags,
    description,
    open_run,
    record_answer,
    record_device,
    record_failure,
    record_line,
    record_outcome,
    record_report,
    record_search,
    recorded_steps,
    release_tags,
    retell,
    tell_begun,
)

__all__ = [
    "CONTENT",
    "LONGEST_DESCRIPTION",
    "RECIPE",
    "REPORT",
    "SIGN_OFF",
    "VERDICT",
    "DeviceFailure",
    "DeviceOutcome",
    "DevicePlan",
    "LayerLosses",
    "Outcome",
    "accuracy",
    "decision",
    "decision_tags",
    "description",
    "device_answers",
    "device_outcome",
    "earlier_verdicts",
    "history",
    "layer_losses",
    "open_run",
    "plan_gates",
    "read_line",
    "read_report",
    "record_answer",
    "record_device",
    "record_failure",
    "record_layers",
    "record_line",
    "record_outcome",
    "record_report",
    "record_search",
    "recorded_steps",
    "release_tags",
    "report_content",
    "retell",
    "tell_begun",
    "until_now",
    "why",
]
