"""The Prefect server of a run: waited for while nobody listens there, and not needed for what is only shown."""

from collections.abc import Callable

import httpx
import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.runtime import deployment, flow_run

from tasks import patience
from tasks.errors import SystemFailure
from tasks.patience import NOT_TOLD, deployment_name, is_within_another, patiently, remember_deployment
from tests.tasks.http import answering

NOBODY = "http://127.0.0.1:1"


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses of who waits, which take no time here."""
    pauses: list[float] = []
    monkeypatch.setattr(patience, "sleep", pauses.append)
    monkeypatch.setattr(patience, "monotonic", lambda: sum(pauses))
    return pauses


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> str:
    """The id of a flow run of a deployment of which nothing was told yet."""
    monkeypatch.setattr(flow_run, "id", "a run", raising=False)
    monkeypatch.setattr(patience, "_names", {})
    return "a run"


def fails(error: Exception) -> Callable[..., str]:
    def ask(*_: object) -> str:
        raise error

    return ask


def test_a_server_that_comes_late_is_waited_for(slept: list[float]) -> None:
    with answering(b"{}") as (address, _):
        addresses = [NOBODY, NOBODY, address]

        def ask() -> int:  # with a new client each time, as a run has them
            with SyncPrefectClient(f"{addresses.pop(0)}/api") as client:
                return client.hello().status_code

        assert patiently(ask) == 200
    assert slept == [1, 2]


def test_a_server_that_stays_away_is_a_failure_of_the_system(slept: list[float]) -> None:
    with pytest.raises(SystemFailure, match="expected an answer within 4 minutes, got none; start it, then run again"):
        patiently(fails(httpx.ConnectError("refused")))
    assert 220 < sum(slept) <= 240


def test_an_absence_behind_an_error_of_prefects_is_waited_for(slept: list[float]) -> None:
    error = RuntimeError("Failed to reach API")
    error.__cause__ = httpx.ConnectError("refused")
    with pytest.raises(SystemFailure):
        patiently(fails(error))
    assert slept


def test_another_error_comes_at_once(slept: list[float]) -> None:
    with pytest.raises(ValueError, match="no such run"):
        patiently(fails(ValueError("no such run")))
    assert slept == []


def test_the_name_is_asked_for_once(run: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployment, "name", "nightly", raising=False)
    remember_deployment()
    monkeypatch.delattr(deployment, "name")
    monkeypatch.setattr(deployment, "__getattr__", fails(httpx.ConnectError("refused")))
    assert (flow_run.id, deployment_name()) == (run, "nightly")


@pytest.mark.usefixtures("run")
def test_what_is_only_shown_fails_no_run(slept: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (deployment, flow_run):
        monkeypatch.setattr(module, "__getattr__", fails(httpx.ConnectError("refused")))
    assert (deployment_name(), is_within_another(), slept) == (NOT_TOLD, True, [])
    remember_deployment()
    assert deployment_name() == NOT_TOLD and slept
