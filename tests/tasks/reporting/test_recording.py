"""The page of a version in the registry, and every form of a stored report."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from quality_gates.verdict import Verdict
from tasks.registry import Runs
from tasks.reporting import description, record_report
from tests.quality_gates.report import examples

RUNS: Any = SimpleNamespace(experiment="7")


@pytest.mark.parametrize("content", [examples.published(), examples.refused()])
def test_a_published_page_says_as_much_as_a_refused_one(content: Any) -> None:
    page = description(content, RUNS, "0a")
    assert content.verdict.headline in page and "#/experiments/7/runs/0a/artifacts" in page
    assert all(f"| {gate.name} |" in page for gate in content.verdict.gates)
    assert "| Latency p99 | 0.094 ms |" in page and "pp .. " in page
    assert "Started by: ada on bench, by hand with compress." in page
    assert f"| test | 420 | {'2b' * 32} |" in page and "| input | image | float32 | rows x 1 x 8 x 8 |" in page


def test_a_page_keeps_what_mlflow_takes_and_leaves_whole_sections_out() -> None:
    content = examples.published()
    gates = tuple(content.verdict.gates[0].model_copy(update={"name": f"gate {n} " + "x" * 40}) for n in range(60))
    page = description(content.model_copy(update={"verdict": Verdict.of(gates)}), RUNS, "0a")
    assert len(page) <= 5000 and "| Gate |" not in page and "| Latency p99 |" in page
    reasons = content.model_copy(update={"decision": "d" * 9000})
    assert len(description(reasons, RUNS, "0a")) == 5000


def test_the_caveat_stands_below_the_verdict() -> None:
    unproven = examples.published().model_copy(update={"is_unproven": True, "answers": "On avx512_vnni."})
    first, _, second = description(unproven, RUNS, "0a").splitlines()[:3]
    assert first.startswith("**Published") and second == "⚠ **Not proven:** On avx512_vnni."


def test_a_report_is_stored_in_every_form(tracking_uri: str, request: pytest.FixtureRequest) -> None:
    runs = Runs(tracking_uri, str(request.node.name))
    run = runs.parent("1", "key", "m v1", {})
    content = examples.published()
    judged = content.model_copy(update={"verdict": Verdict.of(content.verdict.gates, file="3c" * 32)})
    record_report(runs, run, judged)
    stored = {item.path for item in runs.client.list_artifacts(run)}
    assert stored == {"report.html", "report.json", "model-card.md", "attestation.json"}
    assert json.loads(runs.read_text(run, "attestation.json"))["subject"][0]["digest"] == {"sha256": "3c" * 32}
    tags = runs.tags(run)
    assert tags["edgewright.verdict"] == "pass" and tags["mlflow.note.content"] == description(judged, runs, run)
