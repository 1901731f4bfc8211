"""Metrics of the user's own, named in a recipe's gates as `package.module:function`."""

import hashlib
import importlib
import inspect
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd

from deployments.errors import ConfigurationError
from quality_gates.gates import Gate
from quality_gates.policy import NAMED

Function = Callable[[pd.DataFrame], float]


def load_functions(gates: Iterable[Gate]) -> dict[str, Function]:
    """Import every function that the gates name; raises ConfigurationError."""
    names = {metric for gate in gates if (metric := getattr(gate, "metric", None)) is not None}
    return {name: _load(name) for name in sorted(names - set(NAMED))}


def functions_digest(functions: Iterable[Function]) -> str:
    """sha256 of the source files of functions: another metric asks for another answer."""
    files = sorted({inspect.getfile(inspect.unwrap(function)) for function in functions})
    return hashlib.sha256(b"".join(Path(file).read_bytes() for file in files)).hexdigest()


def _load(name: str) -> Function:
    module_name, _, attribute = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # user code
        raise ConfigurationError(
            f"metric `{name}`: expected module {module_name} to import, got {type(error).__name__}: {error}; put its "
            "folder on PYTHONPATH, or correct the gate's `metric`"
        ) from error
    function = getattr(module, attribute, None)
    if not inspect.isroutine(function):
        raise ConfigurationError(
            f"metric `{name}`: expected a function of one model's rows, got "
            f"{'nothing of that name' if function is None else repr(function)}; correct the gate's `metric`"
        )
    return function
