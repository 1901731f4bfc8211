"""A view of the registry holds versions, aliases, answers and releases of many models, and costs pages, not models."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from mlflow import MlflowClient

from tasks.errors import RegistryUnavailable
from tasks.registry import (
    Answered,
    AnsweredDevice,
    Answers,
    DeployedRelease,
    EdgeModels,
    Hold,
    RegistryView,
    Rollback,
    Runs,
    Upstream,
)  # fmt: skip
from tasks.registry.client import client_for
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
    tags = {"edgewright.release": "4", "edgewright.source_version": "1", "edgewright.approved_until": "2026-12-31"}
    for key, value in tags.items():
        client.set_model_version_tag(f"{name}-gateway", "1", key, value)
    client.set_registered_model_alias(f"{name}-gateway", "deployed", "1")
    for version, answer in (("1", "published"), ("2", "refused"), ("3", "undecided")):
        tell(uri, answered(name, version, answer))
    return name


def answered(model: str, version: str, answer: str) -> Answered:
    """An answer under the recipe `tiny`."""
    decided = int(answer != "undecided")
    return Answered(
        model, version, "tiny", "run", answer, 1, decided=decided, devices={"gateway": AnsweredDevice(answer)}
    )


def tell(uri: str, record: Answered, model: str = "") -> None:
    """Tag a version with a record, or another model's version of this number."""
    MlflowClient(uri, registry_uri=uri).set_model_version_tag(model or record.model, record.version, *record.tag)


@pytest.mark.parametrize("one", [True, False], ids=["one-model", "all-models"])
def test_a_view_holds_what_the_registry_holds(uri: str, model: str, one: bool) -> None:
    view = RegistryView.read(uri, model if one else None)
    assert view.versions[model] == ("1", "2", "3")
    assert view.aliases[model] == {"champion": "2"}
    assert view.answered(model, "2", "tiny") == answered(model, "2", "refused")
    assert view.answered(model, "2", "other") is None
    assert view.newest_answered(model) == 2  # the third is undecided
    assert view.identities[model, "1"] == Upstream(uri).identity(model, "1")
    assert view.deployed_on(model, "gateway") == DeployedRelease(4, "1", "2026-12-31")
    assert view.deployed_on(model, "camera") is None
    assert view.was_released(model, "gateway", "1") and not view.was_released(model, "gateway", "2")


def test_a_copy_of_a_version_in_another_model_has_no_answer(uri: str, model: str) -> None:
    client = MlflowClient(uri, registry_uri=uri)
    copied = client.copy_model_version(f"models:/{model}/2", f"{model}-copy")
    assert copied.tags.keys() == client.get_model_version(model, "2").tags.keys()  # the tag came with it
    assert RegistryView.read(uri).newest_answered(f"{model}-copy") == 0


def test_versions_that_an_older_release_answered_are_not_new(uri: str) -> None:
    name = f"old{uuid4().hex[:8]}"
    client, runs = MlflowClient(uri, registry_uri=uri), Runs(uri, name)
    for version, answer in (("1", "published"), ("2", "undecided")):
        add_version(uri, name)
        Answers(runs).record(runs.parent(version, "key", name, {}), answer, {})
        client.set_model_version_tag(name, version, "edgewright.answer", answer)
    assert RegistryView.read(uri, name).newest_answered(name) == 1
    add_version(uri, name)
    tell(uri, answered(name, "3", "published"))
    assert RegistryView.read(uri, name).newest_answered(name) == 3


def test_a_model_whose_tags_alone_say_so_has_no_answer(uri: str) -> None:
    name = add_model(uri)
    MlflowClient(uri, registry_uri=uri).set_model_version_tag(name, "1", "edgewright.answer", "published")
    assert RegistryView.read(uri, name).newest_answered(name) == 0


def test_a_view_holds_what_is_held_and_what_was_rolled_back_to(uri: str, model: str) -> None:
    models, client = EdgeModels(uri, model), MlflowClient(uri, registry_uri=uri)
    for version in ("1", "2", "3"):
        models.hold("gateway", Hold(version, 1, "Ada", "today", "it fails"))
    for key, value in Rollback(3, 1, "Ada", "today", "it fails").tags.items():
        client.set_model_version_tag(f"{model}-gateway", "1", key, value)
    view = RegistryView.read(uri, model)
    assert view.held_on(model, "gateway") == {"1", "2", "3"} and view.held_on(model, "camera") == frozenset()
    assert view.deployed_on(model, "gateway") == DeployedRelease(
        4, "1", "2026-12-31", Rollback(3, 1, "Ada", "today", "it fails")
    )
    client.set_model_version_tag(f"{model}-gateway", "1", "edgewright.source_version", "3")
    client.delete_model_version_tag(f"{model}-gateway", "1", "edgewright.rolled_back_from")
    assert RegistryView.read(uri, model).held_on(model, "gateway") == {"3"}  # a newer version lifts the others


def test_an_empty_registry_has_nothing(tmp_path: Path) -> None:
    client_for(uri := f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert RegistryView.read(uri) == RegistryView({})


def test_a_registry_that_is_not_there_has_nothing_and_is_not_made(tmp_path: Path) -> None:
    assert RegistryView.read(f"sqlite:///{tmp_path / 'home' / 'mlflow.db'}") == RegistryView({})
    assert not list(tmp_path.iterdir())


def test_a_model_that_nobody_registered_has_nothing(uri: str) -> None:
    assert RegistryView.read(uri, "nobody") == RegistryView({})


def test_calls_grow_with_pages_and_not_with_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    tell(uri, answered(add_model(uri), "1", "published"))
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
        tell(uri, answered(add_model(uri), "1", "published"))
    calls.clear()
    RegistryView.read(uri)
    assert len(calls) == few == 2


def add_model(uri: str) -> str:
    """Register a model of any name with one version."""
    name = f"n{uuid4().hex[:8]}"
    add_version(uri, name)
    return name


def test_a_registry_that_does_not_answer_is_no_empty_one(unreachable: str) -> None:
    with pytest.raises(RegistryUnavailable):
        RegistryView.read(unreachable)
