"""Publication: nothing without a passing verdict, the bundle whole before anything names it, safe to repeat."""

import errno
import os
import shutil
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
from mlflow.exceptions import MlflowException

from edge_runtime.bundle import RuntimeRange, read_bundle
from edge_runtime.errors import EdgewrightError
from edge_runtime.files import sha256_of
from edge_runtime.model_files import model_digest, model_files, weights_of
from edge_runtime.onnxruntime_packages import onnxruntime_version
from quality_gates.verdict import GateOutcome
from tasks.delivery import FolderDestination, publish, recover
from tasks.delivery import releases as protocol
from tasks.delivery.claims import Claim
from tasks.delivery.offers import offers_of
from tasks.errors import Overtaken, PublishError, RegistryError, SystemFailure
from tasks.measurement import measure_on, session_settings
from tasks.registry import EdgeModels, EdgeVersion, edge_name
from tasks.workspace import Workspace
from tests.edge_runtime.models import linear_model, portable_model
from tests.tasks.builders import on, verdict
from tests.tasks.delivery.counter import Counter
from tests.tasks.tiny import FEATURES, job


@pytest.fixture
def counter(workspace: Workspace, tmp_path: Path, request: pytest.FixtureRequest) -> Counter:
    """A candidate of a model of each test's own."""
    name = str(request.node.name).replace("[", "-").rstrip("]")
    return Counter(job(workspace, name, "2"), linear_model(tmp_path / "candidate.onnx", FEATURES))


def test_a_bundle_is_what_a_device_reads(counter: Counter) -> None:
    edge = counter.publish()
    (path,) = counter.bundles()
    bundle = read_bundle(path)
    manifest = bundle.manifest
    assert path.parent == counter.job.workspace.target / "targets" / counter.job.model / "bench"
    assert (manifest.model, manifest.version, manifest.device) == (counter.job.model, "2", "bench")
    assert bundle.entry_path.read_bytes() == counter.file.read_bytes()
    assert [spec.name for spec in manifest.inputs] == ["x"]
    assert manifest.session.threads == 1
    assert manifest.lineage == {
        "source_model": counter.job.model,
        "source_version": "2",
        "recipe": "tiny",
        "recipe_digest": counter.job.recipe.digest,
        "run_key": counter.context.key,
        "answers": "avx2",
        "verdict": "pass",
        "verdict_sha256": counter.publication().verdict.sha256,
        "release": "1",
    }
    assert counter.deployed() == edge
    assert (edge.release, edge.passed, edge.file_sha256) == (1, True, counter.candidate.file_sha256)


