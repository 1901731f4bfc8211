"""Prefect's decorators, removed: what is left has to run all the same."""

import sys
import types
from collections.abc import Callable
from typing import Any


def remove_decorators() -> None:
    """Put a `prefect` in place whose decorators return the function as it is; call before importing flows."""
    if "prefect" in sys.modules:
        raise RuntimeError("prefect is imported already; use a fresh process")

    def unchanged(function: Callable[..., Any] | None = None, **_: Any) -> Any:
        return function if function is not None else unchanged

    policies = types.ModuleType("prefect.cache_policies")
    policies.NO_CACHE = None  # type: ignore[attr-defined]
    prefect = types.ModuleType("prefect")
    prefect.flow = prefect.task = unchanged  # type: ignore[attr-defined]
    runtime = types.ModuleType("prefect.runtime")
    runtime.deployment = runtime.flow_run = types.SimpleNamespace(id=None, name=None, parent_flow_run_id=None)  # type: ignore[attr-defined]
    sys.modules |= {"prefect": prefect, "prefect.cache_policies": policies, "prefect.runtime": runtime}
