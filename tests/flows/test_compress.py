"""The whole way for one version, on a tiny model: every answer that it can have."""

import json
from pathlib import Path
from typing import Any

import onnx
import pytest

import flows.compress
from deployments.workload import Split, SplitName
from edge_runtime.bundle import read_bundle
from edge_runtime.model_files import model_files
from model_compression.errors import CompressionError, QuantizationError
from model_compression.onnx_files import portable
from quality_gates.report import ReportContent
from tasks.compression import Trajectory
from tasks.delivery import FolderDestination
from tasks.delivery.destinations import is_same_release
from tasks.errors import PreflightError, RegistryError, SystemFailure
from tasks.registry import EdgeModels, Runs
from tasks.reporting import late_layers, report_content
from tasks.selection import Climb, ladder
from tasks.upstream import DeviceContext
from tasks.workspace import Workspace
from tests.edge_runtime.bundle.listing import bundles_in, manifests_in
from tests.end_to_end.tiny import upstream
from tests.end_to_end.tiny.variants import QAT
from tests.end_to_end.tiny.workload import Tiny
from tests.flows.conftest import TINY, Variant


@pytest.mark.usefixtures("in_turns")
def test_a_candidate_that_holds_is_published_and_reported(world: Workspace, variant: Variant) -> None:
    outcome = flows.compress.compress("tiny", "1", variant("plain"), world)
    assert outcome.answer == "published" and not outcome.reused
    (device,) = outcome.devices
    assert (device.verdict, device.rung, device.deployed_version) == ("pass", "PTQ minmax", None)
    (bundle,) = bundles_in(world.target, "tiny", "plain")
    assert bundle.manifest.lineage["source_version"] == "1"
    runs = Runs(world.tracking_uri, "tiny")
    report = Path(runs.client.download_artifacts(device.run_id, "report.html")).read_text()
    assert "the first model on this device" in report
    whole, shown = (runs.client.get_run(run) for run in (outcome.run_id, device.run_id))
    assert whole.info.run_name.startswith("tiny v1: published (plain: closest: ")
    assert shown.info.run_name.startswith("tiny v1 plain: published (closest: ")
    assert [len(run.inputs.dataset_inputs) for run in (whole, shown) if run.inputs] == [4, 4]
    statement = json.loads(runs.read_text(device.run_id, "attestation.json"))
    graph = bundle.manifest.blob("model.onnx")
    assert statement["subject"] == [{"name": "model.onnx", "digest": {"sha256": graph.sha256}}]
    assert f"| test | 300 | {Tiny().split('test').digest} |" in runs.read_text(device.run_id, "model-card.md")
    registered = runs.client.get_model_version("tiny-plain", "1")
    assert "| accuracy against parent | Pass |" in str(registered.description)


def test_no_artifact_holds_a_test_row_unless_the_recipe_allows_it(world: Workspace, variant: Variant) -> None:
    runs, budget = Runs(world.tracking_uri, "tiny"), {"budgets": {"size_kb": 3}}
    (kept, shown) = (
        flows.compress.compress("tiny", "1", variant(name, {"show_test_rows": allowed}, budget), world).devices[0]
        for name, allowed in (("kept", False), ("shown", True))
    )
    content, open_one = (
        ReportContent.model_validate_json(runs.read_text(line.run_id, "report.json")) for line in (kept, shown)
    )
    assert (content.flips_from, open_one.flips_from) == ("validation", "test")
    assert content.flips and content.flips_total and open_one.flips
    labels = Tiny().split("validation").targets
    assert all(row.label == str(labels[int(row.row_id)]) for row in content.flips)
    names = {item.path for item in runs.client.list_artifacts(kept.run_id) if not item.is_dir}
    told = {name for name in names if "row_id" in runs.read_text(kept.run_id, name)}
    assert {"gates.json", "outcome.json", "model-card.md"} <= names and told == {"report.json", "flips.json"}
    assert "test row " not in runs.read_text(kept.run_id, "report.html")
    assert "test row " in runs.read_text(shown.run_id, "report.html")


