"""Absence of the registry: errors that say that it was away for a while, so that a step may ask again."""

from typing import Protocol

import requests

from tasks.errors import RegistryUnavailable, causes

AGAIN_S: list[float] = [15, 45]
"""Seconds before a step is done again that the registry was away for, beside the patience of MLflow's own client."""
SIGNS = (RegistryUnavailable, requests.ConnectionError, requests.Timeout, requests.exceptions.RetryError)


class _Ended(Protocol):
    @property
    def data(self) -> object: ...


def was_away(task: object, run: object, state: _Ended) -> bool:  # noqa: ARG001 - the form of a condition of Prefect's
    """Tell whether a step ended because the registry did not answer: nothing else is worth doing again as it is."""
    return any(isinstance(error, SIGNS) for error in causes(state.data))
