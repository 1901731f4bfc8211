"""The graph that ONNX Runtime runs while it is measured is the one that it runs on a device, out of the bundle."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest

import edge_runtime
from edge_runtime.bundle import TensorSpec
from edge_runtime.measurement import MeasureRequest, measure
from edge_runtime.model_files import model_files
from edge_runtime.settings import SessionSettings
from tests.edge_runtime.bundle.linear import write
from tests.edge_runtime.models import fused_model

ROWS = np.random.default_rng(5).standard_normal((3, 64), dtype=np.float32)
KEEPING = """
import onnxruntime
make = onnxruntime.InferenceSession.__init__
def keeping(self, path, options, **more):
    options.optimized_model_filepath = {kept!r}
    make(self, path, options, **more)
onnxruntime.InferenceSession.__init__ = keeping
"""


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    return fused_model(tmp_path / "model")


def _site(folder: Path) -> tuple[Path, Path]:
    """A folder for the path of an interpreter whose sessions keep the graph that they run, and where they keep it."""
    folder.mkdir()
    kept = folder / "ran.onnx"
    (folder / "sitecustomize.py").write_text(KEEPING.format(kept=str(kept)))
    return folder, kept


def _ran(kept: Path) -> onnx.ModelProto:
    assert kept.is_file(), "no session was made"
    return onnx.load(kept, load_external_data=False)


def _measured(graph: Path, folder: Path, settings: SessionSettings) -> tuple[onnx.ModelProto, np.ndarray]:
    site, kept = _site(folder)
    seen = measure(MeasureRequest(graph, {"x": ROWS}, settings, batch_size=3), 60, packages=[site])
    return _ran(kept), seen.outputs[0]


def _on_device(graph: Path, folder: Path, settings: SessionSettings) -> tuple[onnx.ModelProto, np.ndarray]:
    site, kept = _site(folder)
    bundle = write(
        folder / "target",
        graph,
        inputs=(TensorSpec("x", "float32", (None, 64)),),
        outputs=(TensorSpec("y", "float32", (None, 64)),),
        session=settings,
        files=model_files(graph),
    )
    np.save(folder / "rows.npy", ROWS)
    command = [sys.executable, "-m", "edge_runtime", "predict", str(bundle), str(folder / "rows.npy")]
    paths = os.pathsep.join([str(site), str(Path(edge_runtime.__file__).parents[1])])
    subprocess.run(
        [*command, "--output", str(folder / "answers.npy")], check=True, timeout=60,
        env=os.environ | {"PYTHONPATH": paths},
    )  # fmt: skip
    return _ran(kept), np.load(folder / "answers.npy")


def _operators(model: onnx.ModelProto) -> Counter[tuple[str, str]]:
    return Counter((node.domain, node.op_type) for node in model.graph.node)


def test_a_bundle_runs_the_operators_that_were_measured(graph: Path, tmp_path: Path) -> None:
    settings = SessionSettings(threads=1)
    measured, answers = _measured(graph, tmp_path / "measured", settings)
    delivered, same = _on_device(graph, tmp_path / "delivered", settings)
    assert ("com.microsoft", "FusedGemm") in _operators(measured)
    assert _operators(measured) == _operators(delivered)
    np.testing.assert_array_equal(answers, same)


def test_the_check_sees_another_transformation(graph: Path, tmp_path: Path) -> None:
    measured, _ = _measured(graph, tmp_path / "measured", SessionSettings(threads=1))
    delivered, _ = _on_device(graph, tmp_path / "delivered", SessionSettings(threads=1, optimization="basic"))
    assert _operators(measured) != _operators(delivered)
