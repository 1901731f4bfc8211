"""One name for two edge models: what another model has under it is never taken for ours, and nothing is added to it."""

from pathlib import Path

import pytest
from mlflow import MlflowClient

from edge_runtime.files import sha256_of
from tasks.errors import RegistryError
from tasks.registry import EdgeModels, Hold, RegistryView
from tests.tasks.registry.shelf import Shelf

HELD = Hold("1", 1, "Ada", "today", "it fails")


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A model of each test's own."""
    return str(request.node.name)


@pytest.fixture
def client(tracking_uri: str, tmp_path: Path, name: str) -> MlflowClient:
    """A registry with a release of NAME on `d-y`, of which version 1 is held; its edge model is NAME-d-y."""
    shelf = Shelf(tracking_uri, name, tmp_path)
    shelf.models.release("d-y", shelf.keep("1"), 1, "words", {"edgewright.verdict": "pass"})
    shelf.models.hold("d-y", HELD)
    return shelf.models.client


@pytest.mark.usefixtures("client")
def test_what_another_model_has_under_the_name_is_not_ours(tracking_uri: str, name: str) -> None:
    ours, other = EdgeModels(tracking_uri, name), EdgeModels(tracking_uri, f"{name}-d")
    edge = ours.deployed("d-y")
    assert edge is not None and (ours.releases("d-y"), ours.holds("d-y")) == ([edge], (HELD,))
    assert (other.deployed("y"), other.previous("y"), other.reference("y"), other.anchor("y")) == (None,) * 4
    assert (other.releases("y"), other.holds("y"), other.hold_on("y", "1")) == ([], (), None)
    assert ours.was_deployed("d-y", 1) and not other.was_deployed("y", 1)


@pytest.mark.usefixtures("client")
def test_nothing_is_added_to_another_models_edge_model(tracking_uri: str, name: str) -> None:
    other = EdgeModels(tracking_uri, f"{name}-d")
    EdgeModels(tracking_uri, name).check_owner("d-y")
    for ask in (other.check_owner, other.reserve):
        with pytest.raises(RegistryError, match=f"edge model of `{name}-d`, got one of `{name}`; rename the device"):
            ask("y")


@pytest.mark.usefixtures("client")
def test_a_view_tells_releases_and_holds_to_their_model_alone(tracking_uri: str, name: str) -> None:
    view, other = RegistryView.read(tracking_uri), f"{name}-d"
    deployed = view.deployed_on(name, "d-y")
    assert deployed is not None and deployed.source_version == "1"
    assert view.held_on(name, "d-y") == {"1"} and view.was_released(name, "d-y", "1")
    assert view.deployed_on(other, "y") is None
    assert view.held_on(other, "y") == frozenset() and not view.was_released(other, "y", "1")


def test_an_edge_model_that_lost_its_owners_tag_is_told_by_its_versions(
    client: MlflowClient, tracking_uri: str, name: str, tmp_path: Path
) -> None:
    client.delete_registered_model_tag(f"{name}-d-y", "edgewright.source_model")
    shelf, other = Shelf(tracking_uri, name, tmp_path), EdgeModels(tracking_uri, f"{name}-d")
    again = shelf.models.release("d-y", shelf.keep("2", outputs=4), 2, "words", {"edgewright.verdict": "pass"})
    assert (again.file_sha256, shelf.models.deployed("d-y")) == (sha256_of(shelf.file(4)), again)
    assert (other.deployed("y"), other.releases("y")) == (None, [])
    with pytest.raises(RegistryError, match=f"got one of `{name}`"):
        other.check_owner("y")
    view = RegistryView.read(tracking_uri)
    assert view.deployed_on(name, "d-y") is not None and view.deployed_on(f"{name}-d", "y") is None
