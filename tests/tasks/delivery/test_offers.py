"""Offers: devices are offered the last release that was decided, and a whole bundle at every moment."""

import re
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import date
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest

from deployments.device import DeviceProfile
from edge_runtime.bundle import read_bundle
from quality_gates.approval import approve
from tasks.delivery import Publication, check_keys, is_in_place, recover
from tasks.delivery import releases as protocol
from tasks.delivery.offers import Offers, offers_of
from tasks.delivery.publication import put_in_place
from tasks.errors import KeysError
from tasks.job import Job
from tasks.registry import EdgeModels
from tasks.repository import FolderObjects, SignedRepository, keys_folder
from tasks.workspace import Workspace
from tests.edge_runtime.models import linear_model
from tests.tasks.builders import verdict
from tests.tasks.delivery.counter import Counter
from tests.tasks.delivery.devices import Reader, begin, signed_releases
from tests.tasks.tiny import FEATURES, device, job


@pytest.fixture
def model(request: pytest.FixtureRequest) -> str:
    """A model of each test's own."""
    return re.sub(r"[^A-Za-z0-9]+", "-", str(request.node.name)).strip("-")


@pytest.fixture
def counter(workspace: Workspace, tmp_path: Path, model: str) -> Counter:
    return Counter(job(workspace, model, "2"), linear_model(tmp_path / "candidate.onnx", FEATURES))


