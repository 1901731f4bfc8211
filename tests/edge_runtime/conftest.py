"""Models and bundles that the tests of the runtime share."""

from pathlib import Path

import pytest

from edge_runtime.bundle import TensorSpec
from edge_runtime.model_files import model_files
from edge_runtime.settings import SessionSettings
from tests.edge_runtime.bundle.linear import write
from tests.edge_runtime.models import linear_model, portable_model

LINEAGE = {"source_model": "digits", "source_version": "3"}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return linear_model(tmp_path / "linear.onnx")


@pytest.fixture
def bundle(tmp_path: Path, model: Path) -> Path:
    """The manifest of a bundle of the linear model, written to tmp_path/target."""
    settings = SessionSettings(threads=1, optimization="extended")
    return write(tmp_path / "target", model, session=settings, lineage=LINEAGE)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty home folder."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def portable_bundle(tmp_path: Path) -> Path:
    """The manifest of a bundle of a linear model of 64 inputs and 32 outputs, whose weights are a blob."""
    graph = portable_model(tmp_path / "portable", 64, 32)
    return write(
        tmp_path / "target",
        graph,
        inputs=(TensorSpec("x", "float32", (None, 64)),),
        outputs=(TensorSpec("y", "float32", (None, 32)),),
        lineage=LINEAGE,
        files=model_files(graph),
    )
