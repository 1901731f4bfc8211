"""Models and bundles that the tests of the runtime share."""

from pathlib import Path

import pytest

from edge_runtime.bundle import TensorSpec, write_bundle
from edge_runtime.model_files import model_files
from edge_runtime.settings import SessionSettings
from tests.edge_runtime.models import RUNNING, linear_model, portable_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return linear_model(tmp_path / "linear.onnx")


@pytest.fixture
def bundle(tmp_path: Path, model: Path) -> Path:
    """A bundle of the linear model, written to tmp_path/target."""
    return write_bundle(
        tmp_path / "target",
        model="linear",
        version="3",
        device="gateway",
        entry="model.onnx",
        inputs=[TensorSpec("x", "float32", (None, 8))],
        outputs=[TensorSpec("y", "float32", (None, 3))],
        session=SessionSettings(threads=1, optimization="extended"),
        onnxruntime=RUNNING,
        lineage={"source_model": "digits", "source_version": "3"},
        files={"model.onnx": model},
    )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty home folder."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def portable_bundle(tmp_path: Path) -> Path:
    """A bundle of a linear model of 64 inputs and 32 outputs, whose weights are a blob."""
    return write_bundle(
        tmp_path / "target",
        model="linear",
        version="3",
        device="gateway",
        entry="model.onnx",
        inputs=[TensorSpec("x", "float32", (None, 64))],
        outputs=[TensorSpec("y", "float32", (None, 32))],
        session=SessionSettings(threads=1),
        onnxruntime=RUNNING,
        lineage={"source_model": "digits", "source_version": "3"},
        files=model_files(portable_model(tmp_path / "portable", 64, 32)),
    )