def kept(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder, by its name."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.fixture
def unhandled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill runs no handler."""
    monkeypatch.setattr(protocol.Releases, "given_up_on_error", lambda *_: nullcontext())


def test_a_publication_is_signed_where_a_repository_was_begun(reader: Reader, counter: Counter) -> None:
    assert reader.manifest(counter.job.model) is None
    counter.publish()
    (path,) = counter.bundles()
    assert reader.manifest(counter.job.model) == read_bundle(path).manifest
    counter.other("3").publish()
    assert reader.release(counter.job.model) == 2


def test_nothing_is_signed_where_none_was_begun_and_a_warning_says_so(counter: Counter, warned: list[str]) -> None:
    counter.publish()
    assert not (counter.job.workspace.target / "metadata").exists()
    assert any("nobody has signed it, so no device will take it; begin with edgewright keys init" in each
               for each in warned)  # fmt: skip


def without(pattern: str) -> Callable[[Workspace, pytest.MonkeyPatch], None]:
    def remove(workspace: Workspace, _: pytest.MonkeyPatch) -> None:
        (path,) = keys_folder(workspace.home).glob(pattern)
        path.unlink()

    return remove


def loose(workspace: Workspace, _: pytest.MonkeyPatch) -> None:
    (path,) = keys_folder(workspace.home).glob("device-bench-*")
    path.chmod(0o644)


def unnamed(_: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGEWRIGHT_KEYS_PASSPHRASE")


UNABLE: dict[str, tuple[Callable[[Workspace, pytest.MonkeyPatch], None], str]] = {
    "of-the-device": (without("device-bench-*"), "device-bench: expected 1 of the keys"),
    "online": (without("online-*"), "snapshot: expected 1 of the keys"),
    "loose": (loose, "expected that only its owner"),
    "no-passphrase": (unnamed, "expected a passphrase, got none"),
}


@pytest.mark.parametrize("cause", UNABLE)
def test_where_a_key_is_missing_nothing_is_written(
    reader: Reader, counter: Counter, monkeypatch: pytest.MonkeyPatch, cause: str
) -> None:
    counter.publish()
    third, workspace = counter.other("3"), counter.job.workspace
    publication, before = third.publication(), kept(workspace.target)
    spoil, told = UNABLE[cause]
    spoil(workspace, monkeypatch)
    with pytest.raises(KeysError, match=told):
        check_keys(workspace, third.job.devices)
    with pytest.raises(KeysError, match=told):
        put_in_place(workspace, third.context.device, publication)
    assert kept(workspace.target) == before and reader.release(counter.job.model) == 1
    assert counter.deployed() is not None and counter.models.releases("bench") == [counter.deployed()]


def test_a_profile_without_a_key_is_told_how_to_get_one(workspace: Workspace, counter: Counter) -> None:
    begin(workspace, ("camera",))
    with pytest.raises(KeysError, match="edgewright keys add bench"):
        counter.publish()
    assert counter.bundles() == []


STEPS = {
    "device": ("create", ".device-bench.json"),
    "snapshot": ("create", ".snapshot.json"),
    "timestamp": ("create", ".timestamp.json"),
    "shown": ("replace", "/timestamp.json"),
}
"""The calls of the store by which a publication is signed: the kind, and the end of the name."""


@pytest.mark.usefixtures("unhandled")
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_a_kill_while_it_is_signed_is_completed(
    reader: Reader, counter: Counter, monkeypatch: pytest.MonkeyPatch, step: str, after: bool
) -> None:
    counter.publish()
    kind, end = STEPS[step]
    call, fired = getattr(FolderObjects, kind), list[str]()

    def dies(self: FolderObjects, name: str, *given: Any, **more: Any) -> Any:
        if not name.endswith(end) or fired:
            return call(self, name, *given, **more)
        if after:
            call(self, name, *given, **more)
        fired.append(name)
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(FolderObjects, kind, dies)
        with pytest.raises(KeyboardInterrupt):
            counter.other("3").publish()
    assert fired
    assert reader.release(counter.job.model) == (2 if step == "shown" and after else 1)
    assert deployed(counter) == 1
    recover(counter.context)
    assert reader.release(counter.job.model) == deployed(counter) == 2


def deployed(counter: Counter) -> int:
    edge = counter.deployed()
    return 0 if edge is None else edge.release


@pytest.mark.usefixtures("unhandled")
@pytest.mark.parametrize(("place", "name", "offered"), [(Offers, "offer", 1), (EdgeModels, "release", 2)])
def test_a_kill_before_it_is_signed_or_before_the_alias_is_completed(
    reader: Reader, counter: Counter, monkeypatch: pytest.MonkeyPatch, place: type, name: str, offered: int
) -> None:
    counter.publish()
    third = counter.other("3")
    publication = third.publication()
    with monkeypatch.context() as broken:
        broken.setattr(place, name, killed)
        if place is Offers:  # the recovery before it has nothing to offer, and is not what is killed
            broken.setattr(protocol.Releases, "recover", lambda *_: None)
        with pytest.raises(KeyboardInterrupt):
            put_in_place(third.job.workspace, third.context.device, publication)
    (*_, claim) = counter.destination.claims(counter.job.model, "bench")
    assert (claim.release, claim.end) == (2, "released")
    assert (reader.release(counter.job.model), deployed(counter)) == (offered, 1)
    recover(counter.context)
    assert reader.release(counter.job.model) == deployed(counter) == 2


def approved(counter: Counter, name: str) -> Publication:
    """A publication of the counter's candidate against its gates, approved by a person."""
    file, run_key = counter.candidate.file_sha256, counter.candidate.lineage.run_key
    refused = verdict("fail", file)
    measured = tuple(gate.model_copy(update={"candidate_value": 9.0}) for gate in refused.gates)
    days = {"given": date(2026, 1, 1), "until": date(2999, 1, 1)}
    refused = refused.model_copy(update={"gates": measured})
    overridden = approve(refused, name=name, reason="so", **days, run_key=run_key, file=file)
    return counter.publication(verdict=overridden)


def approver(reader: Reader, counter: Counter) -> str:
    manifest = reader.manifest(counter.job.model)
    assert manifest is not None
    return manifest.approval["approved_by"]


PEOPLE = ("Ada", "Grace", "Edith", "Joan", "Mary", "Annie")


def test_the_newest_decision_on_a_release_is_what_is_offered(reader: Reader, counter: Counter) -> None:
    """Two manifests of one release lie side by side for a moment, in the order of their digests."""
    for name in PEOPLE:
        put_in_place(counter.job.workspace, counter.context.device, approved(counter, name))
        recover(counter.context)
        assert approver(reader, counter) == name
        assert len(counter.bundles()) == 1 and deployed(counter) == 1


@pytest.mark.usefixtures("unhandled")
def test_a_kill_before_the_older_decision_is_removed_does_not_bring_it_back(
    reader: Reader, counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = counter.job.workspace, counter.context.device
    monkeypatch.setattr(type(counter.destination), "supersede", killed)
    for number, name in enumerate(PEOPLE, start=1):
        with pytest.raises(KeyboardInterrupt):
            put_in_place(*place, approved(counter, name))
        assert len(counter.bundles()) == number
        recover(counter.context)
        assert approver(reader, counter) == name
    monkeypatch.undo()


def test_a_decision_that_came_meanwhile_is_not_removed(
    reader: Reader, counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another machine approves once more between the end of a publication and its tidying up."""
    place, offer, fired = (counter.job.workspace, counter.context.device), Offers.offer, list[str]()
    put_in_place(*place, approved(counter, "Ada"))

    def late(self: Offers, *given: Any) -> None:
        offer(self, *given)
        if not fired:
            fired.append("fired")
            put_in_place(*place, approved(counter, "Grace"))

    monkeypatch.setattr(protocol.Releases, "recover", lambda *_: None)
    monkeypatch.setattr(Offers, "offer", late)
    put_in_place(*place, approved(counter, "Joan"))
    assert fired and approver(reader, counter) == "Grace"


@pytest.mark.parametrize(("place", "name"), [(Offers, "offer"), (SignedRepository, "publish")])
def test_who_comes_late_never_brings_an_older_release_back(
    reader: Reader, counter: Counter, monkeypatch: pytest.MonkeyPatch, place: type, name: str
) -> None:
    """A process stops before it signs release 1; another completes that, and publishes release 2."""
    third, begun, fired = counter.other("3"), list[str](), list[int]()
    sign, model = getattr(place, name), counter.job.model

    def late(self: Any, *given: Any) -> Any:
        if not begun:
            begun.append("begun")
            recover(third.context)
            fired.append(third.publish().release)
            assert reader.release(model) == 2
        return sign(self, *given)

    monkeypatch.setattr(place, name, late)
    counter.publish()
    assert fired == [2]
    assert reader.release(model) == deployed(counter) == 2
    signed = signed_releases(counter.job.workspace, model)
    assert signed == sorted(signed) and signed[-1] == 2


def test_numbers_go_on_after_what_devices_were_offered(reader: Reader, counter: Counter) -> None:
    """Claims and registry were lost: a lower number would never be offered."""
    offers_of(counter.job.workspace).offer(counter.job.model, "bench", 7, [b"of a registry that was lost"])
    assert counter.publish().release == reader.release(counter.job.model) == 8


def test_what_was_published_before_keys_were_made_is_offered_by_whoever_comes_next(
    workspace: Workspace, tmp_path: Path, counter: Counter
) -> None:
    counter.publish()
    bench = counter.context.device
    assert is_in_place(workspace, bench, counter.job.model, 1)
    begin(workspace)
    assert not is_in_place(workspace, bench, counter.job.model, 1)
    recover(counter.context)
    assert is_in_place(workspace, bench, counter.job.model, 1)
    assert Reader(tmp_path / "device", workspace).release(counter.job.model) == 1


@pytest.mark.usefixtures("reader")
def test_a_release_is_in_place_also_where_a_later_one_is_offered(workspace: Workspace, counter: Counter) -> None:
    counter.publish()
    counter.other("3").publish()
    assert is_in_place(workspace, counter.context.device, counter.job.model, 1)


def of_device(counter: Counter, profile: DeviceProfile) -> Callable[[], None]:
    """Return a publication of the counter's candidate for a device of its own."""
    lineage = replace(counter.candidate.lineage, run_key=f"key of {profile.name}")
    candidate = replace(counter.candidate, lineage=lineage)
    publication = replace(counter.publication(), candidate=candidate, against=None)

    def publish() -> None:
        put_in_place(counter.job.workspace, profile, publication)

    return publish


def test_two_who_publish_for_two_devices_at_once_are_both_offered(
    reader: Reader, counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    meeting, create, waited = Barrier(2, timeout=60), FolderObjects.create, list[str]()

    def together(self: FolderObjects, name: str, content: Any) -> bool:
        if name.endswith(".snapshot.json") and len(waited) < 2:  # both have signed their own role, and go on at once
            waited.append(name)
            meeting.wait()
        return create(self, name, content)

    publications = [of_device(counter, device(name=name)) for name in ("bench", "camera")]
    monkeypatch.setattr(FolderObjects, "create", together)
    threads = [Thread(target=each) for each in publications]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(waited) == 2 and len(set(waited)) == 1  # they wanted the same version number
    assert [reader.release(counter.job.model, name) for name in ("bench", "camera")] == [1, 1]


def test_a_job_asks_for_the_keys_of_its_devices_alone(workspace: Workspace, model: str) -> None:
    begin(workspace, ("bench", "camera"))
    asked: Job = job(workspace, model)
    (path,) = keys_folder(workspace.home).glob("device-camera-*")
    path.unlink()
    check_keys(workspace, asked.devices)
    with pytest.raises(KeysError, match="device-camera"):
        check_keys(workspace, [device(name="camera")])
