"""Edge models: registered once, deployed by aliases, fetched as they were published or not at all."""

import shutil
from pathlib import Path

import mlflow
import numpy as np
import onnx
import pytest

from edge_runtime.files import sha256_of
from edge_runtime.model_files import model_digest, model_files, weights_of
from edge_runtime.onnxruntime_packages import onnxruntime_version
from edge_runtime.settings import TensorSpec
from tasks.errors import RegistryError, RegistryUnavailable, SystemFailure
from tasks.registry import Candidate, EdgeModels, EdgeVersion, edge_name
from tasks.registry.client import client_for
from tests.edge_runtime.models import linear_model, portable_model, weights
from tests.tasks.registry.shelf import DEVICE, Shelf


@pytest.fixture
def shelf(tracking_uri: str, tmp_path: Path, request: pytest.FixtureRequest) -> Shelf:
    return Shelf(tracking_uri, request.node.name, tmp_path)


def test_a_judged_file_is_no_version_of_the_registered_model(shelf: Shelf) -> None:
    assert shelf.models.deployed(DEVICE) is None
    shelf.keep("1")
    assert (shelf.models.deployed(DEVICE), shelf.models.previous(DEVICE)) == (None, None)
    assert shelf.models.releases(DEVICE) == []


def test_a_kept_file_has_the_signature_of_its_tensors(shelf: Shelf) -> None:
    file, origin = shelf.file(), shelf.lineage("1", "key-1")
    run = shelf.runs.child(shelf.runs.parent("1", "key-1", "m v1", {}), DEVICE)
    tensors = (TensorSpec("x", "float32", (None, 6)),), (TensorSpec("y", "float32", (None, 3)),)
    kept = shelf.models.keep(shelf.runs, run, file, origin, sha256_of(file), tensors)
    folder = shelf.runs.client.download_artifacts(run, kept.folder)
    signature = mlflow.models.Model.load(folder).signature
    assert signature is not None
    assert [(each.name, each.shape) for each in signature.inputs] == [("x", (-1, 6))]
    assert [(each.name, str(each.type)) for each in signature.outputs] == [("y", "float32")]


def test_a_release_says_where_it_came_from(shelf: Shelf) -> None:
    edge = shelf.release("4", 1)
    name = edge_name(shelf.models.model, DEVICE)
    assert edge == EdgeVersion(name, "1", shelf.lineage("4", "key-4"), sha256_of(shelf.file()), 1, passed=True)
    client = shelf.models.client
    assert client.get_registered_model(name).tags["edgewright.source_model"] == shelf.models.model
    assert client.get_model_version(name, "1").description == "from 4"
    assert shelf.models.was_deployed(DEVICE, 1) and not shelf.models.was_deployed(DEVICE, 2)


def test_releasing_again_is_the_same_version_with_new_words(shelf: Shelf) -> None:
    first = shelf.release("1", 1)
    tags = {"edgewright.verdict": "overridden", "edgewright.approved_until": "2999-01-01"}
    again = shelf.models.release(DEVICE, shelf.keep("1"), 1, "in other words", tags)
    assert (again.version, again.passed, again.approved_until) == (first.version, False, "2999-01-01")
    assert shelf.models.client.get_model_version(first.name, first.version).description == "in other words"


def test_another_file_of_the_same_run_leaves_the_first_as_it_was(shelf: Shelf, tmp_path: Path) -> None:
    first, second = shelf.keep("1", outputs=3), shelf.keep("1", outputs=4)
    assert sha256_of(shelf.models.fetch_candidate(first, tmp_path / "a")) == first.file_sha256
    assert sha256_of(shelf.models.fetch_candidate(second, tmp_path / "b")) == second.file_sha256 != first.file_sha256


def test_the_file_is_fetched_byte_for_byte(shelf: Shelf, tmp_path: Path) -> None:
    edge = shelf.release("1", 1)
    assert shelf.models.fetch(edge, tmp_path / "a").read_bytes() == shelf.file().read_bytes()


def keep_portable(shelf: Shelf, measured: str | None = None) -> tuple[Path, Candidate]:
    """Keep a model whose weights lie beside its graph; returns the graph and the candidate."""
    graph = portable_model(shelf.folder / "portable", 6, 3)
    run = shelf.runs.child(shelf.runs.parent("1", "key-1", "m v1", {}), DEVICE)
    lineage = shelf.lineage("1", "key-1")
    return graph, shelf.models.keep(shelf.runs, run, graph, lineage, measured or model_digest(graph))


def release_portable(shelf: Shelf) -> tuple[Path, EdgeVersion]:
    graph, candidate = keep_portable(shelf)
    return graph, shelf.models.release(DEVICE, candidate, 1, "", {"edgewright.verdict": "pass"})


def test_weights_beside_the_graph_are_kept_released_and_fetched(shelf: Shelf, tmp_path: Path) -> None:
    graph, edge = release_portable(shelf)
    assert edge.file_sha256 == model_digest(graph)
    tags = shelf.models.client.get_model_version(edge.name, edge.version).tags
    assert tags["edgewright.onnxruntime"] == onnxruntime_version()
    fetched = model_files(shelf.models.fetch(edge, tmp_path / "fetched"))
    assert {name: path.read_bytes() for name, path in fetched.items()} == {
        name: path.read_bytes() for name, path in model_files(graph).items()
    }


