"""The signed repository: what is published is what a device verifies, beside others and after kills, in any store."""

from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from tuf.api.exceptions import ExpiredMetadataError
from tuf.api.metadata import Metadata, Timestamp

from tasks.errors import KeysError, SystemFailure
from tasks.repository import ObjectStore, SignedRepository, expiries, utc_now
from tests.tasks.repository.publishers import Device, FaultyStore, Publisher, killed_at_each_call

TIMESTAMP = "metadata/timestamp.json"


@pytest.fixture
def device(publisher: Publisher, tmp_path: Path) -> Device:
    return Device.shipped(tmp_path / "device", publisher.store)


def timestamp_of(store: ObjectStore) -> Timestamp:
    data = store.read(TIMESTAMP, 1 << 20)
    assert data is not None
    return Metadata[Timestamp].from_bytes(data).signed


def later(days: float) -> Callable[[], datetime]:
    return lambda: utc_now() + timedelta(days=days)


def test_a_device_gets_what_was_published_last(publisher: Publisher, device: Device) -> None:
    assert device.manifest() is None
    for content in (b"one", b"two"):
        assert publisher.repository().publish("m", "camera", content) == sha256(content).hexdigest()
        assert device.manifest() == content
    assert publisher.store.names("targets/m/camera") == sorted(
        f"{sha256(content).hexdigest()}.manifest.json" for content in (b"one", b"two")
    )


def test_models_and_devices_do_not_touch_each_other(publisher: Publisher, device: Device) -> None:
    publisher.repository().publish("m", "camera", b"one")
    publisher.repository().publish("n", "camera", b"two")
    publisher.repository().publish("m", "gateway", b"three")
    found = [
        device.manifest(*asked) for asked in (("m", "camera"), ("n", "camera"), ("m", "gateway"), ("n", "gateway"))
    ]
    assert found == [b"one", b"two", b"three", None]


def test_what_is_signed_now_is_told_and_can_be_withdrawn(publisher: Publisher, device: Device) -> None:
    repository = publisher.repository()
    assert repository.targets_now("m", "camera") is None
    digest = repository.publish("m", "camera", b"one")
    entry = publisher.repository().targets_now("m", "camera")
    assert entry is not None and (entry.length, entry.hashes) == (3, {"sha256": digest})
    assert publisher.repository().withdraw("m", "camera")
    assert device.manifest() is None and publisher.repository().targets_now("m", "camera") is None
    assert not publisher.repository().withdraw("m", "camera")


def test_the_same_again_changes_nothing(publisher: Publisher) -> None:
    publisher.repository().publish("m", "camera", b"one")
    before = publisher.store.names("metadata")
    publisher.repository().publish("m", "camera", b"one")
    assert publisher.store.names("metadata") == before


def test_a_timestamp_says_when_it_was_signed_and_has_a_copy_under_its_number(publisher: Publisher) -> None:
    before = utc_now().replace(microsecond=0)
    publisher.repository().publish("m", "camera", b"one")
    shown = timestamp_of(publisher.store)
    said = datetime.fromisoformat(shown.unrecognized_fields["signed_at"])
    assert before <= said <= utc_now()
    copy = publisher.store.read(f"metadata/{shown.version}.timestamp.json", 1 << 20)
    assert copy == publisher.store.read(TIMESTAMP, 1 << 20)


def test_nothing_is_published_for_a_profile_without_a_key(publisher: Publisher) -> None:
    with pytest.raises(KeysError, match="edgewright keys add kiosk"):
        publisher.repository().publish("m", "kiosk", b"one")
    assert publisher.store.names("targets/m/kiosk") == []


def test_nothing_is_published_without_the_keys(publisher: Publisher) -> None:
    for path in (publisher.folder / "keys").glob("online-*.pem"):
        path.unlink()
    before = publisher.store.names("metadata")
    with pytest.raises(KeysError, match=r"snapshot: expected 1 of the keys \w{12} on this machine, got 0"):
        publisher.repository().publish("m", "camera", b"one")
    assert publisher.store.names("metadata") == before and publisher.store.names("targets/m/camera") == []


def test_a_place_without_a_repository_says_how_to_make_one(tmp_path: Path, store: ObjectStore) -> None:
    repository = Publisher(tmp_path, store).repository()
    assert not repository.is_begun()
    with pytest.raises(KeysError, match="edgewright keys init"):
        repository.publish("m", "camera", b"one")


def test_a_device_refuses_what_nobody_signed_again_and_takes_it_after_that(
    fresh: Callable[[], Publisher], tmp_path: Path
) -> None:
    publisher = fresh()
    publisher.repository(clock=later(-8)).store.remove(TIMESTAMP)  # as if nobody had signed for eight days
    for name in publisher.store.names("metadata"):
        if name.endswith(("timestamp.json", "snapshot.json")):
            publisher.store.remove(f"metadata/{name}")
    publisher.repository(clock=later(-8)).complete()
    device = Device.shipped(tmp_path / "device", publisher.store)
    with pytest.raises(ExpiredMetadataError):
        device.manifest()
    assert publisher.repository().resign() == []
    assert device.manifest() == b"first"


