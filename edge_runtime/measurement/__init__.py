"""TODO."""

from edge_runtime.measurement.figures import RESOURCES, Figures, Resource
from edge_runtime.measurement.records import Measurement, MeasureRequest
from edge_runtime.measurement.runner import measure

__all__ = ["RESOURCES", "Figures", "MeasureRequest", "Measurement", "Resource", "measure"]
