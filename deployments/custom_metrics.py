"""Custom metrics: Python functions of the user, named in a recipe's gates as `package.module:function`."""

import hashlib
import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping

import pandas as pd

from deployments.errors import ConfigurationError
from deployments.user_calls import call_user_code
from deployments.user_code import sources_digest, written_digest
from quality_gates.gates import Gate

CustomMetric = Callable[[pd.DataFrame], float]
"""Takes the rows of one model (row_id, target, prediction, score, slice columns) and returns a number."""


def load_custom_metrics(gates: Iterable[Gate]) -> dict[str, CustomMetric]:
    """Import every custom metric that the gates name.

    Raises:
        ConfigurationError: a module does not import, or has no such function.
    """
    names = {metric for gate in gates if ":" in (metric := getattr(gate, "metric", None) or "")}
    return {name: _load(name) for name in sorted(names)}


def custom_metrics_digest(metrics: Mapping[str, CustomMetric]) -> str:
    """Return the sha256 of the source files of custom metrics, by the names that recipes have for them.

    The modules that are named count, those of the functions below all decorators, and what these import.
    """
    digests = [sources_digest(name, (metric, inspect.unwrap(metric))) for name, metric in sorted(metrics.items())]
    return hashlib.sha256("\0".join(digests).encode()).hexdigest()


def written_metrics_digest(metrics: Mapping[str, CustomMetric], package: str) -> str:
    """Return the digest as custom_metrics_digest(), of what people wrote; of installed code, only of `package`."""
    named = [(name, (metric, inspect.unwrap(metric))) for name, metric in sorted(metrics.items())]
    digests = [written_digest(name, things, package) for name, things in named]
    return hashlib.sha256("\0".join(digests).encode()).hexdigest()


def _load(name: str) -> CustomMetric:
    module_name, _, attribute = name.partition(":")
    module = call_user_code(
        lambda: importlib.import_module(module_name),
        f"metric `{name}`: expected module {module_name} to import",
        "put its folder on PYTHONPATH, or correct the gate's `metric`",
    )
    metric: CustomMetric | None = getattr(module, attribute, None)
    if metric is None or not inspect.isroutine(metric):
        raise ConfigurationError(
            f"metric `{name}`: expected a function of one model's rows, got "
            f"{'nothing of that name' if metric is None else repr(metric)}; correct the gate's `metric`"
        )
    return metric