def test_a_worker_signs_again_what_is_due_and_nothing_else(fresh: Callable[[], Publisher]) -> None:
    publisher = fresh()
    days = {"timestamp": 1.0, "snapshot": 8.0, "device-camera": 46.0}
    for role, day in days.items():
        before = versions(publisher.repository())
        publisher.repository(clock=later(day)).resign()
        grown = {name for name, version in versions(publisher.repository()).items() if version != before[name]}
        expected = {"timestamp": {"timestamp"}, "snapshot": {"timestamp", "snapshot"}}
        assert grown == expected.get(role, {"timestamp", "snapshot", "device-camera", "device-gateway"})


def versions(repository: SignedRepository) -> dict[str, int]:
    return {each.role: each.version for each in expiries(repository.reader.state(), repository.periods, utc_now())}


def test_a_role_whose_key_is_elsewhere_is_told_and_keeps_nobody_waiting(fresh: Callable[[], Publisher]) -> None:
    publisher = fresh()
    (key,) = (publisher.folder / "keys").glob("device-gateway-*.pem")
    key.unlink()
    before = versions(publisher.repository())
    assert publisher.repository(clock=later(46)).resign() == ["device-gateway"]
    after = versions(publisher.repository())
    assert after["device-camera"] > before["device-camera"] and after["timestamp"] > before["timestamp"]


def test_a_clock_that_went_back_signs_nothing(fresh: Callable[[], Publisher]) -> None:
    publisher = fresh()
    before = publisher.store.names("metadata")
    with pytest.raises(SystemFailure, match="clock: expected a time after"):
        publisher.repository(clock=later(-1)).resign()
    assert publisher.store.names("metadata") == before


def test_a_clock_beyond_the_root_signs_nothing_that_devices_would_set_theirs_by(
    fresh: Callable[[], Publisher],
) -> None:
    publisher = fresh()
    with pytest.raises(KeysError, match="edgewright keys renew root"):
        publisher.repository(clock=later(400)).resign()
    assert timestamp_of(publisher.store).version == 2


@pytest.mark.parametrize("role", ["device-camera", "snapshot", "timestamp"])
def test_of_two_publishers_one_gets_the_number_and_the_other_merges(
    fresh: Callable[[], Publisher], tmp_path: Path, role: str
) -> None:
    publisher = fresh()
    other: list[str] = []

    def beside(name: str) -> None:
        if name.endswith(f".{role}.json") and not other:
            other.append(name)
            publisher.repository().publish("n", "camera", b"of the other")

    publisher.repository(FaultyStore(publisher.store, beside=beside)).publish("m", "camera", b"ours")
    assert other
    device = Device.shipped(tmp_path / "device", publisher.store)
    assert [device.manifest(), device.manifest("n")] == [b"ours", b"of the other"]


def test_a_timestamp_is_never_replaced_by_an_older_one(fresh: Callable[[], Publisher], tmp_path: Path) -> None:
    publisher = fresh()
    seen: list[bytes | None] = []
    device = Device.shipped(tmp_path / "device", publisher.store)

    def beside(name: str) -> None:
        if name == TIMESTAMP and not seen:
            publisher.repository().publish("n", "camera", b"of the other")
            seen.append(device.manifest("n"))

    publisher.repository(FaultyStore(publisher.store, beside=beside)).publish("m", "camera", b"ours")
    assert seen == [b"of the other"]
    assert device.manifest() == b"ours"  # the client refuses every version that is older than one it has seen


def test_an_answer_that_was_lost_is_no_loss(fresh: Callable[[], Publisher], tmp_path: Path) -> None:
    """S3's client asks again where an answer is lost, and is then told that the name is taken: by itself."""
    publisher = fresh()

    class Lossy(FaultyStore):
        def create(self, name: str, content: bytes | Path) -> bool:
            super().create(name, content)
            return False

    lossy = Lossy(publisher.store)
    publisher.repository(lossy).publish("m", "camera", b"two")
    assert sum(call.startswith("create metadata") for call in lossy.calls) == 3
    assert Device.shipped(tmp_path / "device", publisher.store).manifest() == b"two"


