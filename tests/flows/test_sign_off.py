"""Persons between gates and publication, on candidates of the tiny model with MLflow on SQLite."""

import errno
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner, Result

import flows.cli
import flows.compress
import flows.reconcile
from edge_runtime.bundle import Manifest
from quality_gates.errors import ApprovalError, SignOffError
from quality_gates.report import ReportContent
from quality_gates.signatures import written_key
from tasks.delivery import Person, approve_version, lift_hold, roll_back, sign_off_version, sign_offs
from tasks.delivery.recorded_candidates import RecordedCandidate
from tasks.errors import KeysError, RegistryError, SystemFailure
from tasks.outcomes import DeviceOutcome, Outcome, history
from tasks.registry import EdgeModels, Runs
from tasks.workspace import Workspace
from tests.edge_runtime.bundle.listing import bundles_in, manifests_in
from tests.end_to_end.tiny import upstream
from tests.flows.conftest import Variant

TWO: dict[str, Any] = {"sign_off": 2, "sign_off_within_days": 7.0}
ADA, GRACE = Person("Ada Lovelace", "The report reads well."), Person("Grace Hopper", "So it does.")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A registry of this module's own: what is planned is the newest version, which other tests add to theirs."""
    workspace = Workspace.at(tmp_path_factory.mktemp("sign-off"))
    upstream.register(workspace.tracking_uri)
    return workspace


class Waiting:
    """A candidate that passed and waits, and what can be seen of it."""

    def __init__(self, world: Workspace, variant: Variant, name: str, asked: Mapping[str, Any] = TWO) -> None:
        self.world, self.name, self.variant = world, name, variant
        self.asked, self.recipe = asked, variant(name, recipe=asked)
        self.outcome = flows.compress.compress("tiny", "1", self.recipe, world)
        self.runs, self.models = Runs(world.tracking_uri, "tiny"), EdgeModels(world.tracking_uri, "tiny")
        (self.line,) = self.outcome.devices
        self.run = self.line.run_id

    def sign(self, person: Person = ADA, *, refuse: bool = False, run: str | None = None) -> DeviceOutcome:
        return sign_off_version(self.world, "tiny", "1", self.name, person, refuse=refuse, run=run)

    def compress(self) -> Outcome:
        return flows.compress.compress("tiny", "1", self.recipe, self.world)

    def deployed(self) -> int | None:
        edge = self.models.deployed(self.name)
        return None if edge is None else edge.release

    def manifest(self, release: int = 1) -> Manifest:
        manifests = (bundle.manifest for bundle in bundles_in(self.world.target, "tiny", self.name))
        return next(each for each in manifests if each.lineage["release"] == str(release))

    def attestation(self, manifest: Manifest) -> dict[str, Any]:
        (blob,) = (each for each in manifest.documents if each.name == "attestation.json")
        told: dict[str, Any] = json.loads((self.world.target / "blobs" / blob.sha256).read_text())
        return dict(told["predicate"]["edgewright"])

    def content(self) -> ReportContent:
        return ReportContent.model_validate_json(self.runs.read_text(self.run, "report.json"))

    def tags(self, run: str | None = None) -> dict[str, str]:
        return self.runs.tags(run or self.run)

    def decisions(self) -> list[str]:
        return [row.decision for _, row in history(self.runs, self.models, self.name)]

    def publish_another(self) -> DeviceOutcome:
        """Publish the version on the device by a recipe that asks nobody."""
        (other,) = flows.compress.compress("tiny", "1", self.variant(self.name), self.world).devices
        assert other.published
        self.variant(self.name, recipe=self.asked)
        return other


