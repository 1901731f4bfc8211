"""Upstream models as the registry has them, in every state that it may leave them in."""

import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from model_compression.intake import input_specs, load_program
from tasks.errors import RegistryError, RegistryUnavailable, SystemFailure
from tasks.registry import Upstream, register_upstream
from tasks.registry.client import client_for
from tests.tasks.registry.versions import add_version, model_folder
from tests.tasks.tiny import example, network


class Masked(nn.Module):
    """Takes tokens and their mask."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(7, 3)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        return (self.table(tokens) * mask.unsqueeze(2)).sum(1)


@pytest.fixture
def upstream(tracking_uri: str) -> Upstream:
    return Upstream(tracking_uri)


def test_versions_are_in_the_order_of_their_numbers(upstream: Upstream) -> None:
    for _ in range(11):
        add_version(upstream.tracking_uri, "many")
    assert upstream.versions("many") == [str(number) for number in range(1, 12)]


def test_a_model_without_versions_has_none(upstream: Upstream) -> None:
    client_for(upstream.tracking_uri).create_registered_model("bare")
    assert upstream.versions("bare") == []
    with pytest.raises(RegistryError, match="model `bare` version 1: expected a registered version, got no version of"):
        upstream.check("bare", "1")


def test_a_model_that_nobody_registered_is_named(upstream: Upstream) -> None:
    says = f"model `ghost`: expected it in the registry at {upstream.tracking_uri}, got no model of that name; register"
    with pytest.raises(RegistryError, match=says):
        upstream.versions("ghost")


@pytest.mark.parametrize("version", ["3", "v1", "01", "latest", ""])
def test_a_version_that_does_not_exist_is_named_with_those_that_do(upstream: Upstream, version: str) -> None:
    while len(known := _versions(upstream, "two")) < 2:
        add_version(upstream.tracking_uri, "two")
    assert known == ["1", "2"]
    with pytest.raises(
        RegistryError, match=rf"model `two` version {version}: .* got versions 1, 2 in the registry; corr"
    ):
        upstream.check("two", version)


def _versions(upstream: Upstream, model: str) -> list[str]:
    try:
        return upstream.versions(model)
    except RegistryError:
        return []


def test_a_version_that_is_not_ready_is_refused(upstream: Upstream) -> None:
    version = add_version(upstream.tracking_uri, "pending")
    upstream.check("pending", version)
    with sqlite3.connect(upstream.tracking_uri.removeprefix("sqlite:///")) as database:
        database.execute("UPDATE model_versions SET status = 'PENDING_REGISTRATION' WHERE name = 'pending'")
    with pytest.raises(
        RegistryError, match="expected status READY, got PENDING_REGISTRATION; wait for its registration"
    ):
        upstream.check("pending", version)


def test_a_server_that_is_down_says_nothing_about_its_models(unreachable: str) -> None:
    for ask in (lambda: Upstream(unreachable).versions("tiny"), lambda: Upstream(unreachable).check("tiny", "1")):
        with pytest.raises(RegistryUnavailable, match=f"MLflow at {unreachable}: expected an answer, got MlflowExc"):
            ask()


def test_a_registered_module_comes_back_as_a_program(upstream: Upstream, registered: str) -> None:
    found = upstream.fetch(registered, "1")
    assert (found.model, found.version, found.pickled) == (registered, "1", None)
    assert found.program is not None
    assert set(load_program(found.program).state_dict) == set(network().state_dict())


def test_registering_leaves_the_callers_mlflow_as_it_was(tracking_uri: str) -> None:
    import mlflow

    before = mlflow.get_tracking_uri()
    versions = [register_upstream(tracking_uri, "twice", network(), example(), {"epochs": 2}) for _ in range(2)]
    assert versions == ["1", "2"]
    assert mlflow.get_tracking_uri() == before
    assert mlflow.active_run() is None


def test_a_version_that_does_not_exist_is_not_fetched(upstream: Upstream, registered: str) -> None:
    with pytest.raises(RegistryError, match="version 9: expected a registered version"):
        upstream.fetch(registered, "9")


def test_another_flavour_is_named_with_the_remedy(upstream: Upstream, tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "keras", ("keras", "python_function"), {"model.keras": b"keras"})
    version = add_version(upstream.tracking_uri, "layers", folder)
    says = (
        r"expected MLflow's pytorch or onnx flavour, got keras, python_function; log it with mlflow\.pytorch\.log_model"
    )
    with pytest.raises(RegistryError, match=says):
        upstream.fetch("layers", version)


def test_an_onnx_file_is_found_and_a_lost_one_is_none(upstream: Upstream, tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "onnx", ("onnx", "python_function"), {})
    (folder / "model.onnx").write_bytes(b"onnx")
    version = add_version(upstream.tracking_uri, "graph", folder)
    found = upstream.fetch("graph", version)
    assert (found.program, found.pickled, found.graph) == (None, None, folder / "model.onnx")
    (folder / "model.onnx").unlink()
    assert upstream.fetch("graph", version).graph is None


def test_of_both_flavours_the_program_is_taken(upstream: Upstream, tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "both", ("onnx", "pytorch"), {"model.pt2": b"program"})
    (folder / "model.onnx").write_bytes(b"onnx")
    found = upstream.fetch("both", add_version(upstream.tracking_uri, "both", folder))
    assert (found.program, found.graph) == (folder / "data" / "model.pt2", None)


def test_a_pickled_module_and_a_folder_of_neither_are_told_apart(upstream: Upstream, tmp_path: Path) -> None:
    pickled = model_folder(tmp_path / "pickled", ("pytorch",), {"model.pth": b"pickle"})
    empty = model_folder(tmp_path / "empty", ("pytorch",), {})
    first = upstream.fetch("forms", add_version(upstream.tracking_uri, "forms", pickled))
    second = upstream.fetch("forms", add_version(upstream.tracking_uri, "forms", empty))
    assert (first.program, first.pickled) == (None, pickled / "data" / "model.pth")
    assert (second.program, second.pickled) == (None, None)


@pytest.mark.parametrize(
    "text", [None, "", "flavors: [", "[]", "flavors: 3", "flavors: {pytorch: 3}", "!!python/object/apply:os.getcwd []"]
)
def test_damaged_files_are_named_with_the_remedy(upstream: Upstream, tmp_path: Path, text: str | None) -> None:
    folder = model_folder(tmp_path / "model", ("pytorch",), {"model.pt2": b"program"})
    version = add_version(upstream.tracking_uri, "damaged", folder)
    upstream.fetch("damaged", version)
    if text is None:
        shutil.rmtree(folder)
    else:
        (folder / "MLmodel").write_text(text)
    expected = SystemFailure if text is None else RegistryError
    with pytest.raises(expected, match=rf"model `damaged` version {version}: expected .*; (re|log it with)"):
        upstream.fetch("damaged", version)


def test_the_identity_tells_a_remade_model_from_the_one_before(upstream: Upstream) -> None:
    client = client_for(upstream.tracking_uri)
    add_version(upstream.tracking_uri, "remade", "/one")
    first = upstream.identity("remade", "1")
    assert upstream.identity("remade", "1") == first
    client.delete_registered_model("remade")
    add_version(upstream.tracking_uri, "remade", "/two")
    assert upstream.identity("remade", "1") != first


def test_tags_are_on_the_versions_page(upstream: Upstream) -> None:
    version = add_version(upstream.tracking_uri, "tagged")
    upstream.tag("tagged", version, {"edgewright.answer": "refused"})
    found = client_for(upstream.tracking_uri).get_model_version("tagged", version)
    assert found.tags == {"edgewright.answer": "refused"}


def test_the_example_may_be_any_array(tracking_uri: str) -> None:
    assert register_upstream(tracking_uri, "wide", network(9), np.ones((3, 9), np.float32), {}) == "1"


def test_several_inputs_are_registered_under_the_models_own_names(upstream: Upstream) -> None:
    rows = np.zeros((2, 5), np.int64), np.ones((2, 5), np.int64)
    version = register_upstream(upstream.tracking_uri, "masked", Masked(), rows, {})
    found = upstream.fetch("masked", version)
    assert found.program is not None
    specs = input_specs(load_program(found.program))
    assert specs == [("tokens", torch.int64, (None, 5)), ("mask", torch.int64, (None, 5))]
