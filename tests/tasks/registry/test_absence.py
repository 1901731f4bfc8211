"""Errors of a registry that is away, apart from those that are its answers."""

import pytest
from mlflow.exceptions import MlflowException
from prefect.states import Failed

from tasks.errors import PublishError, RegistryError, RegistryUnavailable
from tasks.registry import was_away
from tasks.registry.client import client_for


def away(error: Exception) -> bool:
    return was_away(None, None, Failed(data=error))


def test_a_server_that_nobody_reaches_is_away(unreachable: str) -> None:
    with pytest.raises(MlflowException) as raised:
        client_for(unreachable).search_registered_models()
    assert away(raised.value)


def test_an_error_that_was_caused_by_it_is_too() -> None:
    error = PublishError("nothing was published")
    error.__cause__ = RegistryUnavailable("MLflow: expected an answer, got none")
    assert away(error)


def test_an_answer_of_the_registry_is_no_absence(tracking_uri: str) -> None:
    with pytest.raises(MlflowException) as raised:
        client_for(tracking_uri).get_run("0" * 32)
    assert not away(raised.value)
    assert not away(RegistryError("it has no such model"))


def test_an_error_that_is_its_own_cause_ends() -> None:
    first, second = RegistryError("first"), RegistryError("second")
    first.__cause__, second.__cause__ = second, first
    assert not away(first)