def end(monkeypatch: pytest.MonkeyPatch, days: float = 8) -> None:
    """Let days pass for everything that looks at the clock."""

    class Later(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(days=days)

    monkeypatch.setattr("tasks.delivery.sign_offs.datetime", Later)
    monkeypatch.setattr("tasks.outcomes.outcomes.datetime", Later)
    monkeypatch.setattr("flows.plan.plan.datetime", Later)


def test_a_candidate_that_passed_waits_until_two_persons_have_signed(world: Workspace, variant: Variant) -> None:
    waiting = Waiting(world, variant, "two")
    assert (waiting.outcome.answer, waiting.outcome.exit_code) == ("waiting", 1)
    assert waiting.line.verdict == "pass" and waiting.deployed() is None
    assert waiting.tags()["mlflow.runName"].startswith("tiny v1 two: waits for sign-off (0 of 2, closest: ")
    first = waiting.sign()
    assert first.waits and waiting.deployed() is None
    assert "waits for sign-off (two: 1 of 2, " in waiting.tags(waiting.line.version_run_id)["mlflow.runName"]
    assert waiting.content().decision.startswith("Passed, and waits for sign-off (1 of 2) until ")
    second = waiting.sign(GRACE)
    assert second.published and second.release == waiting.deployed() == 1
    both = "Ada Lovelace (claimed), Grace Hopper (claimed)"
    assert waiting.manifest().lineage["signed_off_by"] == both
    assert waiting.content().decision == f"Published, signed off by {both}; the first model on this device."
    page, card = (waiting.runs.read_text(waiting.run, name) for name in ("report.html", "model-card.md"))
    assert "The report reads well." in page and "A claimed name was not proven by a key." in page
    assert "Signed off by Grace Hopper (claimed): So it does." in card
    told = json.loads(waiting.runs.read_text(waiting.run, "attestation.json"))["predicate"]["edgewright"]["signOff"]
    assert (told["state"], told["namesAreClaims"], len(told["given"])) == ("complete", True, 2)
    version = waiting.models.client.get_model_version("tiny-two", "1")
    assert version.tags["edgewright.sign_off"] == f"Signed off by {both}."
    assert version.description is not None and "Grace Hopper (claimed)" in version.description
    assert (
        waiting.tags()["edgewright.answer"] == waiting.tags(second.version_run_id)["edgewright.answer"] == "published"
    )
    assert waiting.decisions() == ["published"]


def test_a_waiting_answer_stands_and_nobody_asks_again(world: Workspace, variant: Variant) -> None:
    waiting = Waiting(world, variant, "stands")
    again = waiting.compress()
    assert (again.reused, again.answer, again.run_id) == (True, "waiting", waiting.outcome.run_id)
    assert flows.reconcile.reconcile([waiting.recipe], world) == []
    waiting.sign()
    assert flows.reconcile.reconcile([waiting.recipe], world) == []
    waiting.sign(GRACE)
    assert flows.reconcile.reconcile([waiting.recipe], world) == []
    assert waiting.compress().reused


@pytest.mark.parametrize("again", ["Ada Lovelace", "  ada  LOVELACE ", "Ａｄａ Lovelace"])
def test_one_name_signs_once_however_it_is_spelt(world: Workspace, variant: Variant, again: str) -> None:
    waiting = Waiting(world, variant, f"once-{len(again)}-{ord(again[0])}")
    waiting.sign()
    for refuse in (False, True):
        with pytest.raises(SignOffError, match="one name signs once, so another person has to"):
            waiting.sign(Person(again, "Once more."), refuse=refuse)
    assert waiting.deployed() is None


def test_two_who_sign_at_the_same_time_both_count(world: Workspace, variant: Variant) -> None:
    waiting = Waiting(world, variant, "at-once")
    with ThreadPoolExecutor(2) as both:
        list(both.map(waiting.sign, (ADA, GRACE)))
    assert waiting.deployed() == 1
    assert waiting.manifest().lineage["signed_off_by"].count("claimed") == 2


def test_a_refusal_after_a_signature_ends_it(world: Workspace, variant: Variant) -> None:
    waiting = Waiting(world, variant, "refused")
    waiting.sign()
    after = waiting.sign(Person("Grace Hopper", "Not before the fair."), refuse=True)
    assert (after.answer, waiting.deployed()) == ("refused", None)
    assert after.reasons == ("Refused by Grace Hopper (claimed): Not before the fair.",)
    assert waiting.content().decision == "Refused; nothing is deployed on this device yet."
    assert waiting.decisions() == ["refused"]
    with pytest.raises(SignOffError, match="got one that does not: Refused by Grace Hopper"):
        waiting.sign(Person("Joan Clarke", "But it is good."))
    assert waiting.compress().answer == "refused"
    with pytest.raises(ApprovalError, match="needs no approval"):
        words = {"name": "Ada", "reason": "Still.", "until": datetime(2999, 1, 1).date()}
        approve_version(world, "tiny", "1", waiting.name, **words)  # type: ignore[arg-type]


def test_no_answer_is_no(world: Workspace, variant: Variant, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = Waiting(world, variant, "expired")
    waiting.sign()
    end(monkeypatch)
    with pytest.raises(SignOffError, match=r"The sign-off ended on .* with 1 of 2 persons, and no answer is no"):
        waiting.sign(GRACE)
    assert waiting.decisions() == ["refused"]
    assert "waits for sign-off" in waiting.tags()["mlflow.runName"]  # nobody has written it down yet
    (outcome,) = flows.reconcile.reconcile([waiting.recipe], world)
    assert (outcome.answer, outcome.reused) == ("refused", True)
    assert flows.reconcile.reconcile([waiting.recipe], world) == []
    assert waiting.tags()["mlflow.runName"].startswith("tiny v1 expired: refused (")
    assert waiting.tags(waiting.line.version_run_id)["edgewright.answer"] == "refused"
    assert waiting.compress().answer == "refused" and waiting.deployed() is None


def test_what_is_deployed_changed_while_it_waited_so_it_is_judged_again(world: Workspace, variant: Variant) -> None:
    waiting = Waiting(world, variant, "overtaken")
    waiting.sign()
    other = waiting.publish_another()
    with pytest.raises(SignOffError, match="got one that was judged again since, and is published"):
        waiting.sign(GRACE)
    waiting.runs.text(other.run_id, "outcome.json", "lost")  # so that it is the deployed release that counts
    with pytest.raises(ApprovalError, match=r"expected what it was held against to be deployed still \(nothing\)"):
        waiting.sign(GRACE)
    (again,) = flows.reconcile.reconcile([waiting.recipe], world)
    (line,) = again.devices
    assert (again.answer, again.reused, line.held_against) == ("waiting", False, 1)
    assert line.run_id != waiting.run and waiting.tags()["edgewright.answer"] == "undecided"
    assert waiting.decisions() == ["undecided", "waits for sign-off"]
    waiting.sign()  # a signature for the old verdict is none for the new one
    assert waiting.deployed() == 1
    with pytest.raises(SignOffError, match="got one that was judged again since"):
        waiting.sign(GRACE, run=waiting.run)
    assert waiting.sign(GRACE, run=line.run_id).release == waiting.deployed() == 2


def test_a_kill_between_signature_and_publication_is_completed_by_itself(
    world: Workspace, variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = Waiting(world, variant, "killed")
    waiting.sign()
    with monkeypatch.context() as broken:
        broken.setattr(sign_offs, "put_in_place", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            waiting.sign(GRACE)
    assert waiting.deployed() is None
    (outcome,) = flows.reconcile.reconcile([waiting.recipe], world)
    assert (outcome.answer, outcome.reused, waiting.deployed()) == ("published", True, 1)


def test_a_kill_after_the_publication_is_completed_also_when_its_time_is_over(
    world: Workspace, variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = Waiting(world, variant, "killed-later")
    waiting.sign()
    with monkeypatch.context() as broken:
        tell = RecordedCandidate.tell

        def killed(self: RecordedCandidate, content: ReportContent, after: DeviceOutcome) -> None:
            if after.published:
                raise KeyboardInterrupt
            tell(self, content, after)

        broken.setattr(RecordedCandidate, "tell", killed)
        with pytest.raises(KeyboardInterrupt):
            waiting.sign(GRACE)
    assert waiting.deployed() == 1 and waiting.tags()["edgewright.answer"] == "waiting"
    end(monkeypatch)
    (outcome,) = flows.reconcile.reconcile([waiting.recipe], world)
    assert (outcome.answer, outcome.reused) == ("published", True)
    assert waiting.tags()["edgewright.answer"] == "published" and waiting.deployed() == 1


def test_saying_it_again_completes_it_too(world: Workspace, variant: Variant, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = Waiting(world, variant, "said-again")
    waiting.sign()
    with monkeypatch.context() as broken:
        broken.setattr(sign_offs, "put_in_place", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            waiting.sign(GRACE)
    assert waiting.sign(GRACE).published


def test_a_key_that_is_missing_at_the_last_signature_hides_none_and_gives_nothing_up(
    world: Workspace, variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = Waiting(world, variant, "unsigned")
    waiting.sign()
    with monkeypatch.context() as broken:
        broken.setattr(sign_offs, "put_in_place", lambda *_: (_ for _ in ()).throw(KeysError("expected a key")))
        with pytest.raises(SystemFailure, match=r"expected a key.* Every signature is recorded"):
            waiting.sign(GRACE)
        assert sign_offs.settle_sign_offs(world, "tiny") == []
        assert waiting.deployed() is None
    assert waiting.sign(GRACE).published and waiting.deployed() == 1


@pytest.mark.parametrize("point", ["edge_runtime.bundle.writer.put_blob", "tasks.delivery.FolderDestination.claim"])
def test_a_full_destination_at_the_last_signature_hides_none(
    world: Workspace, variant: Variant, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    waiting = Waiting(world, variant, f"full-{point[-4:]}")
    waiting.sign()
    with monkeypatch.context() as broken:
        broken.setattr(point, full_disk)
        with pytest.raises(SystemFailure, match="No space left") as caught:
            waiting.sign(GRACE)
    said = str(caught.value)
    assert "Every signature is recorded (2 of 2) and counts until " in said
    assert said.endswith(": say the same sign-off again once the cause is cured")
    assert waiting.content().decision.startswith("Passed, and waits for sign-off (2 of 2) until ")
    assert "waits for sign-off (2 of 2, " in waiting.tags()["mlflow.runName"]
    assert waiting.deployed() is None
    assert waiting.sign(GRACE).published


def full_disk(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_changed_verdict_or_file_is_found_out(world: Workspace, variant: Variant) -> None:
    waiting = Waiting(world, variant, "changed")
    stored = json.loads(waiting.runs.read_text(waiting.run, "verdict.json"))
    stored["gates"][0]["sentence"] = "Nothing to see here."
    waiting.runs.text(waiting.run, "verdict.json", json.dumps(stored))
    with pytest.raises(ApprovalError, match="one of them was changed"):
        waiting.sign()
    swapped = Waiting(world, variant, "swapped", {**TWO, "sign_off": 1})
    (file,) = Path(world.home).rglob(f"artifacts/edgewright-tiny/{swapped.run}/**/model.onnx")
    file.write_bytes(file.read_bytes() + b"\x00")
    with pytest.raises(RegistryError, match="It was changed since"):
        swapped.sign()
    assert waiting.deployed() is None and swapped.deployed() is None


def test_a_run_that_asks_for_fewer_persons_than_its_recipe_is_found_out(world: Workspace, variant: Variant) -> None:
    waiting = Waiting(world, variant, "fewer")
    outcome = json.loads(waiting.runs.read_text(waiting.run, "outcome.json"))
    outcome["sign_off"]["persons"] = 1
    waiting.runs.text(waiting.run, "outcome.json", json.dumps(outcome))
    with pytest.raises(SignOffError, match="one of them was changed"):
        waiting.sign()
    assert waiting.deployed() is None


def test_with_signers_only_their_keys_count(world: Workspace, variant: Variant) -> None:
    key, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    signers = {"Ada Lovelace": written_key(key.public_key()), "Grace Hopper": written_key(other.public_key())}
    waiting = Waiting(world, variant, "by-key", {"sign_off": 1, "sign_off_within_days": 7.0, "signers": signers})
    for person, says in (
        (ADA, "got a bare name; sign with edgewright sign-off MODEL/VERSION --name NAME --reason WHY --key FILE"),
        (Person("Joan Clarke", "Me too.", key), r"one of its signers \(Ada Lovelace, Grace Hopper\), got Joan Clarke"),
        (Person("Grace Hopper", "As her.", key), "the key that it lists for Grace Hopper, got another one"),
    ):
        with pytest.raises(SignOffError, match=says):
            waiting.sign(person)
    forged = {"name": "Ada Lovelace", "choice": "publish", "reason": "Forged.", "given": "2026-01-01T00:00:00Z"}
    subject = {"model": "tiny", "version": "1", "device": "by-key", "run": waiting.run}
    subject |= {"verdict_sha256": waiting.tags()["edgewright.verdict_sha256"]}
    subject |= {"file_sha256": str(waiting.content().verdict.file_sha256)}
    waiting.runs.text(waiting.run, "sign-offs/forged.json", json.dumps({**forged, "subject": subject}))
    assert waiting.compress().answer == "waiting" and waiting.deployed() is None
    assert waiting.sign(Person("Ada Lovelace", "It is good.", key)).published
    assert waiting.manifest().lineage["signed_off_by"] == "Ada Lovelace (by key)"
    unlisted = Waiting(world, variant, "no-keys")
    with pytest.raises(SignOffError, match="expected no key, as it lists no `signers`"):
        unlisted.sign(Person("Ada", "With a key.", key))


def test_the_same_file_is_signed_once_also_where_its_bundle_was_lost(world: Workspace, variant: Variant) -> None:
    waiting = Waiting(world, variant, "lost", {**TWO, "sign_off": 1})
    waiting.sign()
    (bundle,) = manifests_in(world.target, "tiny", "lost")
    manifest = waiting.manifest()
    bundle.unlink()
    (outcome,) = flows.reconcile.reconcile([waiting.recipe], world)
    assert (outcome.answer, outcome.reused, waiting.deployed()) == ("published", False, 1)
    again = waiting.manifest()
    assert replace(again, documents=()) == replace(manifest, documents=())
    was, now = waiting.attestation(manifest), waiting.attestation(again)
    assert was.pop("run") != now.pop("run")  # each names the run that has its evidence
    assert was == now


def test_a_rollback_to_a_signed_release_says_who_signed_it(world: Workspace, variant: Variant) -> None:
    waiting = Waiting(world, variant, "signed-before", {**TWO, "sign_off": 1})
    waiting.sign()
    waiting.publish_another()
    assert "signed_off_by" not in waiting.manifest(2).lineage
    edge = roll_back(world, "tiny", waiting.name, to=None, by="Ada", reason="It fails at night.")
    assert (edge.release, edge.rollback and edge.rollback.restored) == (3, 1)
    assert waiting.manifest(3).lineage["signed_off_by"] == "Ada Lovelace (claimed)"


def test_a_bundle_that_was_lost_after_a_rollback_to_a_signed_release_needs_no_new_signature(
    world: Workspace, variant: Variant
) -> None:
    waiting = Waiting(world, variant, "lost-later", {**TWO, "sign_off": 1})
    waiting.sign()
    waiting.publish_another()
    roll_back(world, "tiny", waiting.name, to=None, by="Ada", reason="It fails at night.")
    lift_hold(world, "tiny", waiting.name, version=None, by="Ada", reason="It was the other recipe.")
    for bundle in bundles_in(world.target, "tiny", waiting.name):
        if bundle.manifest.lineage["release"] == "3":
            bundle.path.unlink()
    outcome = waiting.compress()
    assert (outcome.answer, waiting.deployed()) == ("published", 3)
    assert waiting.manifest(3).lineage["signed_off_by"] == "Ada Lovelace (claimed)"


def test_what_a_gate_refused_waits_for_nobody(world: Workspace, variant: Variant) -> None:
    recipe = variant("too-large", recipe=TWO, device={"budgets": {"size_kb": 2}})
    outcome = flows.compress.compress("tiny", "1", recipe, world)
    assert (outcome.answer, outcome.devices[0].sign_off) == ("refused", None)
    with pytest.raises(RegistryError, match="that waits for sign-off, got none; see edgewright history tiny"):
        sign_off_version(world, "tiny", "1", "too-large", ADA)


def test_the_command_line_signs_by_version_or_run_and_says_what_came_of_it(
    world: Workspace, variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEWRIGHT_HOME", str(world.home))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", world.tracking_uri)
    monkeypatch.setenv("EDGEWRIGHT_TARGET", str(world.target))
    monkeypatch.setenv("COLUMNS", "240")
    monkeypatch.setattr("flows.sign_off.signing_commands.prepare", lambda _: None)
    monkeypatch.setattr("flows.cli.prepare", lambda _: None)
    waiting = Waiting(world, variant, "by-hand")
    words = ["--name", "Ada [bold]", "--reason", "It reads well."]
    assert isinstance(said("sign-off", waiting.run, *words).exception, SignOffError)  # brackets are no name
    words[1] = "Ada"
    first = said("sign-off", waiting.line.version_run_id, *words)
    assert first.exit_code == 0, first.output
    assert "by-hand: version 1. Waits for sign-off by 2 persons until " in first.output
    assert ": 1 of 2. Signed off by Ada (claimed)." in first.output
    assert "waits for sign-off" in said("history", "tiny", "--device", "by-hand").output
    last = said("sign-off", "tiny/1", "--device", "by-hand", "--name", "Grace", "--reason", "So it does.")
    assert "Ada (claimed), Grace (claimed). It is deployed as release 1." in last.output
    assert "Signed off by Ada (claimed), Grace (claimed)." in said("history", "tiny", "--device", "by-hand").output
    assert "Signed off by Grace (claimed) on " in said("report", "tiny/1", "--device", "by-hand").output
    for subject in ("tiny", "0" * 32, "tiny/"):
        assert isinstance(said("sign-off", subject, *words).exception, SignOffError | RegistryError)


def said(*words: str) -> Result:
    return CliRunner().invoke(flows.cli.app, list(words))
