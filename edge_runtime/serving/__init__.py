"""Serving inside a process: requests come from any number of tasks, and each gets the answer that it would get alone.

`ServedModels` is what a server over a network is written against; `ModelDescription` and `ModelStatistics`, with its
`Histogram`, are what it tells. Whatever goes wrong with a request is a ServingError.
"""

from edge_runtime.errors import (
    AnswerFailed,
    BadRequest,
    DeadlineExceeded,
    ModelNotServed,
    Overloaded,
    ServingError,
)
from edge_runtime.serving.histograms import ROWS, SECONDS, Histogram, HistogramCounter
from edge_runtime.serving.served_models import OUTCOMES, ModelDescription, ModelStatistics, ServedModels

__all__ = [
    "OUTCOMES",
    "ROWS",
    "SECONDS",
    "AnswerFailed",
    "BadRequest",
    "DeadlineExceeded",
    "Histogram",
    "HistogramCounter",
    "ModelDescription",
    "ModelNotServed",
    "ModelStatistics",
    "Overloaded",
    "ServedModels",
    "ServingError",
]
