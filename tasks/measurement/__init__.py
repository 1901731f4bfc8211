"""Measurement of an edge file as the device runs it, with answers from the device's class of CPU.

In comes a file and a split on one device; out goes the evidence that gates look at: a line per row and the resource
figures, or a sentence on why there are none. Latency and memory are this machine's, never an emulator's. Times that are
compared with each other are taken in turns. Figures that a gate limits are taken again in fresh processes. Acceptance
data go out too: what a device tests the file with before it runs it.
"""

from tasks.measurement.acceptance import GOLDEN, Acceptance, acceptance_of
from tasks.measurement.device_answers import emulated_outputs, measure_for
from tasks.measurement.device_measurement import (
    answer_rows,
    machine,
    measure_on,
    measure_resources,
    request,
    session_settings,
)
from tasks.measurement.fresh_processes import measured_again
from tasks.measurement.latency_in_turns import Role, compared_in_turns, timed_in_turns

__all__ = [
    "GOLDEN",
    "Acceptance",
    "Role",
    "acceptance_of",
    "answer_rows",
    "compared_in_turns",
    "emulated_outputs",
    "machine",
    "measure_for",
    "measure_on",
    "measure_resources",
    "measured_again",
    "request",
    "session_settings",
    "timed_in_turns",
]
