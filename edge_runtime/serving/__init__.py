"""Serving inside a process: requests come from any number of tasks, and each gets the answer that it would get alone.

A `Runtime` takes the device's configuration, or paths of manifests, and answers requests by the names of models:

    with Runtime.of_device() as runtime:
        answers = runtime.predict("defects", {"image": rows})

Requests of a model wait in a bounded queue; those that wait when the session is free run together, where the bundle's
measured curve gains by it. A new version is loaded, compared and warm before it answers, and the old one is freed.
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
from edge_runtime.serving.runtime import Runtime
from edge_runtime.serving.served_models import ModelDescription, ModelStatistics, ServedModels
from edge_runtime.serving.serving_settings import ServingSettings
from edge_runtime.statistics import OUTCOMES, ROWS, SECONDS, Histogram, HistogramCounter, ShadowStatistics

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
    "Runtime",
    "ServedModels",
    "ServingError",
    "ServingSettings",
    "ShadowStatistics",
]
