"""A search over every kind of rung with real files, and its frontier in the terminal."""

import pytest
from typer.testing import CliRunner

import flows.cli
import flows.compress
from tasks.workspace import Workspace
from tests.end_to_end.tiny import upstream
from tests.end_to_end.tiny.variants import QAT
from tests.flows.conftest import Variant

runner = CliRunner()
RUNGS = [
    {"kind": "float"},
    {"kind": "fp16"},
    {"kind": "int4", "block_size": 16},
    {"kind": "dynamic"},
    {"kind": "ptq", "calibration": "minmax"},
    {"kind": "mixed", "calibration": "minmax", "at_most": 1, "tolerance": 0.0},
    QAT,
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = Workspace.at(tmp_path_factory.mktemp("frontier"))
    upstream.register(workspace.tracking_uri)
    return workspace


def test_every_rung_is_measured_and_the_frontier_shows_them(
    world: Workspace, variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEWRIGHT_HOME", str(world.home))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", world.tracking_uri)
    monkeypatch.setenv("COLUMNS", "240")
    monkeypatch.setattr(flows.cli, "prepare", lambda _: None)
    device = {"precisions": ["int8", "int4", "fp16", "fp32"], "budgets": {"size_kb": 20}}
    search = {"objective": "latency_p50_ms", "files": 12, "trainings": 1}
    outcome = flows.compress.compress("tiny", "1", variant("wide", {"ladder": RUNGS, "search": search}, device), world)
    assert outcome.answer == "published"
    shown = runner.invoke(flows.cli.app, ["frontier", "tiny/1", "--device", "wide"])
    assert shown.exit_code == 0, shown.output
    for title in ("FP32", "FP16", "INT4 in blocks of 16", "dynamic", "PTQ minmax", "mixed minmax"):
        assert f"{title}, parent" in shown.output
    assert shown.output.count("(chosen)") == 1
    assert "it has the lowest median latency" in shown.output
    page = runner.invoke(flows.cli.app, ["report", "tiny/1", "--device", "wide"])
    assert page.exit_code == 0, page.output
