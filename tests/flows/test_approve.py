"""The one way past a refusal, on a refused candidate of the tiny model with MLflow on SQLite."""

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

import flows.cli
import flows.compress
import flows.reconcile
from deployments.recipe import read_recipe
from edge_runtime.bundle import Manifest, read_bundle
from quality_gates.errors import ApprovalError
from quality_gates.report import ReportContent
from tasks.delivery import Publication, approve_version
from tasks.delivery import publication as publish
from tasks.delivery.destinations import is_same_release
from tasks.errors import PublishError, RegistryError
from tasks.outcomes import DeviceOutcome
from tasks.registry import EdgeModels, RegistryView, Runs
from tasks.workspace import Workspace
from tests.edge_runtime.bundle.listing import manifests_in
from tests.flows.conftest import Variant

runner = CliRunner()
SMALL = {"budgets": {"size_kb": 2}}
WORDS = {"name": "Ada Lovelace", "reason": "The press stands still.", "until": date(2999, 1, 1)}


class Refused:
    """A refused candidate and what can be seen of it."""

    def __init__(self, world: Workspace, variant: Variant, name: str, **device: object) -> None:
        self.world, self.name = world, name
        self.recipe = variant(name, device={**SMALL, **device})
        self.outcome = flows.compress.compress("tiny", "1", self.recipe, world)
        self.runs, self.models = Runs(world.tracking_uri, "tiny"), EdgeModels(world.tracking_uri, "tiny")
        (self.line,) = self.outcome.devices
        self.run = self.line.run_id

    def approve(self, **changes: object) -> DeviceOutcome:
        return approve_version(self.world, "tiny", "1", self.name, **{**WORDS, **changes})  # type: ignore[arg-type]

    def deployed(self) -> int | None:
        edge = self.models.deployed(self.name)
        return None if edge is None else edge.release

    def bundle(self) -> Path:
        (manifest,) = manifests_in(self.world.target, "tiny", self.name)
        return manifest

    def manifest(self) -> Manifest:
        return read_bundle(self.bundle()).manifest


def test_an_approval_publishes_what_was_refused_and_everything_says_so(world: Workspace, variant: Variant) -> None:
    refused = Refused(world, variant, "approved")
    assert refused.line.verdict == "fail" and refused.deployed() is None
    after = refused.approve()
    assert (after.verdict, after.published) == ("overridden", True)
    assert refused.deployed() == after.release == 1
    assert refused.manifest().approval["approved_by"] == "Ada Lovelace"
    assert refused.manifest().lineage["verdict"] == "overridden"
    content = ReportContent.model_validate_json(refused.runs.read_text(refused.run, "report.json"))
    assert content.published and content.verdict.approval is not None
    page = refused.runs.read_text(refused.run, "report.html")
    assert "The press stands still." in page and "Published by approval against its gates" in page
    tags = refused.runs.tags(refused.run)
    assert tags["edgewright.verdict"] == "overridden" and tags["edgewright.approved_by"] == "Ada Lovelace"
    version = refused.models.client.get_model_version(f"tiny-{refused.name}", "1")
    assert version.description is not None
    assert content.history[-1].overridden and content.history[-1].now == "deployed"
    assert "Ada Lovelace" in version.description and version.tags["edgewright.verdict"] == "overridden"
    assert json.loads(refused.runs.read_text(refused.run, "verdict.json"))["outcome"] == "fail"


def test_nothing_undoes_it_and_the_version_stays_answered(world: Workspace, variant: Variant) -> None:
    refused = Refused(world, variant, "kept")
    refused.approve()
    again = flows.compress.compress("tiny", "1", refused.recipe, world)
    assert again.reused and again.answer == "published" and again.devices[0].verdict == "overridden"
    assert flows.reconcile.reconcile([refused.recipe], world) == []
    assert refused.deployed() == 1
    approval = again.devices[0].approval
    assert approval is not None and approval.reason == "The press stands still."
    assert refused.approve(until=date(2999, 2, 1)).approval.until == date(2999, 2, 1)  # type: ignore[union-attr]


def test_a_second_approval_is_a_newer_record_of_the_same_release(world: Workspace, variant: Variant) -> None:
    refused = Refused(world, variant, "prolonged")
    refused.approve()
    first, deployed = refused.bundle(), refused.deployed()
    refused.approve()
    assert refused.bundle() == first  # the same words are the same bundle
    refused.approve(name="Grace Hopper", reason="It still does.", until=date(2999, 2, 1))
    assert refused.bundle() != first
    assert refused.manifest().approval == {
        "approved_by": "Grace Hopper",
        "approval_reason": "It still does.",
        "approved_until": "2999-02-01",
        "approved_verdict": refused.runs.tags(refused.run)["edgewright.verdict_sha256"],
    }
    assert refused.deployed() == deployed and refused.models.previous(refused.name) is None
    edge = refused.models.deployed(refused.name)
    assert edge is not None and edge.approved_until == "2999-02-01"


