"""Publication: nothing without a passing verdict, the bundle whole before anything names it, safe to repeat."""

from dataclasses import replace
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException

from edge_runtime.bundle import RuntimeRange, read_bundle
from edge_runtime.errors import EdgewrightError
from edge_runtime.files import sha256_of
from edge_runtime.model_files import model_digest, model_files, weights_of
from edge_runtime.session import RUNTIME
from quality_gates.verdict import GateOutcome
from tasks.delivery import publish
from tasks.errors import PublishError
from tasks.job import Job
from tasks.measurement import measure_on, session_settings
from tasks.registry import EdgeModels, EdgeVersion, Runs
from tasks.workspace import Workspace
from tests.edge_runtime.models import linear_model, portable_model
from tests.tasks.builders import on, verdict
from tests.tasks.tiny import FEATURES, job


class Counter:
    """A job with a registered candidate, ready to be published."""

    def __init__(self, job: Job, file: Path, measured: str | None = None) -> None:
        self.job = job
        self.file = file
        self.models = EdgeModels(job.workspace.tracking_uri, job.model)
        self.edge = self._register(measured)

    def publish(self, outcome: GateOutcome = "pass") -> Path:
        return Path(publish.fn(on(self.job), verdict(outcome), self.file, self.edge))

    def deployed(self) -> EdgeVersion | None:
        return self.models.deployed("bench")

    def bundles(self) -> list[Path]:
        return sorted(self.job.workspace.target.glob("*/*/*"))

    def _register(self, measured: str | None) -> EdgeVersion:
        runs = Runs(self.job.workspace.tracking_uri, self.job.model)
        run = runs.parent(self.job.version, self.job.run_key, "m v1", {})
        return self.models.register("bench", run, self.file, "", self.job.lineage.tags, runs, measured)


@pytest.fixture
def counter(workspace: Workspace, tmp_path: Path, request: pytest.FixtureRequest) -> Counter:
    """A candidate of a model of each test's own."""
    name = str(request.node.name).replace("[", "-").rstrip("]")
    return Counter(job(workspace, name), linear_model(tmp_path / "candidate.onnx", FEATURES))


def test_a_bundle_is_what_a_device_reads(counter: Counter) -> None:
    bundle = read_bundle(counter.publish())
    manifest = bundle.manifest
    assert (manifest.model, manifest.version, manifest.device) == (counter.job.model, "1", "bench")
    assert bundle.entry_path.read_bytes() == counter.file.read_bytes()
    assert [spec.name for spec in manifest.inputs] == ["x"]
    assert manifest.session.threads == 1
    assert manifest.lineage == {
        "source_model": counter.job.model,
        "source_version": "1",
        "recipe": "tiny",
        "recipe_digest": counter.job.recipe.digest,
        "run_key": counter.job.run_key,
        "verdict": "pass",
    }
    assert counter.deployed() == counter.edge


def test_the_model_that_was_measured_is_the_one_in_the_bundle(
    workspace: Workspace, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """One digest goes from the measuring process through registration into the bundle, with all weights."""
    begun = job(workspace, str(request.node.name))
    graph = portable_model(tmp_path / "portable", FEATURES, 3)
    measured = measure_on(on(begun), graph, "test")
    counter = Counter(begun, graph, measured.file_sha256)
    bundle = read_bundle(counter.publish())
    assert measured.file_sha256 == counter.edge.file_sha256 == bundle.entry_path.name
    assert model_digest(bundle.entry_path) == measured.file_sha256
    assert {blob.name: blob.size for blob in bundle.manifest.blobs} == {
        name: path.stat().st_size for name, path in model_files(graph).items()
    }
    assert sum(blob.size for blob in bundle.manifest.blobs) == measured.resources.size_bytes  # type: ignore[union-attr]
    assert bundle.manifest.onnxruntime == RuntimeRange.measured_with(RUNTIME)
    assert bundle.manifest.session == session_settings(begun.recipe.devices[0])


def test_weights_that_changed_since_they_were_registered_are_not_published(
    workspace: Workspace, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    graph = portable_model(tmp_path / "portable", FEATURES, 3)
    counter = Counter(job(workspace, str(request.node.name)), graph)
    (beside,) = weights_of(graph)
    beside.write_bytes(bytes(beside.stat().st_size))
    with pytest.raises(PublishError, match=f"expected weights with the sha256 {beside.name}, .* Nothing was published"):
        counter.publish()
    assert not counter.job.workspace.target.exists()
    assert counter.deployed() is None


def test_what_an_older_release_registered_is_not_published(counter: Counter) -> None:
    counter.edge = replace(counter.edge, onnxruntime=None)
    with pytest.raises(PublishError, match="an older release of Edgewright registered it: compress the version again"):
        counter.publish()
    assert counter.deployed() is None


@pytest.mark.parametrize("outcome", ["fail", "inconclusive"])
def test_without_a_passing_verdict_nothing_is_published(counter: Counter, outcome: GateOutcome) -> None:
    says = (
        rf"version 1 on bench: expected a passing or an overridden verdict, got {outcome}: .* Nothing was published; "
        "see the gate report"
    )
    with pytest.raises(PublishError, match=says):
        counter.publish(outcome)
    assert not counter.job.workspace.target.exists()
    assert counter.deployed() is None


def test_another_file_than_the_one_that_was_judged_is_not_published(counter: Counter) -> None:
    counter.file.write_bytes(counter.file.read_bytes() + b"\x00")
    with pytest.raises(PublishError) as caught:
        counter.publish()
    assert f"with sha256 {counter.edge.file_sha256}, got {sha256_of(counter.file)}; its files" in str(caught.value)
    assert "Nothing was published: compress" in str(caught.value)
    assert not counter.job.workspace.target.exists()
    assert counter.deployed() is None


def test_publishing_again_changes_nothing(counter: Counter) -> None:
    first = counter.publish()
    written = {path: path.stat().st_mtime_ns for path in first.rglob("*")}
    assert counter.publish() == first
    assert {path: path.stat().st_mtime_ns for path in first.rglob("*")} == written
    assert counter.bundles() == [first]
    assert counter.models.previous("bench") is None


def test_a_bundle_that_cannot_be_written_leaves_the_aliases(counter: Counter) -> None:
    counter.job.workspace.target.parent.mkdir(parents=True)
    counter.job.workspace.target.write_text("in the way")
    with pytest.raises(EdgewrightError, match=r"cannot be written to .*cure the cause and publish again"):
        counter.publish()
    assert counter.deployed() is None


def test_the_bundle_is_whole_before_an_alias_names_it(counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def look(*_: object) -> None:
        seen.extend(read_bundle(path).manifest.version for path in counter.bundles())

    monkeypatch.setattr(EdgeModels, "deploy", look)
    counter.publish()
    assert seen == ["1"]


def test_an_alias_that_cannot_be_moved_leaves_a_whole_bundle_and_repeating_completes(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise MlflowException("the server went away")

    with monkeypatch.context() as broken:
        broken.setattr(counter.models.client, "set_registered_model_alias", refuse)
        with pytest.raises(MlflowException, match="went away"):
            counter.publish()
    (bundle,) = counter.bundles()
    assert read_bundle(bundle).manifest.version == "1"
    assert counter.deployed() is None
    assert counter.publish() == bundle
    assert counter.deployed() == counter.edge
