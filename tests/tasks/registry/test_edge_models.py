"""Edge models: registered once, deployed by aliases, fetched as they were published or not at all."""

import shutil
from pathlib import Path

import mlflow
import numpy as np
import onnx
import pytest

from edge_runtime.files import sha256_of
from edge_runtime.model_files import model_digest, model_files, weights_of
from edge_runtime.session import RUNTIME
from tasks.errors import RegistryError, RegistryUnavailable, SystemFailure
from tasks.registry import EdgeModels, EdgeVersion, Lineage, Runs, edge_name
from tasks.registry.client import client_for
from tests.edge_runtime.models import linear_model, portable_model, weights

DEVICE = "bench"


class Shelf:
    """The edge models of one upstream model, with runs to register from."""

    def __init__(self, tracking_uri: str, model: str, folder: Path) -> None:
        self.runs = Runs(tracking_uri, model)
        self.models = EdgeModels(tracking_uri, model)
        self.folder = folder

    def file(self, outputs: int = 3) -> Path:
        return linear_model(self.folder / f"{outputs}.onnx", 6, outputs)

    def register(self, version: str, outputs: int = 3, run_key: str = "") -> EdgeVersion:
        key = run_key or f"key-{version}"
        run = self.runs.child(self.runs.parent(version, key, f"m v{version}", {}), DEVICE)
        tags = self.lineage(version, key).tags
        return self.models.register(DEVICE, run, self.file(outputs), f"from {version}", tags, self.runs)

    def lineage(self, version: str, key: str) -> Lineage:
        return Lineage(version, self.models.model, "tiny", "0" * 64, key)


@pytest.fixture
def shelf(tracking_uri: str, tmp_path: Path, request: pytest.FixtureRequest) -> Shelf:
    return Shelf(tracking_uri, request.node.name, tmp_path)


def test_nothing_is_deployed_before_the_first_deployment(shelf: Shelf) -> None:
    assert shelf.models.deployed(DEVICE) is None
    shelf.register("1")
    assert shelf.models.deployed(DEVICE) is None
    assert shelf.models.previous(DEVICE) is None


def test_a_registered_version_says_where_it_came_from(shelf: Shelf) -> None:
    edge = shelf.register("4")
    name = edge_name(shelf.models.model, DEVICE)
    assert edge == EdgeVersion(name, "1", shelf.lineage("4", "key-4"), sha256_of(shelf.file()), None, RUNTIME)
    client = shelf.models.client
    assert client.get_registered_model(name).tags == {"edgewright.source_model": shelf.models.model}
    assert client.get_model_version(name, "1").description == "from 4"


def test_registering_again_is_the_same_version_with_new_words(shelf: Shelf) -> None:
    first = shelf.register("1")
    run = shelf.runs.child(shelf.runs.parent("1", "key-1", "m v1", {}), DEVICE)
    tags = shelf.lineage("1", "key-1").tags | {"edgewright.verdict": "pass"}
    again = shelf.models.register(DEVICE, run, shelf.file(), "in other words", tags, shelf.runs)
    assert again == first
    found = shelf.models.client.get_model_version(first.name, first.version)
    assert (found.description, found.tags["edgewright.verdict"]) == ("in other words", "pass")


def test_another_file_of_the_same_run_leaves_the_first_as_it_was(shelf: Shelf) -> None:
    first, second = shelf.register("1", outputs=3), shelf.register("1", outputs=4)
    assert (first.version, second.version) == ("1", "2")
    assert sha256_of(shelf.models.fetch(first)) == first.file_sha256
    assert sha256_of(shelf.models.fetch(second)) == second.file_sha256 != first.file_sha256


def test_the_file_is_fetched_byte_for_byte(shelf: Shelf) -> None:
    assert shelf.models.fetch(shelf.register("1")).read_bytes() == shelf.file().read_bytes()


def register_portable(shelf: Shelf, **given: str) -> tuple[Path, EdgeVersion]:
    """Register a model whose weights lie beside its graph; returns the graph and the registered version."""
    graph = portable_model(shelf.folder / "portable", 6, 3)
    run = shelf.runs.child(shelf.runs.parent("1", "key-1", "m v1", {}), DEVICE)
    tags = shelf.lineage("1", "key-1").tags
    return graph, shelf.models.register(DEVICE, run, graph, "", tags, shelf.runs, **given)


def test_weights_beside_the_graph_are_registered_and_fetched(shelf: Shelf) -> None:
    graph, edge = register_portable(shelf)
    assert edge.file_sha256 == model_digest(graph)
    fetched = model_files(shelf.models.fetch(edge))
    assert {name: path.read_bytes() for name, path in fetched.items()} == {
        name: path.read_bytes() for name, path in model_files(graph).items()
    }


def test_mlflow_loads_what_is_registered(shelf: Shelf) -> None:
    _, edge = register_portable(shelf)
    loaded = mlflow.onnx.load_model(str(artifacts(shelf, edge)))
    (tensor,) = loaded.graph.initializer
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(tensor), weights(6, 3))
    rows = np.ones((2, 6), np.float32)
    (answers,) = mlflow.pyfunc.load_model(str(artifacts(shelf, edge))).predict({"x": rows}).values()
    np.testing.assert_allclose(answers, rows @ weights(6, 3), rtol=1e-5)


