"""TODO."""

from tasks.measurement.device_answers import emulated_outputs, measure_for
from tasks.measurement.device_measurement import (
    answer_rows,
    machine,
    measure_on,
    measure_resources,
    request,
    session_settings,
)

__all__ = [
    "answer_rows",
    "emulated_outputs",
    "machine",
    "measure_for",
    "measure_on",
    "measure_resources",
    "request",
    "session_settings",
]