def test_the_model_that_was_measured_is_the_one_in_the_bundle(
    workspace: Workspace, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """One digest goes from the measuring process through the kept file into the bundle, with all weights."""
    begun = job(workspace, str(request.node.name))
    graph = portable_model(tmp_path / "portable", FEATURES, 3)
    measured = measure_on(on(begun), graph, "test")
    counter = Counter(begun, graph)
    edge = counter.publish(verdict=verdict("pass", measured.file_sha256))
    (path,) = counter.bundles()
    bundle = read_bundle(path)
    assert measured.file_sha256 == edge.file_sha256 == bundle.entry_path.name
    assert model_digest(bundle.entry_path) == measured.file_sha256
    assert {blob.name: blob.size for blob in bundle.manifest.blobs} == {
        name: path.stat().st_size for name, path in model_files(graph).items()
    }
    assert sum(blob.size for blob in bundle.manifest.blobs) == measured.resources.size_bytes  # type: ignore[union-attr]
    assert bundle.manifest.onnxruntime == RuntimeRange.measured_with(onnxruntime_version())
    assert bundle.manifest.session == session_settings(begun.recipe.devices[0])


def test_weights_that_changed_since_they_were_kept_are_not_published(
    workspace: Workspace, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    graph = portable_model(tmp_path / "portable", FEATURES, 3)
    counter = Counter(job(workspace, str(request.node.name)), graph)
    (beside,) = weights_of(graph)
    beside.write_bytes(bytes(255 - byte for byte in beside.read_bytes()))
    with pytest.raises(PublishError, match=f"expected weights with the sha256 {beside.name}, .* Nothing was published"):
        counter.publish()
    assert not counter.job.workspace.target.exists()
    assert counter.deployed() is None


def test_what_the_workload_says_of_itself_travels_as_plain_text(counter: Counter) -> None:
    said = {"task": "classification", "labels": "a, b", "preprocessing": "two\nlines"}
    tags = {"edgewright.verdict": "pass", **{f"edgewright.{name}": text for name, text in said.items()}}
    counter.publish(tags=tags | {"edgewright.labels": "x" * 5000})
    (path,) = counter.bundles()
    lineage = read_bundle(path).manifest.lineage
    assert (lineage["task"], lineage["preprocessing"]) == ("classification", '"two\\nlines"')
    assert "labels" not in lineage and lineage["answers"] == "not recorded"


@pytest.mark.parametrize("outcome", ["fail", "inconclusive"])
def test_without_a_passing_verdict_nothing_is_published(counter: Counter, outcome: GateOutcome) -> None:
    says = (
        rf"version 2 on bench: expected a passing or an overridden verdict, got {outcome}: .* Nothing was published; "
        "see the gate report"
    )
    with pytest.raises(PublishError, match=says):
        counter.publish(outcome)
    assert not counter.job.workspace.target.exists()
    assert counter.deployed() is None


def test_another_file_than_the_one_that_was_measured_is_not_published(counter: Counter) -> None:
    counter.file.write_bytes(counter.file.read_bytes() + b"\x00")
    with pytest.raises(PublishError) as caught:
        counter.publish()
    assert f"with sha256 {counter.candidate.file_sha256}, got {sha256_of(counter.file)}; its files" in str(caught.value)
    assert "Nothing was published: compress" in str(caught.value)
    assert not counter.job.workspace.target.exists()
    assert counter.deployed() is None


@pytest.mark.parametrize("judged", [None, "0" * 64])
def test_a_verdict_of_another_file_publishes_nothing(counter: Counter, judged: str | None) -> None:
    with pytest.raises(PublishError, match="expected the file that was measured"):
        counter.publish(verdict=verdict("pass", judged))
    assert counter.deployed() is None


def test_publishing_again_changes_nothing(counter: Counter) -> None:
    first = counter.publish()
    bundles = counter.bundles()
    places = [counter.job.workspace.target / name for name in ("targets", "blobs")]
    written = {path: path.stat().st_ino for place in places for path in place.rglob("*")}
    assert counter.publish() == first
    assert {path: path.stat().st_ino for place in places for path in place.rglob("*")} == written
    assert counter.bundles() == bundles
    assert counter.models.previous("bench") is None


def test_releases_count_up_and_the_registered_model_holds_nothing_else(counter: Counter) -> None:
    third = counter.other("3")
    assert [counter.publish().release, third.publish().release] == [1, 2]
    assert [(edge.release, edge.source_version) for edge in counter.models.releases("bench")] == [(2, "3"), (1, "2")]
    counter.other("4")  # judged, and never released
    assert len(counter.models.releases("bench")) == 2


def test_an_older_version_does_not_replace_a_newer_one_unless_somebody_says_so(counter: Counter) -> None:
    counter.publish()
    older = counter.other("1")
    with pytest.raises(Overtaken, match="expected a version that is not older than the deployed one, got 2"):
        older.publish()
    assert counter.versions() == ["2"]
    back = older.publish(back=True)
    assert (back.release, counter.deployed()) == (2, back)


@pytest.mark.parametrize("elsewhere", [False, True], ids=["one-target", "two-targets"])
def test_what_was_judged_against_another_release_is_judged_again(
    counter: Counter, tmp_path: Path, elsewhere: bool
) -> None:
    third = counter.other("3", tmp_path / "elsewhere" if elsewhere else None)
    judged_before = counter.publication()
    third.publish()
    with pytest.raises(Overtaken, match="expected nothing to be deployed still, as the gates had seen, got release 1"):
        publish.fn(counter.context, replace(judged_before, back=True))
    assert counter.deployed() is not None and "2" not in counter.versions()


def test_what_was_judged_against_another_anchor_is_judged_again(counter: Counter) -> None:
    for version in ("3", "4"):
        counter.other(version).publish()
    fifth = counter.other("5")
    anchored = verdict("pass", fifth.candidate.file_sha256)
    gate = anchored.gates[0].model_copy(update={"against": "anchor", "metric": "accuracy"})
    judged = fifth.publication(verdict=anchored.model_copy(update={"gates": (gate,)}), anchor=1)
    counter.models.set_anchor("bench", 2, by="Ada", when="2026-11-27", reason="new sensors")
    with pytest.raises(Overtaken, match=r"expected release 1 to be the anchor still, .*, got release 2"):
        publish.fn(fifth.context, judged)
    assert "5" not in counter.versions()
    edge = counter.deployed()
    assert edge is not None
    counter.models.client.delete_registered_model_alias(edge.name, "anchor")
    with pytest.raises(Overtaken, match=r"got no release under it\. Name the anchor: edgewright anchor set"):
        publish.fn(fifth.context, replace(judged, anchor=2))
    counter.models.set_anchor("bench", 2, by="Ada", when="2026-11-27", reason="new sensors")
    publish.fn(fifth.context, replace(judged, anchor=2))
    assert "5" in counter.versions()


def test_a_bundle_that_cannot_be_written_leaves_the_aliases(counter: Counter) -> None:
    counter.job.workspace.target.parent.mkdir(parents=True)
    counter.job.workspace.target.write_text("in the way")
    with pytest.raises((EdgewrightError, OSError)):
        counter.publish()
    assert counter.deployed() is None


def test_the_bundle_is_whole_before_an_alias_names_it(counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    release = EdgeModels.release

    def look(self: EdgeModels, *given: Any) -> EdgeVersion:
        seen.extend(counter.versions())
        return release(self, *given)

    monkeypatch.setattr(EdgeModels, "release", look)
    counter.publish()
    assert seen == ["2"]


def test_an_alias_that_cannot_be_moved_is_completed_by_whoever_comes_next(
    counter: Counter, monkeypatch: pytest.MonkeyPatch, warned: list[str]
) -> None:
    def refuse(*_: object) -> None:
        raise MlflowException("the server went away")

    with monkeypatch.context() as broken:
        broken.setattr(counter.models.client, "set_registered_model_alias", refuse)
        with pytest.raises(MlflowException, match="went away"):
            counter.publish()
    assert counter.versions() == ["2"] and counter.deployed() is None
    recover(counter.other("3").context)
    deployed = counter.deployed()
    assert deployed is not None and (deployed.source_version, deployed.release) == ("2", 1)
    assert any("release 1 was published without its alias; completing it" in each for each in warned)
    assert counter.publish() == deployed


def die(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("point", ["settle", "write"])
def test_a_publication_that_died_leaves_no_bundle_that_looks_passed(
    counter: Counter, monkeypatch: pytest.MonkeyPatch, warned: list[str], point: str
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(FolderDestination, point, die)
        broken.setattr(protocol.Releases, "given_up_on_error", lambda *_: nullcontext())  # a kill runs no handler
        with pytest.raises(KeyboardInterrupt):
            counter.publish()
    assert len(counter.bundles()) == (1 if point == "settle" else 0)
    monkeypatch.setattr(Claim, "is_dead", lambda *_: True)  # as after a kill
    recover(counter.other("3").context)
    assert counter.bundles() == [] and counter.deployed() is None
    assert any("claimed by process" in each and "the number is given up" in each for each in warned)
    monkeypatch.undo()
    edge = counter.publish()
    assert (edge.release, counter.versions()) == (2, ["2"])


def full_disk(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    "point",
    [
        "edge_runtime.bundle.writer.put_blob", "edge_runtime.bundle.writer._put_manifest",
        "tasks.delivery.destinations.verify_bundle",
    ],
)  # fmt: skip
def test_a_publication_that_failed_gives_its_number_up_at_once(
    counter: Counter, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(point, full_disk)
        with pytest.raises((SystemFailure, OSError), match="No space left"):
            counter.publish()
    assert [claim.end for claim in counter.destination.claims(counter.job.model, "bench")] == ["abandoned"]
    assert counter.bundles() == []
    monkeypatch.setattr(protocol, "WAIT_S", 0.0)  # nobody waits for this process
    assert counter.publish().release == 2


def test_where_another_model_has_the_name_nothing_comes_to_the_destination(counter: Counter) -> None:
    name = edge_name(counter.job.model, "bench")
    counter.models.client.create_registered_model(name, tags={"edgewright.source_model": "other"})
    with pytest.raises(RegistryError, match=f"registered model {name}: expected the edge model of .*, got one of `oth"):
        counter.publish()
    assert list(counter.job.workspace.target.rglob("*")) == []


@pytest.mark.parametrize("part", ["graph", "weights"])
def test_a_file_that_changes_while_a_number_is_taken_is_not_published(
    workspace: Workspace, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    graph = portable_model(tmp_path / "portable", FEATURES, 3)
    counter = Counter(job(workspace, str(request.node.name).replace("[", "-").rstrip("]")), graph)
    take, fired = protocol.Releases.take, []

    def late(self: protocol.Releases, *given: Any) -> int:
        if part == "graph":
            changed = onnx.load(graph, load_external_data=False)
            changed.producer_name = "somebody else"
            graph.write_bytes(changed.SerializeToString())
        else:
            (beside,) = weights_of(graph)
            beside.write_bytes(bytes(255 - byte for byte in beside.read_bytes()))
        fired.append(part)
        return take(self, *given)

    monkeypatch.setattr(protocol.Releases, "take", late)
    with pytest.raises(EdgewrightError, match=r"changed while it was published|names weights"):
        counter.publish()
    assert fired == [part] and counter.bundles() == [] and counter.deployed() is None


def test_who_lost_the_claim_to_another_publishes_nothing(counter: Counter) -> None:
    """Somebody removes the claims while one is held, and another version takes the same number."""
    counter.publish()
    third, fourth = counter.other("3"), counter.other("4")
    held = protocol.Releases(third.destination, third.models, "bench", offers_of(third.job.workspace))
    publication = third.publication()
    number = held.take(third.candidate.holder, publication.against)
    shutil.rmtree(counter.job.workspace.target / ".claims")
    assert fourth.publish().release == number
    with pytest.raises(Overtaken, match="somebody removed the claims"):
        held.finish(publication, number, b"")
    deployed = counter.deployed()
    assert deployed is not None and deployed.source_version == "4"


DAMAGES: dict[str, bytes] = {
    "empty": b"", "list": b"[]", "null": b"null", "no-process": b'{"holder": "h", "when": 1}',
    "never-ends": b'{"holder": "h", "when": "nan", "process": {"machine": "m", "boot": "b", '
    b'"namespace": "n", "pid": 1, "started": 1}}',
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_claim_says_nothing_about_a_version(counter: Counter, damage: str) -> None:
    counter.publish()
    claim = counter.job.workspace.target / ".claims" / counter.job.model / "bench" / "1.json"
    whole = claim.read_bytes()
    claim.write_bytes(DAMAGES[damage])
    third = counter.other("3")
    with pytest.raises(SystemFailure, match=r"expected .*claim.*; restore it, or remove it by hand"):
        third.publish()
    claim.write_bytes(whole)
    assert third.publish().release == 2


@pytest.mark.timeout(60)
def test_a_pipe_among_the_claims_is_told_and_not_waited_for(counter: Counter) -> None:
    counter.publish()
    os.mkfifo(counter.job.workspace.target / ".claims" / counter.job.model / "bench" / "7.json")
    with pytest.raises(SystemFailure, match="it is no regular file"):
        counter.other("3").publish()


def test_an_end_that_nobody_here_writes_is_told(counter: Counter) -> None:
    counter.publish()
    (counter.job.workspace.target / ".claims" / counter.job.model / "bench" / "1.settled.json").write_text(
        '{"end": "finished", "note": {}}'
    )
    with pytest.raises(SystemFailure, match="got ValueError: the end 'finished'"):
        counter.other("3").publish()


def test_a_claim_that_is_alive_is_waited_for(counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "WAIT_S", 0.5)
    counter.destination.claim(counter.job.model, "bench", 1, "another")
    with pytest.raises(SystemFailure, match="expected release 1 to be finished by process"):
        counter.publish()
    assert counter.deployed() is None


def test_who_was_given_up_meanwhile_publishes_nothing(counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    write = FolderDestination.write

    def slow(self: FolderDestination, *content: Any) -> str:
        address = write(self, *content)
        self.settle(counter.job.model, "bench", 1, "abandoned", {})  # as another host does after the lease
        return address

    monkeypatch.setattr(FolderDestination, "write", slow)
    with pytest.raises(Overtaken, match="got a claim that was given up"):
        counter.publish()
    assert counter.bundles() == [] and counter.deployed() is None


@pytest.mark.parametrize("point", ["recovered", "checked", "claimed"])
def test_who_publishes_between_the_check_and_the_claim_is_seen(
    counter: Counter, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    rival, begun, fired = counter.other("1"), list[str](), list[EdgeVersion]()
    recover_all, check, claim = protocol.Releases.recover, protocol._check_same, FolderDestination.claim

    def recovered(self: protocol.Releases) -> None:
        recover_all(self)
        fire("recovered" if begun else "first")

    def checked(*given: Any) -> None:
        check(*given)
        fire("checked")

    def claimed(self: FolderDestination, model: str, device: str, release: int, holder: str) -> bool:
        fire("claimed")
        return claim(self, model, device, release, holder)

    def fire(at: str) -> None:
        begun.append(at)
        if at == point and begun.count(at) == 1:
            fired.append(rival.publish())

    publication = counter.publication()
    monkeypatch.setattr(protocol.Releases, "recover", recovered)
    monkeypatch.setattr(protocol, "_check_same", checked)
    monkeypatch.setattr(FolderDestination, "claim", claimed)
    with pytest.raises(Overtaken, match="expected nothing to be deployed still"):
        publish.fn(counter.context, publication)
    assert fired and counter.deployed() == fired[0] and counter.versions() == ["1"]


def test_an_alias_that_moves_late_gives_way_to_the_release_after_it(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    rival, begun, fired = counter.other("3"), list[str](), list[EdgeVersion]()
    move = counter.models.client.set_registered_model_alias

    def late(_: Any, name: str, alias: str, version: str) -> None:
        if alias == "deployed" and not begun:
            begun.append(version)
            recover(rival.context)
            fired.append(rival.publish())
        move(name, alias, version)

    monkeypatch.setattr(type(counter.models.client), "set_registered_model_alias", late)
    first = counter.publish()
    assert fired[0].release == first.release + 1
    assert counter.deployed() == fired[0]


def test_what_a_person_moved_back_stays_there(counter: Counter) -> None:
    first, third = counter.publish(), counter.other("3")
    third.publish()
    counter.models.client.set_registered_model_alias(first.name, "deployed", first.version)
    recover(counter.context)
    assert counter.deployed() == first
    assert counter.other("4").publish().release == 3


def test_another_target_gets_the_bundle_of_the_same_release(counter: Counter, tmp_path: Path) -> None:
    edge = counter.publish()
    workspace = counter.job.workspace.model_copy(update={"target": tmp_path / "second"})
    second = Counter(replace(counter.job, workspace=workspace), counter.file)
    assert second.publish() == edge
    assert second.versions() == ["2"]


def test_another_target_that_was_full_at_first_gets_the_bundle_under_a_new_number(
    counter: Counter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge = counter.publish()
    workspace = counter.job.workspace.model_copy(update={"target": tmp_path / "full"})
    second = Counter(replace(counter.job, workspace=workspace), counter.file)
    with monkeypatch.context() as broken:
        broken.setattr("edge_runtime.bundle.writer.put_blob", full_disk)
        with pytest.raises((SystemFailure, OSError), match="No space left"):
            second.publish()
    assert second.publish().release == edge.release + 1
