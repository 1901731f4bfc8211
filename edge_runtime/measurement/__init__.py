"""Measurement: a model's answers and resource figures, taken in a process of its own.

`measure` takes a `MeasureRequest` (the model, its rows, the session's settings, the repeats and the limits) and returns
a `Measurement`: the outputs of every row, and the `Figures` of the file. `RESOURCES` describes each figure to whoever
shows, limits or compares it; `LIMITED` names those that can be limited. `measure` writes the request to a folder and
starts `python -m edge_runtime.measurement.worker` on it, on request by another interpreter or under an emulator.
`measure_in_turns` times several models beside each other, so that their `TurnLatency` can be compared. One measurement
of time runs on a machine at once, which `measuring_alone` sees to. Every failure is a MeasurementFailed. `run_child`
runs another program in such a process, and `read_result` reads a result that was measured elsewhere. `peak_mb` is this
process's own peak memory.
"""

from edge_runtime.measurement.figures import LIMITED, RESOURCES, Figures, Resource
from edge_runtime.measurement.latency import TurnLatency, too_busy
from edge_runtime.measurement.machine_lock import measuring_alone
from edge_runtime.measurement.memory import peak_mb
from edge_runtime.measurement.protocol import read_result
from edge_runtime.measurement.records import Measurement, MeasureRequest
from edge_runtime.measurement.runner import environment, measure, run_child
from edge_runtime.measurement.turns import measure_in_turns

__all__ = [
    "LIMITED",
    "RESOURCES",
    "Figures",
    "MeasureRequest",
    "Measurement",
    "Resource",
    "TurnLatency",
    "environment",
    "measure",
    "measure_in_turns",
    "measuring_alone",
    "peak_mb",
    "read_result",
    "run_child",
    "too_busy",
]