def lose_outcome(refused: Refused) -> None:
    (file,) = Path(refused.world.home).rglob(f"artifacts/edgewright-tiny/{refused.run}/**/outcome.json")
    file.unlink()


def test_an_answer_that_was_lost_finds_its_approval_again(world: Workspace, variant: Variant) -> None:
    refused = Refused(world, variant, "lost")
    approved = refused.approve()
    before = refused.manifest()
    lose_outcome(refused)
    again = flows.compress.compress("tiny", "1", refused.recipe, world)
    assert (again.reused, again.answer) == (False, "published")
    (line,) = again.devices
    assert (line.verdict, line.approval, line.published) == ("overridden", approved.approval, True)
    assert is_same_release(refused.manifest(), before) and refused.manifest().approval == before.approval
    assert refused.deployed() == line.release == approved.release
    content = ReportContent.model_validate_json(refused.runs.read_text(line.run_id, "report.json"))
    assert content.published and content.decision.startswith("Published by approval against its gates")
    this = content.history[-1]
    assert (this.overridden, this.now) == (True, "deployed")
    assert this.why.startswith("approved by Ada Lovelace until 2999-01-01 (")
    assert refused.runs.tags(line.run_id)["edgewright.verdict"] == "overridden"
    assert json.loads(refused.runs.read_text(line.run_id, "verdict.json"))["outcome"] == "fail"
    assert refused.approve(until=date(2999, 2, 1)).published  # what was recorded again can be approved again


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"until": "2001-01-01", "given": "2000-01-01"}, "that ended with 2001-01-01"),
        ({"verdict_sha256": "c" * 64}, "to be of this verdict"),
        ({"name": " "}, "expected an approval in approval.json"),
    ],
)
def test_a_recorded_approval_that_does_not_count_leaves_the_refusal_and_says_so(
    world: Workspace, variant: Variant, caplog: pytest.LogCaptureFixture, changes: dict[str, str], says: str
) -> None:
    refused = Refused(world, variant, "lost-in-vain")
    deployed = refused.approve().release
    stored = json.loads(refused.runs.read_text(refused.run, "approval.json"))
    stored["approval"] |= changes
    refused.runs.text(refused.run, "approval.json", json.dumps(stored))
    lose_outcome(refused)
    with caplog.at_level("WARNING", logger="edgewright"):
        again = flows.compress.compress("tiny", "1", refused.recipe, world)
    assert (again.answer, again.devices[0].verdict, again.devices[0].approval) == ("refused", "fail", None)
    assert any(says in message and "which does not count" in message for message in caplog.messages)
    assert refused.deployed() == deployed  # nothing is taken from a device that has nothing better


def test_a_recorded_approval_does_not_replace_what_came_later(
    world: Workspace, variant: Variant, caplog: pytest.LogCaptureFixture
) -> None:
    refused = Refused(world, variant, "lost-and-overtaken")
    refused.approve()
    later = flows.compress.compress("tiny", "1", variant("lost-and-overtaken"), world)
    assert later.answer == "published" and refused.deployed() == later.devices[0].release == 2
    lose_outcome(refused)
    with caplog.at_level("WARNING", logger="edgewright"):
        again = flows.compress.compress("tiny", "1", variant("lost-and-overtaken", device=SMALL), world)
    assert again.answer == "refused" and refused.deployed() == later.devices[0].release
    assert any("expected what was approved to be deployed still" in message for message in caplog.messages)


def test_an_approval_that_has_ended_is_said_out_loud(
    world: Workspace, variant: Variant, caplog: pytest.LogCaptureFixture
) -> None:
    refused = Refused(world, variant, "lapsed")
    refused.approve()
    edge = refused.models.deployed("lapsed")
    assert edge is not None
    refused.models.describe(edge, "", {"edgewright.approved_until": "2001-01-01"})
    with caplog.at_level("WARNING", logger="edgewright"):
        view = RegistryView.read(world.tracking_uri)
        flows.reconcile.warn_of_lapsed(read_recipe(Path(refused.recipe)), view)
    assert "ended with 2001-01-01" in caplog.text


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"name": " "}, "expected a name"),
        ({"reason": ""}, "expected a reason"),
        ({"until": date(2001, 1, 1)}, "got 2001-01-01; choose a later day"),
    ],
)
def test_what_is_no_approval_publishes_nothing(
    world: Workspace, variant: Variant, changes: dict[str, object], says: str
) -> None:
    refused = Refused(world, variant, "incomplete")
    with pytest.raises(ApprovalError, match=says):
        refused.approve(**changes)
    assert refused.deployed() is None and manifests_in(world.target, "tiny", "incomplete") == []