def test_weights_that_were_changed_in_the_registry_are_refused(shelf: Shelf) -> None:
    _, edge = register_portable(shelf)
    (beside,) = weights_of(artifacts(shelf, edge) / "model.onnx")
    beside.write_bytes(bytes(beside.stat().st_size))
    with pytest.raises(RegistryError, match=f"expected weights with the sha256 {beside.name}, got .* restore it, or"):
        shelf.models.fetch(edge)


@pytest.mark.parametrize("what", ["graph", "weights"])
def test_what_changed_between_measuring_and_registering_is_not_registered(shelf: Shelf, what: str) -> None:
    graph, edge = register_portable(shelf)
    measured = edge.file_sha256
    assert register_portable(shelf, measured=measured)[1] == edge
    if what == "weights":
        (changed,) = weights_of(graph)
        changed.write_bytes(bytes(changed.stat().st_size))
    else:
        graph = linear_model(graph, 6, 3)
    run = shelf.runs.child(shelf.runs.parent("1", "key-1", "m v1", {}), DEVICE)
    tags = shelf.lineage("1", "key-1").tags
    with pytest.raises(SystemFailure, match="expected to register the model that was measured, got another"):
        shelf.models.register(DEVICE, run, graph, "", tags, shelf.runs, measured=measured)
    versions = shelf.models.client.search_model_versions(f"name='{edge.name}'")
    assert [str(version.version) for version in versions] == [edge.version]


def test_previous_is_moved_before_deployed(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = shelf.register("1"), shelf.register("2")
    moves: list[tuple[str, str]] = []
    move = shelf.models.client.set_registered_model_alias

    def spy(name: str, alias: str, version: str) -> None:
        moves.append((alias, version))
        move(name, alias, version)

    monkeypatch.setattr(shelf.models.client, "set_registered_model_alias", spy)
    shelf.models.deploy(first, DEVICE)
    shelf.models.deploy(second, DEVICE)
    assert moves == [("deployed", "1"), ("previous", "1"), ("deployed", "2")]
    assert shelf.models.deployed(DEVICE) == second
    assert shelf.models.previous(DEVICE) == first


def test_deploying_again_keeps_the_way_back(shelf: Shelf) -> None:
    first, second = shelf.register("1"), shelf.register("2")
    for edge in (first, second, second):
        shelf.models.deploy(edge, DEVICE)
    assert shelf.models.previous(DEVICE) == first


def test_a_second_file_of_a_run_keeps_what_the_run_was_held_against(shelf: Shelf) -> None:
    first, second, again = shelf.register("1"), shelf.register("2"), shelf.register("2", outputs=4)
    for edge in (first, second, again):
        shelf.models.deploy(edge, DEVICE)
    assert shelf.models.deployed(DEVICE) == again
    assert shelf.models.previous(DEVICE) == first


def test_devices_have_aliases_of_their_own(shelf: Shelf) -> None:
    shelf.models.deploy(shelf.register("1"), DEVICE)
    assert shelf.models.deployed("camera") is None


def artifacts(shelf: Shelf, edge: EdgeVersion) -> Path:
    return Path(shelf.models.client.get_model_version_download_uri(edge.name, edge.version))


def test_a_file_that_was_changed_is_refused_with_both_digests(shelf: Shelf) -> None:
    edge = shelf.register("1")
    path = artifacts(shelf, edge) / "model.onnx"
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(RegistryError) as caught:
        shelf.models.fetch(edge)
    assert f"expected the model with sha256 {edge.file_sha256}, got {sha256_of(path)};" in str(caught.value)
    assert "move the alias `deployed` to an intact version" in str(caught.value)


@pytest.mark.parametrize("what", ["file", "folder", "version"])
def test_an_artifact_that_is_gone_is_an_error_with_the_remedy(shelf: Shelf, what: str) -> None:
    edge = shelf.register("1")
    match what:
        case "file":
            (artifacts(shelf, edge) / "model.onnx").unlink()
        case "folder":
            shutil.rmtree(artifacts(shelf, edge))
        case _:
            shelf.models.client.delete_model_version(edge.name, edge.version)
    with pytest.raises(
        RegistryError, match=r"version 1: expected its file in the registry, got .*; restore the artifact"
    ):
        shelf.models.fetch(edge)


def test_an_alias_on_a_version_that_was_not_registered_here_is_an_error(shelf: Shelf) -> None:
    edge = shelf.register("1")
    foreign = shelf.models.client.create_model_version(edge.name, "/somewhere")
    shelf.models.client.set_registered_model_alias(edge.name, "deployed", foreign.version)
    with pytest.raises(
        RegistryError, match=r"version 2: expected the tag 'edgewright.source_version' of an edge model"
    ):
        shelf.models.deployed(DEVICE)


@pytest.mark.parametrize("owner", ["other", None])
def test_a_model_of_somebody_else_is_not_added_to(shelf: Shelf, owner: str | None) -> None:
    name = edge_name(shelf.models.model, DEVICE)
    tags = {"edgewright.source_model": owner} if owner else {}
    client_for(shelf.models.tracking_uri).create_registered_model(name, tags=tags)
    got = "one of `other`" if owner else "a model that Edgewright did not make"
    with pytest.raises(RegistryError, match=f"got {got}; rename the device profile"):
        shelf.register("1")
    assert shelf.models.client.search_model_versions(f"name='{name}'") == []


def test_a_server_that_is_down_is_not_nothing_deployed(unreachable: str) -> None:
    models = EdgeModels(unreachable, "digits")
    for ask in (models.deployed, models.previous):
        with pytest.raises(RegistryUnavailable, match=f"MLflow at {unreachable}: expected an answer"):
            ask(DEVICE)
