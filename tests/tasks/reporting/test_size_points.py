"""Models between size and accuracy, and the rows on which their figures were taken."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from deployments.rungs import PostTraining
from edge_runtime.measurement import Figures
from quality_gates.evidence import Evidence, ModelEvidence
from quality_gates.report import SizePoint
from tasks.compression import ModelFile, Snapshot, Trajectory
from tasks.reporting.gate_report import frontier
from tasks.selection import Attempt

WHOLE = Snapshot(0, "digest 0", None, 100, 400, 0.95, Path("outputs"), 0.0)


def measured(right: int, size: int) -> ModelEvidence:
    score = (np.arange(10) < right).astype(float)
    figures = {"load_ms": 1.0, "peak_rss_mb": 1.0, "latency_p50_ms": 1.0, "latency_p99_ms": 1.0}
    rows = pd.DataFrame({"row_id": np.arange(10), "prediction": score, "score": score})
    return ModelEvidence(rows, Figures(size_bytes=size, **figures))


def points(tmp_path: Path, validation: Evidence | None, deployed: str | None) -> dict[str, SizePoint]:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"0" * 120)
    verdict: Any = SimpleNamespace(passed=True)
    rung = PostTraining(kind="ptq", calibration="minmax")
    chosen = Attempt(WHOLE, rung, ModelFile(path, "f", 0.0), measured(9, 120), verdict, "holds")
    climb: Any = SimpleNamespace(attempts=(chosen,), chosen=chosen)
    found = frontier(Trajectory((WHOLE,), (), "done", ()), climb, {WHOLE.digest: 480}, validation, deployed)
    return {point.kind: point for point in found}


def test_what_is_deployed_stands_at_its_figures_on_validation(tmp_path: Path) -> None:
    found = points(tmp_path, Evidence(measured(9, 120), measured(10, 400), measured(8, 150)), "2")
    assert list(found) == ["parent", "rung", "deployed"]
    assert (found["deployed"].label, found["deployed"].size_bytes, found["deployed"].accuracy) == (
        "deployed",
        150,
        0.8,
    )
    assert found["deployed"].note == "version 2, measured again on the same rows"
    assert found["rung"].chosen and not found["deployed"].chosen
    assert found["parent"].size_bytes == 480  # its file's, not four bytes for each of its 100 parameters


def test_before_the_first_deployment_there_is_no_such_point(tmp_path: Path) -> None:
    assert list(points(tmp_path, Evidence(measured(9, 120), measured(10, 400), None), None)) == ["parent", "rung"]
    assert list(points(tmp_path, None, "2")) == ["parent", "rung"]


def test_a_deployed_model_that_could_not_be_measured_says_so(tmp_path: Path) -> None:
    broken = ModelEvidence(None, None, "its file is gone")
    found = points(tmp_path, Evidence(measured(9, 120), measured(10, 400), broken), "2")["deployed"]
    assert (found.size_bytes, found.accuracy) == (None, None)
    assert found.note == "version 2, could not be measured: its file is gone"
