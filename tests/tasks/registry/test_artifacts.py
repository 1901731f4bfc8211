"""Folders of registered models: nothing in them leads out, and nothing in them hangs whoever reads it."""

import os
from pathlib import Path

import pytest
import yaml

from tasks.errors import RegistryError
from tasks.registry import Upstream
from tasks.registry.artifacts import check_inside
from tests.tasks.registry.versions import add_version, model_folder


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """Files outside of the model's folder that would be taken for a model."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "model.onnx").write_bytes(b"somebody else's")
    (tmp_path / "outside" / "model.pt2").write_bytes(b"somebody else's")
    return tmp_path / "outside"


@pytest.mark.parametrize("flavour", ["onnx", "pytorch"])
@pytest.mark.parametrize("name", ["../outside", "{outside}", "data/../../outside", "..", "a\0b", 3, ["x"]])
def test_an_mlmodel_file_names_no_file_outside(
    tracking_uri: str, tmp_path: Path, secret: Path, flavour: str, name: object
) -> None:
    folder = model_folder(tmp_path / "model", (flavour,), {"model.pt2": b"its own"})
    if isinstance(name, str):
        name = name.format(outside=secret) + ("/model.onnx" if flavour == "onnx" and name != ".." else "")
    key = {"onnx": "data", "pytorch": "model_data"}[flavour]
    (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": {flavour: {key: name}}}))
    version = add_version(tracking_uri, "leads-out", folder)
    with pytest.raises(
        RegistryError,
        match=rf"version {version}: expected MLmodel to name a file inside the model's folder, got .*; log",
    ):
        Upstream(tracking_uri).fetch("leads-out", version)


@pytest.mark.parametrize("place", ["data/model.pt2", "data", "extra"])
def test_a_link_that_leads_out_is_refused(tracking_uri: str, tmp_path: Path, secret: Path, place: str) -> None:
    folder = model_folder(tmp_path / "model", ("pytorch",), {})
    if place == "data":
        (folder / "data").rmdir()
    (folder / place).symlink_to(secret if place != "data/model.pt2" else secret / "model.pt2")
    version = add_version(tracking_uri, "linked", folder)
    with pytest.raises(RegistryError, match=f"version {version}: expected files of its own, got a link `{place}` that"):
        Upstream(tracking_uri).fetch("linked", version)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("place", ["MLmodel", "data/model.pt2", "extra"])
def test_a_pipe_is_refused_without_reading_it(tracking_uri: str, tmp_path: Path, place: str) -> None:
    folder = model_folder(tmp_path / "model", ("pytorch",), {})
    (folder / place).unlink(missing_ok=True)
    os.mkfifo(folder / place)
    version = add_version(tracking_uri, "piped", folder)
    with pytest.raises(RegistryError, match=f"version {version}: expected files, got `{place}`, a pipe, a device or a"):
        Upstream(tracking_uri).fetch("piped", version)


def test_a_link_that_stays_inside_is_taken(tracking_uri: str, tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "model", ("pytorch",), {"weights": b"its own"})
    (folder / "data" / "model.pt2").symlink_to("weights")
    (tmp_path / "name").symlink_to(folder)
    version = add_version(tracking_uri, "inside", tmp_path / "name")
    found = Upstream(tracking_uri).fetch("inside", version).program
    assert found is not None and found.read_bytes() == b"its own"


def test_a_broken_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "gone").symlink_to("nowhere")
    with pytest.raises(RegistryError, match="m: expected files, got `gone`, a pipe, a device or a broken link; log"):
        check_inside("m", tmp_path)