def test_a_measurement_that_died_cannot_be_approved(world: Workspace, variant: Variant) -> None:
    measure = {"kind": "local", "memory_limit_mb": 5, "timeout_s": 60, "warmup": 1, "repeats": 20}
    refused = Refused(world, variant, "crashed", measure=measure)
    with pytest.raises(ApprovalError, match="measure again"):
        refused.approve()
    assert refused.deployed() is None


def test_a_record_that_was_changed_is_found_out(world: Workspace, variant: Variant) -> None:
    refused = Refused(world, variant, "changed")
    stored = json.loads(refused.runs.read_text(refused.run, "verdict.json"))
    stored["gates"][0]["sentence"] = "Nothing to see here."
    refused.runs.text(refused.run, "verdict.json", json.dumps(stored))
    with pytest.raises(ApprovalError, match="one of them was changed"):
        refused.approve()
    assert refused.deployed() is None


def test_another_file_than_the_judged_one_is_not_published(world: Workspace, variant: Variant) -> None:
    refused = Refused(world, variant, "swapped")
    (file,) = Path(world.home).rglob(f"artifacts/edgewright-tiny/{refused.run}/**/model.onnx")
    file.write_bytes(file.read_bytes() + b"\x00")
    with pytest.raises(RegistryError, match="It was changed since: compress the version again"):
        refused.approve()
    assert refused.deployed() is None


def test_what_was_never_compared_with_the_deployed_model_is_not_approved(world: Workspace, variant: Variant) -> None:
    refused = Refused(world, variant, "overtaken")
    other = flows.compress.compress("tiny", "1", variant("overtaken"), world)
    assert other.answer == "published" and refused.deployed() == other.devices[0].release
    refused.runs.text(other.devices[0].run_id, "outcome.json", "lost")
    with pytest.raises(ApprovalError, match=r"\(nothing\), got a model of version 1; compress the version again"):
        refused.approve()
    assert refused.deployed() == other.devices[0].release


def test_what_passed_needs_no_approval(world: Workspace, variant: Variant) -> None:
    flows.compress.compress("tiny", "1", variant("fine"), world)
    with pytest.raises(ApprovalError, match="needs no approval"):
        approve_version(world, "tiny", "1", "fine", **WORDS)  # type: ignore[arg-type]


def test_a_kill_in_between_is_completed_by_saying_it_again(
    world: Workspace, variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = Refused(world, variant, "killed")
    with monkeypatch.context() as broken:
        broken.setattr(
            "tasks.delivery.recorded_candidates.RecordedCandidate.tell",
            lambda *_: (_ for _ in ()).throw(KeyboardInterrupt),
        )
        with pytest.raises(KeyboardInterrupt):
            refused.approve()
    assert refused.deployed() == 1
    assert refused.runs.tags(refused.run)["edgewright.verdict"] == "fail"
    assert refused.approve().published
    assert refused.runs.tags(refused.run)["edgewright.verdict"] == "overridden"


def test_the_command_line_asks_for_everything_and_history_shows_it(
    world: Workspace, variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEWRIGHT_HOME", str(world.home))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", world.tracking_uri)
    monkeypatch.setenv("EDGEWRIGHT_TARGET", str(world.target))
    monkeypatch.setenv("COLUMNS", "240")
    monkeypatch.setattr(flows.cli, "prepare", lambda _: None)
    refused = Refused(world, variant, "by-hand")
    command = ["approve", "tiny/1", "--device", "by-hand", "--name", "Ada", "--reason", "The press stands still."]
    assert runner.invoke(flows.cli.app, command).exit_code == 2  # no --until
    assert refused.deployed() is None
    done = runner.invoke(flows.cli.app, [*command, "--until", "2999-01-01"])
    assert done.exit_code == 0, done.output
    assert "with the verdict overridden" in done.output
    shown = runner.invoke(flows.cli.app, ["history", "tiny", "--device", "by-hand"]).output
    assert "approved" in shown and "approved by Ada until 2999-01-01 (The press stands still.), against: " in shown
    assert "Approved by Ada" in runner.invoke(flows.cli.app, ["report", "tiny/1", "--device", "by-hand"]).output
    whole = runner.invoke(flows.cli.app, ["approve", "tiny", *command[2:], "--until", "2999-01-01"])
    assert isinstance(whole.exception, ApprovalError)


def test_publish_refuses_an_approval_of_another_file(world: Workspace, variant: Variant, tmp_path: Path) -> None:
    refused = Refused(world, variant, "strict")
    after = refused.approve()
    assert after.candidate is not None
    content = ReportContent.model_validate_json(refused.runs.read_text(refused.run, "report.json"))
    file = refused.models.fetch_candidate(after.candidate, tmp_path / "fetched")
    other = replace(after.candidate, file_sha256="b" * 64)
    publication = Publication(content.verdict, file, other, "", {}, after.release)
    with pytest.raises(PublishError, match="expected the file that was measured"):
        publish._check("tiny", publication)
