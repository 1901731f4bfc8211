"""The trigger of a run: a person or a deployment."""

import getpass
import socket

import httpx
import pytest
from prefect.runtime import deployment

from tasks.reporting.trigger import trigger, user_name


def nobody() -> str:
    raise KeyError("getpwuid(): uid not found: 4711")


def test_a_person_is_named_with_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ada")
    monkeypatch.setattr(socket, "gethostname", lambda: "bench")
    started = trigger()
    assert started.sentence == "ada on bench, by hand with compress"
    assert (started.tags["mlflow.user"], started.tags["mlflow.source.type"]) == ("ada", "LOCAL")
    assert started.tags["mlflow.source.name"] == "edgewright compress"


def test_a_flow_within_another_was_started_by_reconcile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT__RUNTIME__FLOW_RUN__PARENT_FLOW_RUN_ID", "0a1b")
    monkeypatch.setattr("prefect.runtime.flow_run.parent_flow_run_id", "0a1b", raising=False)
    assert trigger().source == "edgewright reconcile"


def test_a_deployment_is_named_and_not_called_a_person(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prefect.runtime.deployment.name", "nightly", raising=False)
    monkeypatch.setattr("prefect.runtime.flow_run.name", "brisk-owl", raising=False)
    started = trigger()
    assert started.sentence.startswith("Prefect deployment nightly, flow run brisk-owl, as ")
    assert (started.kind, started.source) == ("JOB", "Prefect deployment nightly")


def test_a_server_that_does_not_tell_the_name_fails_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployment, "__getattr__", away)
    assert trigger().source == "Prefect deployment (its name is not known, as the Prefect server did not tell it)"


def away(_: str) -> str:
    raise httpx.ConnectError("All connection attempts failed")


def test_a_container_without_the_users_name_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(getpass, "getuser", nobody)
    assert user_name().startswith("user ") and user_name().removeprefix("user ").isdigit()


def test_nothing_of_the_environment_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "hunter2")
    assert not {"mlflow.example", "hunter2"} & set(" ".join(trigger().tags.values()).split())


def test_the_cause_of_a_run_is_told_with_who_started_it() -> None:
    assert trigger("version 3 is new").sentence.endswith(": version 3 is new")