def test_the_losses_of_layers_come_after_the_release_and_cost_none_where_they_fail(
    world: Workspace, variant: Variant, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    released: list[bool] = []

    def fail(*_: object) -> object:
        released.append(EdgeModels(world.tracking_uri, "tiny").deployed("late") is not None)
        raise SystemFailure("The disk is full.")

    monkeypatch.setattr(late_layers, "layer_losses", fail)
    with caplog.at_level("WARNING", logger="edgewright"):
        (device,) = flows.compress.compress("tiny", "1", variant("late"), world).devices
    assert device.verdict == "pass" and device.published and released == [True]
    text = Runs(world.tracking_uri, "tiny").read_text(device.run_id, "report.json")
    content = ReportContent.model_validate_json(text)
    assert content.layers == () and content.layers_note.startswith("The layers have not been looked at one by one.")
    assert any("no losses of single layers" in line and "The disk is full" in line for line in caplog.messages)


def test_a_recipe_may_leave_the_losses_of_layers_out(
    world: Workspace, variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(late_layers, "layer_losses", lambda *_: pytest.fail("layers were looked at"))
    (device,) = flows.compress.compress("tiny", "1", variant("bare", {"layer_losses": False}), world).devices
    content = ReportContent.model_validate_json(
        Runs(world.tracking_uri, "tiny").read_text(device.run_id, "report.json")
    )
    assert content.layers == () and "`layer_losses` is false" in content.layers_note


@pytest.mark.parametrize("part", ["graph", "weights"])
def test_a_file_that_changes_after_it_was_measured_is_neither_kept_nor_published(
    world: Workspace, variant: Variant, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    monkeypatch.setattr(portable, "LARGE", 16)  # the tiny model's weights are files of their own
    changed: list[Path] = []

    def change(context: DeviceContext, trajectory: Trajectory, climb: Climb, *rest: Any) -> ReportContent:
        (path, *beside) = model_files(climb.chosen.file.path).values()
        if part == "graph":
            model = onnx.load(path, load_external_data=False)
            model.producer_name = "somebody else"
            path.write_bytes(model.SerializeToString())
        else:
            beside[0].write_bytes(bytes(255 - byte for byte in beside[0].read_bytes()))
        changed.append(path)
        return report_content(context, trajectory, climb, *rest)

    monkeypatch.setattr(flows.compress, "report_content", change)
    name, ladder = f"tampered-{part}", {"ladder": [{"kind": "ptq", "calibration": "entropy"}]}  # a file of its own
    outcome = flows.compress.compress("tiny", "1", variant(name, ladder), world)
    assert (outcome.answer, outcome.exit_code, len(changed)) == ("undecided", 3, 1)
    (failure,) = outcome.failures
    assert "expected the model that was measured, got another" in failure.sentence
    models = EdgeModels(world.tracking_uri, "tiny")
    assert models.deployed(name) is None
    assert not models.client.search_model_versions(f"name='tiny-{name}'")
    assert manifests_in(world.target, "tiny", name) == []


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


def test_the_parent_has_the_size_of_its_measured_file_wherever_a_report_shows_it(
    world: Workspace, variant: Variant
) -> None:
    (device,) = flows.compress.compress("tiny", "1", variant("sized"), world).devices
    text = Runs(world.tracking_uri, "tiny").read_text(device.run_id, "report.json")
    content = ReportContent.model_validate_json(text)
    (measured,) = (side.figures for side in content.sides if side.role == "parent")
    (point,) = (point for point in content.points if point.kind == "parent")
    assert measured is not None
    assert point.size_bytes == content.ledger[0].size_bytes == measured.size_bytes


@pytest.mark.usefixtures("in_turns")
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
    assert manifests_in(world.target, "tiny", "small") == []


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

    recipe = variant("broken")
    with monkeypatch.context() as patched:
        patched.setattr(flows.compress, "prune", broken)
        with pytest.raises(CompressionError):
            flows.compress.compress("tiny", "1", recipe, world)
    again = flows.compress.compress("tiny", "1", recipe, world)
    assert again.reused and (again.answer, again.exit_code) == ("error", 2)
    assert again.error == "expected one thing, got another; do a third"
    assert flows.compress.compress("tiny", "1", recipe, world, again=True).answer == "published"


def full_disk(*_: object) -> None:
    raise OSError("no space left on device")


def test_a_fault_that_is_no_answer_is_asked_again(
    world: Workspace, variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = variant("fault")
    with monkeypatch.context() as patched:
        patched.setattr(flows.compress, "prune", full_disk)
        with pytest.raises(SystemFailure, match="no space left"):
            flows.compress.compress("tiny", "1", recipe, world)
    runs = Runs(world.tracking_uri, "tiny")
    left = runs.client.search_runs([runs.experiment], "attributes.status = 'RUNNING'")
    assert [run.data.tags for run in left] == []
    outcome = flows.compress.compress("tiny", "1", recipe, world)
    assert outcome.answer == "published" and not outcome.reused


def two_devices(variant: Variant, name: str, **second: object) -> str:
    """Write a recipe for two devices; returns its path. The second has some keys changed."""
    names = [f"{name}-one", f"{name}-two"]
    variant(names[0])
    variant(names[1], device=second)
    return variant(f"{name}-both", {"devices": names})


def test_one_devices_fault_leaves_the_others_answer(
    world: Workspace, variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, climb = two_devices(variant, "fault"), ladder.climb.fn

    def broken(context: DeviceContext, *given: Any) -> object:
        if context.device.name == "fault-one":
            raise QuantizationError("expected a layer, got none; add one")
        return climb(context, *given)

    with monkeypatch.context() as patched:
        patched.setattr(flows.compress, "climb", broken)
        outcome = flows.compress.compress("tiny", "1", recipe, world)
    assert (outcome.answer, outcome.exit_code) == ("partly published", 2)
    assert [(each.device, each.sentence) for each in outcome.failures] == [
        ("fault-one", "expected a layer, got none; add one")
    ]
    assert [line.device for line in outcome.devices] == ["fault-two"]
    again = flows.compress.compress("tiny", "1", recipe, world)
    assert again.reused and again.failures == outcome.failures


def test_a_changed_device_is_answered_alone_on_the_trajectory_that_exists(world: Workspace, variant: Variant) -> None:
    first = flows.compress.compress("tiny", "1", two_devices(variant, "changed"), world)
    assert [line.published for line in first.devices] == [True, True]
    second = flows.compress.compress("tiny", "1", two_devices(variant, "changed", budgets={"size_kb": 100}), world)
    assert second.run_id == first.run_id and not second.reused
    assert second.devices[0] == first.devices[0]
    assert second.devices[1].run_id != first.devices[1].run_id
    runs = Runs(world.tracking_uri, "tiny")
    steps = json.loads(runs.read_text(runs.child(first.run_id, "prune"), "steps.json"))
    assert len(steps) == 1 and steps[0]["kept"]


def bundle_of(world: Workspace, device: str) -> Path:
    (address,) = FolderDestination(world.target).bundles("tiny", device)
    return Path(address)


def test_an_answer_counts_only_while_what_it_made_is_there(world: Workspace, variant: Variant, tmp_path: Path) -> None:
    recipe = variant("presence")
    first = flows.compress.compress("tiny", "1", recipe, world)
    before = read_bundle(bundle_of(world, "presence")).manifest
    bundle_of(world, "presence").unlink()
    again = flows.compress.compress("tiny", "1", recipe, world)
    assert (again.reused, again.answer, again.devices[0].release) == (False, "published", first.devices[0].release)
    assert is_same_release(read_bundle(bundle_of(world, "presence")).manifest, before)
    elsewhere = world.model_copy(update={"target": tmp_path / "elsewhere"})
    assert flows.compress.compress("tiny", "1", recipe, elsewhere).answer == "published"
    assert is_same_release(read_bundle(bundle_of(elsewhere, "presence")).manifest, before)
    assert flows.compress.compress("tiny", "1", recipe, elsewhere).reused


def test_other_labels_in_the_test_split_are_another_question(
    world: Workspace, variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, whole = variant("relabelled"), Tiny.split
    flows.compress.compress("tiny", "1", recipe, world)

    def split(self: Tiny, name: SplitName) -> Split:
        rows = whole(self, name)
        return Split(rows.inputs, rows.targets[::-1].copy(), rows.slices) if name == "test" else rows

    monkeypatch.setattr(Tiny, "split", split)
    assert not flows.compress.compress("tiny", "1", recipe, world).reused


def test_a_model_that_was_deleted_and_registered_again_is_another_question(tmp_path: Path, variant: Variant) -> None:
    own, recipe = Workspace.at(tmp_path / "own"), variant("reborn")
    upstream.register(own.tracking_uri)
    assert not flows.compress.compress("tiny", "1", recipe, own).reused
    Runs(own.tracking_uri, "tiny").client.delete_registered_model("tiny")
    upstream.register(own.tracking_uri, seed=1)
    assert not flows.compress.compress("tiny", "1", recipe, own).reused
