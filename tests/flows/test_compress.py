"""The whole way for one version, on a tiny model: every answer that it can have."""

from pathlib import Path

import pytest

import flows.compress
from edge_runtime.bundle import read_bundle
from model_compression.errors import CompressionError
from quality_gates.report import ReportContent
from tasks.errors import PreflightError, RegistryError
from tasks.registry import EdgeModels, Runs
from tasks.workspace import Workspace
from tests.end_to_end.tiny.variants import QAT
from tests.flows.conftest import TINY, Variant


def test_a_candidate_that_holds_is_published_and_reported(world: Workspace, variant: Variant) -> None:
    outcome = flows.compress.compress("tiny", "1", variant("plain"), world)
    assert outcome.answer == "published" and not outcome.reused
    (device,) = outcome.devices
    assert (device.verdict, device.rung, device.deployed_version) == ("pass", "PTQ minmax", None)
    (folder,) = (path for path in (world.target / "tiny" / "plain").iterdir() if path.is_dir())
    assert read_bundle(folder).manifest.lineage["source_version"] == "1"
    runs = Runs(world.tracking_uri, "tiny")
    report = Path(runs.client.download_artifacts(device.run_id, "report.html")).read_text()
    assert "the first model on this device" in report


def test_what_is_deployed_stands_in_the_report_at_its_figures_on_validation(world: Workspace, variant: Variant) -> None:
    (first,) = flows.compress.compress("tiny", "1", variant("replaced"), world).devices
    again = variant("replaced", {"ladder": [{"kind": "ptq", "calibration": "percentile"}]})
    (second,) = flows.compress.compress("tiny", "1", again, world).devices
    text = Runs(world.tracking_uri, "tiny").read_text(second.run_id, "report.json")
    points = {point.kind: point for point in ReportContent.model_validate_json(text).points}
    assert first.figures.candidate is not None
    assert points["deployed"].size_bytes == first.figures.candidate.size_bytes
    was = ReportContent.model_validate_json(Runs(world.tracking_uri, "tiny").read_text(first.run_id, "report.json"))
    (chosen,) = (point for point in was.points if point.chosen)
    assert points["deployed"].accuracy == chosen.accuracy  # the same file on the same validation rows


def test_runs_can_be_searched_by_what_the_gates_saw(world: Workspace, variant: Variant) -> None:
    outcome = flows.compress.compress("tiny", "1", variant("searched"), world)
    (device,) = outcome.devices
    runs = Runs(world.tracking_uri, "tiny")
    found = runs.client.search_runs(
        [runs.experiment],
        "tags.`edgewright.gate.accuracy against parent` = 'pass' and metrics.`gate.accuracy against parent.lower` < 1 "
        "and tags.`edgewright.stage` = 'searched'",
    )
    assert [run.info.run_id for run in found] == [device.run_id]
    tables = {item.path for item in runs.client.list_artifacts(found[0].info.run_id)}
    assert {"gates.json", "models.json", "turns.json", "ledger.json", "slices.json", "frontier.json"} <= tables
    assert {"candidate.turns.1.spread", "parent.turns.1.latency_p10_ms"} <= found[0].data.metrics.keys()
    assert runs.client.get_run(outcome.run_id).data.tags["edgewright.searched"] == "pass"


def test_the_same_question_again_is_answered_from_the_record(world: Workspace, variant: Variant) -> None:
    recipe = variant("twice")
    first = flows.compress.compress("tiny", "1", recipe, world)
    second = flows.compress.compress("tiny", "1", recipe, world)
    assert not first.reused and second.reused
    assert second.devices == first.devices


def test_qat_is_the_rung_where_the_recipe_says_so(world: Workspace, variant: Variant) -> None:
    outcome = flows.compress.compress("tiny", "1", variant("qat", {"ladder": [QAT]}), world)
    assert outcome.answer == "published"
    assert outcome.devices[0].rung == "QAT"


def test_a_budget_that_nothing_meets_is_a_refusal_that_says_how_far_off(world: Workspace, variant: Variant) -> None:
    outcome = flows.compress.compress("tiny", "1", variant("small", device={"budgets": {"size_kb": 2}}), world)
    assert outcome.answer == "refused"
    (device,) = outcome.devices
    assert device.verdict == "fail" and any("2,000" in reason for reason in device.reasons)
    assert EdgeModels(world.tracking_uri, "tiny").deployed("small") is None
    assert not (world.target / "tiny" / "small").exists()


def test_a_measurement_that_dies_is_a_refusal_and_the_pipeline_lives(world: Workspace, variant: Variant) -> None:
    measure = {"kind": "local", "memory_limit_mb": 5, "timeout_s": 60, "warmup": 1, "repeats": 20}
    outcome = flows.compress.compress("tiny", "1", variant("starved", device={"measure": measure}), world)
    assert outcome.answer == "refused"
    assert any("failed" in reason for reason in outcome.devices[0].reasons)


def test_a_version_that_is_not_there_is_one_sentence(world: Workspace, variant: Variant) -> None:
    with pytest.raises(RegistryError, match="version 99"):
        flows.compress.compress("tiny", "99", variant("absent"), world)


def test_a_recipe_for_another_model_is_one_sentence(world: Workspace) -> None:
    with pytest.raises(PreflightError, match="`model`"):
        flows.compress.compress("other", "1", str(TINY / "recipes" / "tiny.yaml"), world)


def test_what_goes_wrong_on_the_way_is_the_recorded_answer(
    world: Workspace, variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise CompressionError("expected one thing, got another; do a third")

    monkeypatch.setattr(flows.compress, "prune", broken)
    recipe = variant("broken")
    with pytest.raises(CompressionError):
        flows.compress.compress("tiny", "1", recipe, world)
    again = flows.compress.compress("tiny", "1", recipe, world)
    assert again.reused and again.answer == "error"
    assert again.error == "expected one thing, got another; do a third"


def test_a_fault_that_is_no_answer_is_asked_again(
    world: Workspace, variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = variant("fault")

    def full_disk(*_: object) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(flows.compress, "prune", full_disk)
        with pytest.raises(OSError, match="no space left"):
            flows.compress.compress("tiny", "1", recipe, world)
    outcome = flows.compress.compress("tiny", "1", recipe, world)
    assert outcome.answer == "published" and not outcome.reused