def test_mlflow_loads_what_is_released(shelf: Shelf) -> None:
    _, edge = release_portable(shelf)
    loaded = mlflow.onnx.load_model(str(artifacts(shelf, edge)))
    (tensor,) = loaded.graph.initializer
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(tensor), weights(6, 3))
    rows = np.ones((2, 6), np.float32)
    (answers,) = mlflow.pyfunc.load_model(str(artifacts(shelf, edge))).predict({"x": rows}).values()
    np.testing.assert_allclose(answers, rows @ weights(6, 3), rtol=1e-5)


def test_weights_that_were_changed_in_the_registry_are_refused(shelf: Shelf, tmp_path: Path) -> None:
    _, edge = release_portable(shelf)
    (beside,) = weights_of(artifacts(shelf, edge) / "model.onnx")
    beside.write_bytes(bytes(255 - byte for byte in beside.read_bytes()))
    with pytest.raises(SystemFailure, match=f"expected weights with the sha256 {beside.name}, got .* restore it, or"):
        shelf.models.fetch(edge, tmp_path / "fetched")


@pytest.mark.parametrize("what", ["graph", "weights"])
def test_what_changed_since_it_was_measured_is_not_kept(shelf: Shelf, what: str) -> None:
    graph, candidate = keep_portable(shelf)
    if what == "weights":
        (changed,) = weights_of(graph)
        changed.write_bytes(bytes(255 - byte for byte in changed.read_bytes()))
    else:
        graph = linear_model(graph, 6, 3)
    run = shelf.runs.parent("1", "another", "m v1", {})
    with pytest.raises(SystemFailure, match="expected to keep the model that was measured, got another"):
        shelf.models.keep(shelf.runs, run, graph, candidate.lineage, candidate.file_sha256)
    assert shelf.runs.client.list_artifacts(run) == []


def test_previous_is_moved_before_deployed(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    moves: list[tuple[str, str]] = []
    move = shelf.models.client.set_registered_model_alias

    def spy(name: str, alias: str, version: str) -> None:
        moves.append((alias, version))
        move(name, alias, version)

    monkeypatch.setattr(shelf.models.client, "set_registered_model_alias", spy)
    first, second = shelf.release("1", 1), shelf.release("2", 2, verdict="overridden")
    first_moves = [("anchor", "1"), ("reference", "1"), ("deployed", "1")]
    assert moves == [*first_moves, ("previous", "1"), ("deployed", "2")]
    assert shelf.models.deployed(DEVICE) == second
    assert shelf.models.previous(DEVICE) == first
    assert shelf.models.reference(DEVICE) == first


def test_deploying_again_keeps_the_way_back(shelf: Shelf) -> None:
    first = shelf.release("1", 1)
    for _ in range(2):
        shelf.release("2", 2)
    assert shelf.models.previous(DEVICE) == first


def test_a_release_that_was_late_moves_no_alias(shelf: Shelf) -> None:
    later = shelf.release("3", 2)
    shelf.release("2", 1)
    assert shelf.models.deployed(DEVICE) == later
    assert shelf.models.previous(DEVICE) is None


def test_a_version_of_before_releases_had_numbers_comes_before_all_others(shelf: Shelf) -> None:
    edge = shelf.release("1", 1)
    shelf.models.client.delete_model_version_tag(edge.name, edge.version, "edgewright.release")
    old = shelf.models.deployed(DEVICE)
    assert old is not None and old.release == 0
    assert shelf.models.reference(DEVICE) == old


def test_devices_have_aliases_of_their_own(shelf: Shelf) -> None:
    shelf.release("1", 1)
    assert shelf.models.deployed("camera") is None


def artifacts(shelf: Shelf, edge: EdgeVersion) -> Path:
    return Path(shelf.models.client.get_model_version_download_uri(edge.name, edge.version))


def test_a_file_that_was_changed_is_refused_with_both_digests(shelf: Shelf, tmp_path: Path) -> None:
    edge = shelf.release("1", 1)
    path = artifacts(shelf, edge) / "model.onnx"
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(SystemFailure) as caught:
        shelf.models.fetch(edge, tmp_path / "fetched")
    assert f"expected the model with sha256 {edge.file_sha256}, got {sha256_of(path)};" in str(caught.value)
    assert "move the alias `deployed` to an intact version" in str(caught.value)


@pytest.mark.parametrize("what", ["file", "folder", "version"])
def test_an_artifact_that_is_gone_is_an_error_with_the_remedy(shelf: Shelf, tmp_path: Path, what: str) -> None:
    edge = shelf.release("1", 1)
    match what:
        case "file":
            (artifacts(shelf, edge) / "model.onnx").unlink()
        case "folder":
            shutil.rmtree(artifacts(shelf, edge))
        case _:
            shelf.models.client.delete_model_version(edge.name, edge.version)
    with pytest.raises(
        SystemFailure, match=r"version 1: expected its file in the registry, got .*; restore the artifact"
    ):
        shelf.models.fetch(edge, tmp_path / "fetched")


def test_an_alias_on_a_version_that_was_not_registered_here_is_an_error(shelf: Shelf) -> None:
    edge = shelf.release("1", 1)
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
        shelf.release("1", 1)
    assert shelf.models.client.search_model_versions(f"name='{name}'") == []


def test_a_server_that_is_down_is_not_nothing_deployed(unreachable: str) -> None:
    models = EdgeModels(unreachable, "digits")
    for ask in (models.deployed, models.previous):
        with pytest.raises(RegistryUnavailable, match=f"MLflow at {unreachable}: expected an answer"):
            ask(DEVICE)
