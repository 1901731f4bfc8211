"""Statistics of models that are served: plain data, which a serving process counts and reports of a device take on.

A `Histogram` holds times or sizes, `TensorDrift` the values of one tensor against its calibration rows, and
`ShadowStatistics` a candidate beside the version that serves. `ServedInField` has all that is told of one model;
`served_in_field` reads it strictly from JSON by `StrictRecord`, because the reader may be far away from the writer.
A `ServedFile` is where a process that serves writes it down, and where a report takes it from.
Neither numpy nor onnxruntime is needed.
"""

from edge_runtime.statistics.histograms import NO_TIMES, ROWS, SECONDS, Histogram, HistogramCounter
from edge_runtime.statistics.served_figures import (
    MOST_NAME,
    MOST_RELEASE,
    MOST_TENSORS,
    OUTCOMES,
    ServedInField,
    served_in_field,
)
from edge_runtime.statistics.served_file import SERVED, ServedFile, ServedModel, ServingRecord
from edge_runtime.statistics.shadow_statistics import ShadowStatistics
from edge_runtime.statistics.strict_record import TIME, StrictRecord, strict_json
from edge_runtime.statistics.tensor_drift import BINS, LARGE_DRIFT, SMALL_DRIFT, TensorDrift, drift_index

__all__ = [
    "BINS",
    "LARGE_DRIFT",
    "MOST_NAME",
    "MOST_RELEASE",
    "MOST_TENSORS",
    "NO_TIMES",
    "OUTCOMES",
    "ROWS",
    "SECONDS",
    "SERVED",
    "SMALL_DRIFT",
    "TIME",
    "Histogram",
    "HistogramCounter",
    "ServedFile",
    "ServedInField",
    "ServedModel",
    "ServingRecord",
    "ShadowStatistics",
    "StrictRecord",
    "TensorDrift",
    "drift_index",
    "served_in_field",
    "strict_json",
]
