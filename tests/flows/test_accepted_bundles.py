"""Acceptance data of published bundles: measured before anything is published, and the same in later releases."""

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import flows.compress
from edge_runtime.bundle import Bundle
from edge_runtime.errors import MeasurementFailed, MeasurementInterrupted
from edge_runtime.session import EdgeModel
from tasks.delivery import approve_version
from tasks.measurement import GOLDEN, Acceptance, acceptance_of
from tasks.registry import EdgeModels, Runs
from tasks.workspace import Workspace
from tests.edge_runtime.bundle.listing import bundles_in, manifests_in
from tests.end_to_end.tiny.workload import Tiny
from tests.flows.conftest import Variant

SMALL = {"budgets": {"size_kb": 2}}
WORDS: dict[str, Any] = {"name": "Ada", "reason": "The press stands still.", "until": date(2999, 1, 1)}


def release(world: Workspace, device: str, number: int) -> Bundle:
    found = (bundle for bundle in bundles_in(world.target, "tiny", device) if bundle.manifest.release == str(number))
    return next(found)


def vectors(bundle: Bundle) -> dict[str, np.ndarray]:
    assert bundle.manifest.golden is not None
    with np.load(bundle.blob_path(bundle.manifest.golden.blob)) as read:
        return dict(read)


def test_a_bundle_has_what_a_device_tests_it_with(world: Workspace, variant: Variant) -> None:
    (line,) = flows.compress.compress("tiny", "1", variant("tested", device={"max_batch": 4}), world).devices
    bundle = release(world, "tested", 1)
    manifest, kept = bundle.manifest, vectors(bundle)
    assert manifest.golden is not None and manifest.golden.rows == 8
    (taken,), (given,) = manifest.inputs, manifest.outputs
    rows = Tiny().split("calibration").inputs[0]
    np.testing.assert_array_equal(kept[f"in.{taken.name}"], rows[:8])
    (answers,) = EdgeModel.load(bundle.entry_path, manifest.session).predict({taken.name: rows[:8]})
    assert np.abs(kept[f"out.{given.name}"] - answers).max() <= manifest.golden.tolerance[given.name]
    assert [spread.name for spread in manifest.spreads] == [taken.name, given.name]
    assert line.figures.candidate is not None
    assert manifest.measured.figures["size_bytes"] == line.figures.candidate.size_bytes
    assert manifest.measured.figures["latency_p50_ms"] == line.figures.candidate.latency_p50_ms
    assert list(manifest.measured.batch_ms) == ["1", "4"]
    assert (
        manifest.lineage["verdict_sha256"]
        == Runs(world.tracking_uri, "tiny").tags(line.run_id)["edgewright.verdict_sha256"]
    )


def test_an_approval_publishes_the_vectors_that_were_kept_with_the_run(world: Workspace, variant: Variant) -> None:
    (line,) = flows.compress.compress("tiny", "1", variant("tested-late", device=SMALL), world).devices
    assert not line.published
    runs = Runs(world.tracking_uri, "tiny")
    (folder,) = {
        item.path for item in runs.client.list_artifacts(line.run_id) if item.is_dir and item.path.startswith("model-")
    }
    kept = Path(runs.client.download_artifacts(line.run_id, f"{folder}/{GOLDEN}")).read_bytes()
    approve_version(world, "tiny", "1", "tested-late", **WORDS)
    bundle = release(world, "tested-late", 1)
    assert bundle.manifest.approval["approved_by"] == "Ada"
    assert bundle.blob_path(GOLDEN).read_bytes() == kept and bundle.manifest.measured.figures


def test_a_run_of_an_older_release_gives_a_bundle_without_and_says_so(
    world: Workspace, variant: Variant, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An older release of Edgewright kept the file alone."""
    with monkeypatch.context() as older:
        older.setattr(Acceptance, "files", lambda *_: {})
        flows.compress.compress("tiny", "1", variant("legacy", device=SMALL), world)
    with caplog.at_level("WARNING", logger="edgewright"):
        approve_version(world, "tiny", "1", "legacy", **WORDS)
    manifest = release(world, "legacy", 1).manifest
    assert (manifest.golden, manifest.spreads, dict(manifest.measured.figures)) == (None, (), {})
    assert any("no acceptance data were kept with this file, so devices will refuse its bundle" in each
               for each in caplog.messages)  # fmt: skip


def test_a_file_that_does_not_answer_the_calibration_rows_is_not_published(
    world: Workspace, variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> Acceptance:
        raise MeasurementFailed("The output y has NaN in 3 of 16 rows.")

    monkeypatch.setattr(flows.compress, "acceptance_of", failing)
    outcome = flows.compress.compress("tiny", "1", variant("unanswered"), world)
    assert (outcome.answer, outcome.exit_code) == ("error", 2)
    (failure,) = outcome.failures
    assert failure.sentence.startswith("tiny version 1: expected answers to the calibration rows, with which devices")
    assert "NaN in 3 of 16 rows" in failure.sentence
    assert manifests_in(world.target, "tiny", "unanswered") == []
    assert EdgeModels(world.tracking_uri, "tiny").deployed("unanswered") is None


def test_what_is_refused_anyway_keeps_its_report(
    world: Workspace, variant: Variant, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(*_: object) -> Acceptance:
        raise MeasurementFailed("The output y has NaN in 3 of 16 rows.")

    monkeypatch.setattr(flows.compress, "acceptance_of", failing)
    with caplog.at_level("WARNING", logger="edgewright"):
        outcome = flows.compress.compress("tiny", "1", variant("refused-anyway", device=SMALL), world)
    assert outcome.answer == "refused"
    assert Runs(world.tracking_uri, "tiny").read_text(outcome.devices[0].run_id, "report.html")
    assert any("refused-anyway: expected answers to the calibration rows" in each for each in caplog.messages)


def test_an_interruption_says_nothing_and_the_version_is_asked_again(
    world: Workspace, variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    fired: list[str] = []

    def killed(*given: Any) -> Acceptance:
        if not fired:
            fired.append("killed")
            raise MeasurementInterrupted("The process that measured it was ended by SIGKILL.")
        return acceptance_of(*given)

    monkeypatch.setattr(flows.compress, "acceptance_of", killed)
    recipe = variant("interrupted")
    outcome = flows.compress.compress("tiny", "1", recipe, world)
    assert fired and (outcome.answer, outcome.exit_code) == ("undecided", 3)
    again = flows.compress.compress("tiny", "1", recipe, world)
    assert (again.answer, again.reused) == ("published", False)
    assert release(world, "interrupted", 1).manifest.golden is not None
