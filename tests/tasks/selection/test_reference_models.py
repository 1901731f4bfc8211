"""References of a candidate: the deployed model, as it was published, or a gate that fails."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deployments.workload import SplitName
from edge_runtime.files import sha256_of
from edge_runtime.measurement import Figures
from quality_gates.evidence import ModelEvidence
from quality_gates.gates import GatePolicy, NonInferiority, decide
from quality_gates.policy import SliceCondition
from tasks.errors import RegistryUnavailable
from tasks.job import Job
from tasks.measurement import answer_rows
from tasks.registry import EdgeModels, EdgeVersion, Runs
from tasks.selection import attempts as module
from tasks.selection.attempts import References, references
from tasks.upstream import DeviceContext
from tasks.workspace import Workspace
from tests.edge_runtime.models import linear_model
from tests.tasks.builders import baseline, on
from tests.tasks.tiny import FEATURES, job

OURS, PARENT_OUTPUTS = "ours", 4


class Field:
    """A device class in the field: versions are registered and deployed, then references are asked for."""

    def __init__(self, job: Job, folder: Path) -> None:
        self.job = job
        self.folder = folder
        self.models = EdgeModels(job.workspace.tracking_uri, job.model)
        self.parent_file = linear_model(folder / "parent.onnx", FEATURES, PARENT_OUTPUTS)

    def deploy(self, version: str, run_key: str = "theirs", verdict: str = "pass") -> EdgeVersion:
        runs = Runs(self.job.workspace.tracking_uri, self.job.model)
        key = on(self.job).key if run_key == OURS else f"{run_key}-{version}"
        run = runs.parent(version, key, "m", {})
        file = linear_model(self.folder / f"v{version}.onnx", FEATURES, 10 + int(version))
        origin = replace(on(self.job).lineage, source_version=version, run_key=key)
        candidate = self.models.keep(runs, run, file, origin, sha256_of(file))
        number = len(self.models.releases("bench")) + 1
        return self.models.release("bench", candidate, number, "", {"edgewright.verdict": verdict})

    def references(self) -> References:
        return references(on(self.job), baseline(self.parent_file))

    def stored(self, edge: EdgeVersion) -> Path:
        return Path(self.models.client.get_model_version_download_uri(edge.name, edge.version)) / "model.onnx"


@pytest.fixture
def field(workspace: Workspace, tmp_path: Path, request: pytest.FixtureRequest) -> Field:
    return Field(job(workspace, str(request.node.name), version="3"), tmp_path)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, SplitName]]:
    """Files that were measured, by sha256, with their splits; every one of them answers every row right."""
    seen: list[tuple[str, SplitName]] = []

    def answering(context: DeviceContext, file: Path, split: SplitName) -> ModelEvidence:
        seen.append((sha256_of(file), split))
        return flawless(context.job, split)

    monkeypatch.setattr(module, "measure_on", answering)
    monkeypatch.setattr(module, "measure_for", answering)
    return seen


def flawless(job: Job, split: SplitName) -> ModelEvidence:
    resources = Figures(size_bytes=1, load_ms=1, peak_rss_mb=1, latency_p50_ms=1, latency_p99_ms=1)
    return ModelEvidence(answer_rows(job, split, np.eye(3)[job.splits[split].targets]), resources)


def against_deployed() -> GatePolicy:
    gate = NonInferiority(name="deployed", metric="accuracy", against="deployed", margin=0.3, confidence=0.95)
    return GatePolicy(gates=(gate,))


def test_before_the_first_deployment_there_is_the_parent_alone(
    field: Field, measured: list[tuple[str, SplitName]]
) -> None:
    found = field.references()
    assert (found.deployed, found.reference, found.reference_file, found.held_against) == (None, None, None, None)
    evidence = found.beside(flawless(field.job, "validation"), "validation")
    assert evidence.deployed is None
    assert measured == [(sha256_of(field.parent_file), "validation")]
    assert decide(against_deployed(), evidence).gates[0].outcome == "not_applicable"


def test_the_evidence_knows_the_classes_of_the_splits_that_are_not_judged(
    field: Field, measured: list[tuple[str, SplitName]]
) -> None:
    evidence = field.references().beside(flawless(field.job, "test"), "test")
    assert measured and evidence.classes.on(None) == {0: 16, 1: 16, 2: 16}
    assert evidence.classes.on(SliceCondition(column="label", equals="b")) == {1: 16}


def test_the_deployed_model_is_fetched_and_measured_on_the_same_rows(
    field: Field, measured: list[tuple[str, SplitName]]
) -> None:
    edge = field.deploy("2")
    found = field.references()
    assert (found.deployed, found.reference, found.held_against) == (edge, edge, 1)
    assert found.reference_file is not None
    assert sha256_of(found.reference_file) == edge.file_sha256
    evidence = found.beside(flawless(field.job, "test"), "test")
    assert measured == [(sha256_of(field.parent_file), "test"), (edge.file_sha256, "test")]
    assert decide(against_deployed(), evidence).passed


def test_what_is_deployed_answers_as_on_the_device_and_the_parent_here(
    field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge, answered = field.deploy("2"), {}
    for name in ("measure_on", "measure_for"):

        def answering(context: DeviceContext, file: Path, split: SplitName, how: str = name) -> ModelEvidence:
            answered[sha256_of(file)] = how
            return flawless(context.job, split)

        monkeypatch.setattr(module, name, answering)
    field.references().beside(flawless(field.job, "test"), "test")
    assert answered == {sha256_of(field.parent_file): "measure_on", edge.file_sha256: "measure_for"}


@pytest.mark.parametrize("damage", ["changed", "gone"])
@pytest.mark.usefixtures("measured")
def test_a_deployed_file_that_is_damaged_leaves_the_gate_against_it_undecided(field: Field, damage: str) -> None:
    stored = field.stored(field.deploy("2"))
    if damage == "gone":
        stored.unlink()
    else:
        stored.write_bytes(stored.read_bytes() + b" ")
    found = field.references()
    assert found.deployed is not None
    assert found.reference_file is None
    evidence = found.beside(flawless(field.job, "test"), "test")
    verdict = decide(against_deployed(), evidence)
    assert (verdict.outcome, verdict.releases, verdict.undecided_by_noise) == ("inconclusive", False, True)
    assert "The measurement of the deployed" in verdict.reasons[0]
    assert "move the alias `deployed`" in verdict.reasons[0]


def test_a_run_that_had_moved_the_alias_is_held_against_the_model_before(field: Field) -> None:
    before, own = field.deploy("2"), field.deploy("3", OURS)
    assert field.models.deployed("bench") == own
    found = field.references()
    assert (found.deployed, found.reference, found.held_against) == (before, before, own.release)


def test_what_was_published_against_its_gates_is_deployed_and_never_the_reference(field: Field) -> None:
    passed, overridden = field.deploy("1"), field.deploy("2", verdict="overridden")
    found = field.references()
    assert (found.deployed, found.reference, found.held_against) == (overridden, passed, overridden.release)


def test_where_nothing_ever_passed_there_is_no_reference(field: Field) -> None:
    overridden = field.deploy("2", verdict="overridden")
    found = field.references()
    assert (found.deployed, found.reference) == (overridden, None)


def test_a_release_above_the_one_that_a_person_went_back_to_is_no_reference(field: Field) -> None:
    first = field.deploy("1")
    field.deploy("2")
    field.models.client.set_registered_model_alias(first.name, "deployed", first.version)
    assert field.references().reference == first


def test_a_run_that_had_moved_the_first_alias_has_nothing_deployed_before_it(field: Field) -> None:
    field.deploy("3", OURS)
    found = field.references()
    assert (found.deployed, found.reference, found.reference_file) == (None, None, None)


def test_another_recipe_for_the_same_version_is_held_against_what_is_deployed(field: Field) -> None:
    own = field.deploy("3", "another-recipe")
    assert field.references().deployed == own


def anchored(field: Field) -> GatePolicy:
    """Let the recipe of the field compare with the anchor."""
    gate = NonInferiority(name="anchor", metric="accuracy", against="anchor", margin=0.3, confidence=0.95)
    recipe = field.job.recipe.model_copy(update={"gates": (*field.job.recipe.gates, gate)})
    field.job = replace(field.job, recipe=recipe)
    return GatePolicy(gates=(gate,))


def test_the_anchor_is_fetched_and_measured_where_a_gate_asks_for_it(
    field: Field, measured: list[tuple[str, SplitName]]
) -> None:
    first, second = field.deploy("1"), field.deploy("2")
    assert field.references().anchor is None
    policy = anchored(field)
    found = field.references()
    assert found.anchor is not None and (found.anchor.edge, found.reference) == (first, second)
    evidence = found.beside(flawless(field.job, "test"), "test")
    assert (first.file_sha256, "test") in measured and (second.file_sha256, "test") in measured
    assert decide(policy, evidence).passed


def test_before_a_release_has_passed_a_gate_against_the_anchor_does_not_apply(
    field: Field, measured: list[tuple[str, SplitName]]
) -> None:
    policy = anchored(field)
    field.deploy("1", verdict="overridden")
    verdict = decide(policy, field.references().beside(flawless(field.job, "test"), "test"))
    assert measured and verdict.gates[0].outcome == "not_applicable"
    assert verdict.gates[0].sentence.startswith("No anchor yet: accuracy against the anchor model cannot be compared")


@pytest.mark.usefixtures("measured")
def test_an_anchor_whose_file_is_gone_leaves_the_gate_against_it_undecided(field: Field) -> None:
    field.stored(field.deploy("1")).unlink()
    field.deploy("2")
    policy = anchored(field)
    verdict = decide(policy, field.references().beside(flawless(field.job, "test"), "test"))
    assert (verdict.outcome, verdict.undecided_by_noise) == ("inconclusive", True)
    assert "or move the anchor to a version that still has its file" in verdict.reasons[0]
    command = f"edgewright anchor set {field.job.model} bench RELEASE --by NAME --reason TEXT"
    assert verdict.gates[0].remedy == f"Restore its file, or name another: {command}."


@pytest.mark.usefixtures("measured")
def test_an_anchor_without_its_alias_leaves_the_gate_against_it_undecided_with_the_remedy(field: Field) -> None:
    first = field.deploy("1")
    field.deploy("2")
    field.models.client.delete_registered_model_alias(first.name, "anchor")
    policy = anchored(field)
    verdict = decide(policy, field.references().beside(flawless(field.job, "test"), "test"))
    assert (verdict.outcome, verdict.undecided_by_noise) == ("inconclusive", True)
    assert "expected the alias `anchor` to name release 1 of version 1, the first that passed" in verdict.reasons[0]
    assert "edgewright anchor set" in str(verdict.gates[0].remedy)


def test_a_run_under_the_key_of_the_anchor_is_held_against_the_anchor(field: Field) -> None:
    anchored(field)
    first, second = field.deploy("3", OURS), field.deploy("4")
    back = field.deploy("3", OURS)
    found = field.references()
    assert field.models.deployed("bench") == back
    assert found.anchor is not None and (found.anchor.edge, found.reference) == (first, second)


def test_a_registry_that_is_down_is_not_a_first_deployment(tmp_path: Path, unreachable: str) -> None:
    offline = job(Workspace.at(tmp_path / "home", unreachable))
    with pytest.raises(RegistryUnavailable):
        references(on(offline), baseline(tmp_path))
