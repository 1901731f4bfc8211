"""A target in which somebody else lays things: nothing there is waited for or followed."""

import os
from pathlib import Path

import pytest

from edge_runtime.bundle import TensorSpec
from edge_runtime.files import sha256_of
from edge_runtime.settings import SessionSettings
from tasks.delivery import BundleContent, FolderDestination
from tests.edge_runtime.models import RUNNING, linear_model


@pytest.mark.timeout(60)
def test_a_manifest_that_is_a_fifo_or_a_link_is_no_bundle(tmp_path: Path) -> None:
    tensor, file = TensorSpec("x", "float32", (None, 8)), linear_model(tmp_path / "model.onnx")
    content = BundleContent(
        model="m", version="1", device="bench", entry="model.onnx", inputs=(tensor,), outputs=(tensor,),
        session=SessionSettings(1), onnxruntime=RUNNING, lineage={}, files={"model.onnx": file},
        sha256=sha256_of(file),
    )  # fmt: skip
    destination = FolderDestination(tmp_path / "target")
    bundle = Path(destination.write(content))
    for name in ("waiting", "linked"):
        (bundle.parent / name).mkdir()
    os.mkfifo(bundle.parent / "waiting" / "manifest.json")
    (bundle.parent / "linked" / "manifest.json").symlink_to(bundle / "manifest.json")
    assert destination.bundles("m", "bench") == [str(bundle)]
    assert destination.supersede(str(bundle)) == []
    assert (bundle.parent / "waiting").is_dir() and (bundle.parent / "linked").is_dir()
