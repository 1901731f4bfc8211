"""An upstream that is only an ONNX file goes all the way by the rungs that train nothing, or stops with what to do."""

from pathlib import Path

import pytest
from onnx import ModelProto

import flows.compress
from quality_gates.report import ReportContent
from tasks.errors import PreflightError
from tasks.registry import EdgeModels, Runs
from tasks.workspace import Workspace
from tests.edge_runtime.bundle.listing import bundles_in
from tests.end_to_end.tiny.onnx_upstream import register_graph, trained_graph
from tests.end_to_end.tiny.variants import QAT, distil
from tests.flows.conftest import Variant

MODEL = "graph"
PRECISIONS = {"precisions": ["int8", "int4", "fp16", "fp32"], "budgets": {"size_kb": 50}}
EVERY_RUNG = [
    {"kind": "float"},
    {"kind": "fp16"},
    {"kind": "ptq", "calibration": "minmax"},
    {"kind": "dynamic"},
    {"kind": "int4", "block_size": 32},
    {"kind": "mixed", "calibration": "minmax", "at_most": 1, "tolerance": 0.0},
    QAT,
]


@pytest.fixture(scope="session")
def graph() -> ModelProto:
    return trained_graph()


@pytest.fixture(scope="session")
def version(world: Workspace, graph: ModelProto) -> str:
    return register_graph(world.tracking_uri, MODEL, graph)


def content(world: Workspace, run: str) -> ReportContent:
    text = Runs(world.tracking_uri, MODEL).read_text(run, "report.json")
    return ReportContent.model_validate_json(text)


def test_it_is_quantized_gated_reported_and_published(world: Workspace, version: str, variant: Variant) -> None:
    parity = {"kind": "parity", "name": "parity", "check": "torch_onnx", "at_most": 1e-3, "rows_at_most": 0.0}
    changes = {"model": MODEL, "ladder": [*EVERY_RUNG[2:3], QAT], "distil": distil()}
    path = variant("onnx", changes, PRECISIONS)
    gates = Path(path).read_text().replace("gates:\n", f"gates:\n- {parity}\n")
    Path(path).write_text(gates)
    outcome = flows.compress.compress(MODEL, version, path, world)
    assert outcome.answer == "published"
    (device,) = outcome.devices
    assert (device.rung, device.snapshot, device.verdict) == ("PTQ minmax", "parent", "pass")
    parent, candidate = device.figures.parent, device.figures.candidate
    assert parent is not None and candidate is not None and candidate.size_bytes < 0.5 * parent.size_bytes
    assert EdgeModels(world.tracking_uri, MODEL).deployed("onnx") is not None
    (bundle,) = bundles_in(world.target, MODEL, "onnx")
    assert bundle.manifest.version == version
    report = content(world, device.run_id)
    why = (
        "Nothing was pruned, no student was taught and QAT was not tried: this version is an ONNX file, which has no "
        "modules and no gradients to prune or to train by; for that, register the torch model with "
        "mlflow.pytorch.log_model."
    )
    assert why in report.why
    assert "this version is an ONNX file" in dict(report.lineage)["pruning"]
    assert [point.kind for point in report.points] == ["parent", "rung"]
    assert len(report.layers) == 3
    html = Path(Runs(world.tracking_uri, MODEL).client.download_artifacts(device.run_id, "report.html"))
    assert "Nothing was pruned, no student was taught and QAT was not tried" in html.read_text()


def test_every_rung_that_trains_nothing_is_tried(world: Workspace, version: str, variant: Variant) -> None:
    search = {"objective": "size_bytes", "files": 20, "trainings": 5}
    path = variant("every-rung", {"model": MODEL, "ladder": EVERY_RUNG, "search": search}, PRECISIONS)
    (device,) = flows.compress.compress(MODEL, version, path, world).devices
    assert device.verdict == "pass"
    report = content(world, device.run_id)
    assert {rung.name for rung in report.rungs} == {
        "FP32", "FP16", "PTQ minmax", "dynamic", "INT4 in blocks of 32", "mixed minmax"
    }  # fmt: skip
    assert any("QAT was not tried: this version is an ONNX file" in why for why in report.why)


def test_a_ladder_that_only_trains_stops_before_anything_is_answered(
    world: Workspace, version: str, variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flows.compress, "measure_baseline", lambda *_: pytest.fail("the baseline was begun"))
    path = variant("trains-only", {"model": MODEL, "ladder": [QAT]})
    with pytest.raises(PreflightError, match=r"rung that trains nothing for trains-only.*got QAT alone; add `ptq`"):
        flows.compress.compress(MODEL, version, path, world)
