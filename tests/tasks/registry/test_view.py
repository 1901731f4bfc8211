"""A view of the registry holds versions, aliases, answers and releases of many models, and costs pages, not models."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from mlflow import MlflowClient

from tasks.errors import RegistryUnavailable
from tasks.registry import Answers, DeployedRelease, EdgeModels, Hold, RegistryView, Rollback, Runs
from tasks.registry.view import RECIPE_DIGEST
from tests.tasks.registry.versions import add_version


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A registry of its own, which other tests do not fill."""
    return f"sqlite:///{tmp_path_factory.mktemp('view') / 'mlflow.db'}"


@pytest.fixture
def model(uri: str) -> str:
    """A model with three versions, an alias, two answers and a release."""
    name = f"m{uuid4().hex[:8]}"
    for _ in range(3):
        add_version(uri, name)
    client = MlflowClient(uri, registry_uri=uri)
    client.set_registered_model_alias(name, "champion", "2")
    add_version(uri, f"{name}-gateway")
    tags = {"edgewright.release": "4", "edgewright.source_version": "1"}
    for key, value in tags.items():
        client.set_model_version_tag(f"{name}-gateway", "1", key, value)
    client.set_registered_model_alias(f"{name}-gateway", "deployed", "1")
    for version, answer in (("1", "published"), ("2", "undecided"), ("2", "refused")):
        answered(uri, name, version, answer)
    return name


def answered(uri: str, model: str, version: str, answer: str) -> None:
    """Record an answer as a run gives it."""
    runs = Runs(uri, model)
    run = runs.parent(version, f"key of {answer}", model, {RECIPE_DIGEST: "digest"})
    Answers(runs).record(run, answer, {})


@pytest.mark.parametrize("one", [True, False], ids=["one-model", "all-models"])
def test_a_view_holds_what_the_registry_holds(uri: str, model: str, one: bool) -> None:
    view = RegistryView.read(uri, model if one else None)
    assert view.versions[model] == ("1", "2", "3")
    assert view.aliases[model] == {"champion": "2"}
    assert [(each.version, each.answer, each.recipe_digest) for each in view.answers[model]] == [
        ("1", "published", "digest"), ("2", "refused", "digest"),
    ]  # fmt: skip
    assert view.deployed_on(model, "gateway") == DeployedRelease(4, "1")
    assert view.deployed_on(model, "camera") is None
    assert view.was_released(model, "gateway", "1") and not view.was_released(model, "gateway", "2")


def test_a_view_holds_what_is_held_and_what_was_rolled_back_to(uri: str, model: str) -> None:
    models, client = EdgeModels(uri, model), MlflowClient(uri, registry_uri=uri)
    for version in ("1", "2", "3"):
        models.hold("gateway", Hold(version, 1, "Ada", "today", "it fails"))
    for key, value in Rollback(3, 1, "Ada", "today", "it fails").tags.items():
        client.set_model_version_tag(f"{model}-gateway", "1", key, value)
    view = RegistryView.read(uri, model)
    assert view.held_on(model, "gateway") == {"1", "2", "3"} and view.held_on(model, "camera") == frozenset()
    assert view.deployed_on(model, "gateway") == DeployedRelease(4, "1", by_rollback=True)
    client.set_model_version_tag(f"{model}-gateway", "1", "edgewright.source_version", "3")
    assert RegistryView.read(uri, model).held_on(model, "gateway") == {"3"}  # a newer version lifts the others


def test_an_empty_registry_has_nothing(tmp_path: Path) -> None:
    assert RegistryView.read(f"sqlite:///{tmp_path / 'mlflow.db'}") == RegistryView({}, {}, {})


def test_a_model_that_nobody_registered_has_nothing(uri: str) -> None:
    assert RegistryView.read(uri, "nobody") == RegistryView({}, {}, {})


@pytest.mark.usefixtures("model")
def test_calls_grow_with_pages_and_not_with_models(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    for name in ("search_registered_models", "search_model_versions", "search_experiments", "search_runs"):
        real = getattr(MlflowClient, name)

        def counted(self: MlflowClient, *given: Any, _real: Any = real, _name: str = name, **keys: Any) -> Any:
            calls.append(_name)
            return _real(self, *given, **keys)

        monkeypatch.setattr(MlflowClient, name, counted)
    RegistryView.read(uri)
    few = len(calls)
    for _ in range(5):
        answered(uri, add_model(uri), "1", "published")
    calls.clear()
    RegistryView.read(uri)
    assert len(calls) == few == 4


def add_model(uri: str) -> str:
    """Register a model of any name with one version."""
    name = f"n{uuid4().hex[:8]}"
    add_version(uri, name)
    return name


def test_a_registry_that_does_not_answer_is_no_empty_one(unreachable: str) -> None:
    with pytest.raises(RegistryUnavailable):
        RegistryView.read(unreachable)
