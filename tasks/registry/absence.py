"""Absence of the registry: errors that say that it was away for a while, so that a step may ask again."""

from collections.abc import Iterator
from typing import Protocol

import requests

from tasks.errors import RegistryUnavailable

AGAIN_S: list[float] = [15, 45]
"""Seconds before a step is done again that the registry was away for, beside the patience of MLflow's own client."""
SIGNS = (RegistryUnavailable, requests.ConnectionError, requests.Timeout, requests.exceptions.RetryError)


class _Ended(Protocol):
    @property
    def data(self) -> object: ...


def was_away(task: object, run: object, state: _Ended) -> bool:  # noqa: ARG001 - the form of a condition of Prefect's
    """Tell whether a step ended because the registry did not answer: nothing else is worth doing again as it is."""
    return any(isinstance(error, SIGNS) for error in _chain(state.data))


def _chain(error: object) -> Iterator[object]:
    """Yield an error and what caused it; MLflow puts the error of the connection behind one of its own."""
    seen: set[int] = set()
    while isinstance(error, BaseException) and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
