"""TODO."""

from edge_runtime.measurement.records import Measurement, MeasureRequest
from edge_runtime.measurement.runner import measure

__all__ = ["MeasureRequest", "Measurement", "measure"]