def test_numbers_that_others_take_without_end_are_told(
    fresh: Callable[[], Publisher], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.repository.signed_repository.ATTEMPTS", 3)
    monkeypatch.setattr("tasks.repository.signed_repository.PAUSE_S", 0.0)
    publisher = fresh()

    def beside(name: str) -> None:
        if name.endswith(".device-camera.json"):
            publisher.store.create(name, b"{}")

    with pytest.raises(SystemFailure, match="expected a version number of device-camera, got none in 3 attempts"):
        publisher.repository(FaultyStore(publisher.store, beside=beside)).publish("m", "camera", b"two")


WORKS: dict[str, Callable[[SignedRepository], object]] = {
    "publish": lambda repository: repository.publish("m", "camera", b"second"),
    "publish-another": lambda repository: repository.publish("n", "gateway", b"second"),
    "withdraw": lambda repository: repository.withdraw("m", "camera"),
    "resign": lambda repository: repository.resign(),
}


@pytest.mark.parametrize(
    ("work", "then"),
    [
        ("publish", "again"), ("publish", "resign"), ("publish", "another"), ("publish-another", "another"),
        ("withdraw", "again"), ("withdraw", "resign"), ("resign", "another"),
    ],
)  # fmt: skip
def test_a_publisher_that_is_killed_at_any_call_leaves_what_devices_verify_and_others_finish(
    fresh: Callable[[], Publisher], work: str, then: str
) -> None:
    for publisher, call in killed_at_each_call(fresh, lambda one, store: WORKS[work](one.repository(store))):
        old = Device.shipped(publisher.folder / "old", publisher.store)
        assert old.manifest() in (b"first", b"second", None if work == "withdraw" else b"first"), call
        follow: dict[str, Callable[[Publisher], object]] = {
            "again": lambda one: WORKS[work](one.repository()),
            "resign": lambda one: one.repository().resign(),
            "another": lambda one: one.repository().publish("other", "gateway", b"third"),
        }
        signed = publisher.repository().reader.state().roles["device-camera"].best
        follow[then](publisher)
        new = Device.shipped(publisher.folder / "new", publisher.store)
        assert signed is not None
        published = signed.signed.targets.get("m/camera/manifest.json")
        for device in (old, new):
            found = device.manifest()
            if then == "again" and work in ("publish", "withdraw"):
                assert found == (b"second" if work == "publish" else None), call
            else:  # what was signed is finished, and what was not is not
                assert (None if found is None else sha256(found).hexdigest()) == (
                    None if published is None else published.hashes["sha256"]
                ), call
        assert new.manifest("other", "gateway") == (b"third" if then == "another" else None)
        publisher.repository().resign()
        assert old.manifest() == new.manifest()


@pytest.mark.parametrize("step", ["link", "replace", "fsync", "unlink"])
def test_a_publisher_that_is_killed_at_any_call_of_the_system_leaves_what_devices_verify(
    fresh: Callable[[], Publisher], monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    import os

    real = getattr(os, step)
    for at in range(100):
        publisher = fresh()
        calls: list[object] = []

        def counted(*given: object, at: int = at, calls: list[object] = calls, **named: object) -> object:
            calls.append(given)
            if len(calls) - 1 == at:
                raise KeyboardInterrupt
            return real(*given, **named)

        with monkeypatch.context() as patch:
            patch.setattr(os, step, counted)
            try:
                publisher.repository().publish("m", "camera", b"second")
            except KeyboardInterrupt:
                pass
            else:
                break  # there are fewer calls
        assert len(calls) == at + 1 or step == "unlink", "the fault fired in the last call"
        device = Device.shipped(publisher.folder / "device", publisher.store)
        assert device.manifest() in (b"first", b"second")
        publisher.repository().publish("m", "camera", b"second")
        assert device.manifest() == b"second"
    assert at >= (1 if step == "replace" else 4)


def test_a_file_that_somebody_damaged_is_told(fresh: Callable[[], Publisher]) -> None:
    publisher = fresh()
    path = publisher.folder / "target" / "metadata" / "2.device-camera.json"
    path.write_bytes(path.read_bytes().replace(b'"length":5', b'"length":6'))
    with pytest.raises(SystemFailure, match="expected the file that was published"):
        publisher.repository().publish("m", "camera", b"second")


def test_a_timestamp_that_somebody_damaged_is_put_back(fresh: Callable[[], Publisher], tmp_path: Path) -> None:
    publisher = fresh()
    (publisher.folder / "target" / TIMESTAMP).write_bytes(b"{}")
    publisher.repository().complete()
    assert Device.shipped(tmp_path / "device", publisher.store).manifest() == b"first"


def test_a_first_root_that_is_not_the_one_that_was_shipped_is_refused(fresh: Callable[[], Publisher]) -> None:
    publisher, stranger = fresh(), fresh()
    pinned = (stranger.folder / "target" / "metadata" / "1.root.json").read_bytes() + b" "
    repository = publisher.repository()
    repository.reader.pinned = pinned
    with pytest.raises(SystemFailure, match=r"1\.root\.json: expected a root that is signed"):
        repository.publish("m", "camera", b"second")
