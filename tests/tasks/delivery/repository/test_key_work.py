"""Work on keys: begun, added, replaced and signed by several persons; devices follow, and a kill loses nothing."""

import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner
from tuf.api.exceptions import RepositoryError, UnsignedMetadataError
from tuf.api.metadata import Metadata, Root, Snapshot, TargetFile, Targets, Timestamp

from tasks.delivery.repository import FolderObjects, KeyWork, ObjectStore, RootShape, utc_now
from tasks.delivery.repository.key_files import read_key
from tasks.errors import KeysError, SystemFailure
from tests.tasks.delivery.repository.publishers import (
    DEVICES,
    WORKER,
    Device,
    FaultyStore,
    Killed,
    Publisher,
    killed_at_each_call,
)

ROLES = ("online", "camera", "targets", "root")


def rotate(work: KeyWork, role: str, publisher: Publisher) -> list[str]:
    return work.rotate(role, publisher.persons, publisher.folder / "offline-2", None)


def key_of(publisher: Publisher, role: str) -> str:
    """Return the id of a role's one key."""
    state = publisher.repository().reader.state()
    delegator = state.targets.signed if role.startswith("device-") else state.root.signed
    return str(delegator.get_delegated_role(role).keyids[0])


def root_of(publisher: Publisher) -> Root:
    return publisher.repository().reader.root().signed


class TestBeginning:
    """The first root, and the keys of persons and of the worker."""

    def test_every_holder_has_a_folder_and_the_worker_has_the_rest(self, publisher: Publisher) -> None:
        persons = {path.name: sorted(key.name.rpartition("-")[0] for key in path.iterdir())
                   for path in publisher.offline.iterdir()}  # fmt: skip
        assert persons == {f"holder-{number}": ["root", "targets"] for number in (1, 2, 3)}
        worker = sorted(path.name.rpartition("-")[0] for path in (publisher.folder / "keys").glob("*.pem"))
        assert worker == ["device-camera", "device-gateway", "online"]
        for path in (*publisher.offline.rglob("*"), *(publisher.folder / "keys").glob("*.pem")):
            assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)

    def test_the_root_is_the_one_that_was_asked_for(self, publisher: Publisher) -> None:
        root = root_of(publisher)
        assert {role: (len(each.keyids), each.threshold) for role, each in root.roles.items()} == {
            "root": (3, 2), "targets": (3, 2), "snapshot": (1, 1), "timestamp": (1, 1),
        }  # fmt: skip
        assert root.consistent_snapshot
        pinned = (publisher.folder / "keys" / "root.json").read_bytes()
        assert pinned == publisher.store.read("metadata/1.root.json", 1 << 20)

    def test_a_device_may_sign_its_own_manifests_alone(self, publisher: Publisher) -> None:
        roles = publisher.repository().reader.state().targets.signed.delegations
        assert roles is not None and roles.roles is not None
        camera = roles.roles["device-camera"]
        assert camera.terminating and camera.paths == ["*/camera/manifest.json"]
        assert not camera.is_delegated_path("m/gateway/manifest.json")
        assert not camera.is_delegated_path("a/m/camera/manifest.json")

    @pytest.mark.parametrize(
        ("shape", "devices", "says"),
        [
            (RootShape(2, 3), (), "root: expected a threshold from 1 to the number of keys.*got 3 of 2"),
            (RootShape(3, 2, 1, 2), (), "targets: expected a threshold"),
            (RootShape(0, 0), (), "got 0 of 0"),
            (RootShape(), ("Camera",), "expected the name of a device profile"),
            (RootShape(), ("a/b",), "expected the name of a device profile"),
        ],
    )
    def test_what_cannot_be_is_told_before_anything_is_made(
        self, tmp_path: Path, shape: RootShape, devices: tuple[str, ...], says: str
    ) -> None:
        publisher = Publisher(tmp_path, FolderObjects(tmp_path / "target"))
        with pytest.raises(KeysError, match=says):
            publisher.work().begin(publisher.offline, shape, devices)
        assert list(tmp_path.iterdir()) == []

    def test_persons_keys_are_not_put_beside_the_workers(self, tmp_path: Path) -> None:
        publisher = Publisher(tmp_path, FolderObjects(tmp_path / "target"))
        with pytest.raises(KeysError, match="expected another folder for the keys of persons"):
            publisher.work().begin(tmp_path / "keys", RootShape(), ())
        assert list(tmp_path.iterdir()) == []

    def test_a_repository_that_is_whole_is_not_begun_again(self, fresh: Callable[[], Publisher]) -> None:
        publisher = fresh()
        before = sorted(publisher.folder.rglob("*"))
        with pytest.raises(KeysError, match="got one that is whole already"):
            publisher.begin()
        assert sorted(publisher.folder.rglob("*")) == before

    def test_a_kill_at_any_call_leaves_what_the_same_command_completes(self, tmp_path: Path) -> None:
        numbers = iter(range(1000))

        def empty() -> Publisher:
            folder = tmp_path / str(next(numbers))
            return Publisher(folder, FolderObjects(folder / "target"))

        def begin(publisher: Publisher, store: ObjectStore) -> None:
            publisher.begin(DEVICES, store)

        for publisher, call in killed_at_each_call(empty, begin):
            if publisher.store.read("metadata/timestamp.json", 1 << 20) is None:
                publisher.begin()
            assert len(list(publisher.folder.rglob("*.pem"))) == 9, call  # no key was made twice
            publisher.repository().publish("m", "camera", b"one")
            assert Device.shipped(publisher.folder / "device", publisher.store).manifest() == b"one"

    def test_a_kill_between_two_keys_leaves_what_the_same_command_completes(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from tasks.delivery.repository import key_files

        real, made = key_files.make_key, []

        def killed(folder: Path, role: str, passphrase: bytes) -> CryptoSigner:
            if len(made) == 4:
                raise Killed
            made.append(role)
            return real(folder, role, passphrase)

        publisher = Publisher(tmp_path, FolderObjects(tmp_path / "target"))
        with monkeypatch.context() as patch:
            patch.setattr(key_files, "make_key", killed)
            with pytest.raises(Killed):
                publisher.begin()
        left = set(tmp_path.rglob("*.pem"))
        assert len(left) == 4
        publisher.begin()
        assert left < set(tmp_path.rglob("*.pem")) and len(list(tmp_path.rglob("*.pem"))) == 9


class TestDevices:
    """Profiles that are added, and their keys."""

    def test_a_further_device_is_added_by_persons(self, publisher: Publisher, tmp_path: Path) -> None:
        device = Device.shipped(tmp_path / "device", publisher.store)
        assert device.manifest() is None
        assert publisher.work().add("kiosk", publisher.persons, None) == ["Published: add kiosk."]
        publisher.repository().publish("m", "kiosk", b"one")
        assert device.manifest("m", "kiosk") == b"one"

    @pytest.mark.parametrize(
        ("device", "persons", "says"),
        [
            ("camera", 2, "expected a profile without a key"),
            ("Kiosk", 2, "expected the name of a device profile"),
            ("kiosk", 1, "targets: expected 2 of the keys .* on this machine, got 1"),
        ],
    )
    def test_what_cannot_be_added_changes_nothing(
        self, fresh: Callable[[], Publisher], device: str, persons: int, says: str
    ) -> None:
        publisher = fresh()
        before = sorted(publisher.folder.rglob("*"))
        with pytest.raises(KeysError, match=says):
            publisher.work().add(device, publisher.persons[:persons], None)
        assert sorted(publisher.folder.rglob("*")) == before


@pytest.mark.parametrize("role", ROLES)
def test_devices_follow_new_keys_and_keep_what_was_published(
    fresh: Callable[[], Publisher], tmp_path: Path, role: str
) -> None:
    publisher = fresh()
    old = Device.shipped(tmp_path / "old", publisher.store)
    assert old.manifest() == b"first"
    before = {key for key in root_of(publisher).keys} | {key_of(publisher, "device-camera")}
    said = rotate(publisher.work(), role, publisher)
    assert said[0] == f"Published: rotate {role}."
    assert old.manifest() == Device.shipped(tmp_path / "new", publisher.store).manifest() == b"first"
    after = {key for key in root_of(publisher).keys} | {key_of(publisher, "device-camera")}
    assert len(before - after) == {"root": 3, "targets": 3}.get(role, 1)
    publisher.repository().publish("m", "camera", b"second")
    assert old.manifest() == b"second"


@pytest.mark.parametrize("role", ROLES)
def test_a_kill_in_the_middle_leaves_what_devices_verify_and_the_same_command_completes(
    fresh: Callable[[], Publisher], role: str
) -> None:
    def work(publisher: Publisher, store: ObjectStore) -> None:
        rotate(publisher.work(store), role, publisher)

    for publisher, call in killed_at_each_call(fresh, work):
        old = Device.shipped(publisher.folder / "old", publisher.store)
        assert old.manifest() == b"first", call
        publisher.repository().resign()
        assert old.manifest() == b"first", call
        begun = (publisher.folder / "keys" / "change-in-progress.json").exists()
        assert begun, call  # the fault was in the publication
        before = len(root_of(publisher).roles)
        rotate(publisher.work(), role, publisher)
        new = Device.shipped(publisher.folder / "new", publisher.store)
        assert old.manifest() == new.manifest() == b"first", call
        assert len(root_of(publisher).roles) == before
        named = {"online": "timestamp", "camera": "device-camera"}.get(role, role)
        delegator = publisher.repository().reader.state()
        keys = (delegator.targets if role == "camera" else delegator.root).signed.get_delegated_role(named).keyids
        assert len(keys) == (1 if role in ("online", "camera") else 3), call
        publisher.repository().publish("m", "camera", b"second")
        assert old.manifest() == b"second", call


@pytest.mark.parametrize("role", ROLES)
def test_devices_verify_at_every_moment_of_a_rotation(
    fresh: Callable[[], Publisher], tmp_path: Path, role: str
) -> None:
    publisher, seen = fresh(), []
    old = Device.shipped(tmp_path / "old", publisher.store)

    def beside(_: str) -> None:
        new = Device.shipped(tmp_path / f"new-{len(seen)}", publisher.store)
        seen.append((old.manifest(), new.manifest()))

    rotate(publisher.work(FaultyStore(publisher.store, beside=beside)), role, publisher)
    assert len(seen) >= {"root": 1, "camera": 4}.get(role, 5)
    assert set(seen) == {(b"first", b"first")}


class Thief:
    """Somebody who has the worker's keys as they were, and can write into the store."""

    def __init__(self, publisher: Publisher) -> None:
        self.store = publisher.store
        state = publisher.repository().reader.state()
        assert state.roles["device-camera"].best and state.snapshot.best and state.timestamp.best
        self.role = state.roles["device-camera"].best.signed
        keys = {path.name.rpartition("-")[0]: read_key(path, WORKER.encode())
                for path in (publisher.folder / "keys").glob("*.pem")}  # fmt: skip
        self.device, self.online = keys["device-camera"], keys["online"]

    def offers(self, content: bytes, publisher: Publisher, *, online: bool = True) -> None:
        """Show a manifest of the thief's, signed with the stolen keys; with `online` false, by the worker's own."""
        state = publisher.repository().reader.state()
        entry = TargetFile.from_data("m/camera/manifest.json", content, ["sha256"])
        self.store.create(f"targets/m/camera/{entry.hashes['sha256']}.manifest.json", content)
        version = state.roles["device-camera"].last + 1
        role = Targets(version, expires=self.role.expires, targets={entry.path: entry})
        data = self._create("device-camera", role, self.device)
        assert state.snapshot.best and state.timestamp.best
        meta = dict(state.meta)
        meta["device-camera.json"] = type(meta["targets.json"]).from_data(version, data, ["sha256"])
        signer = self.online if online else self._worker_online(publisher)
        snapshot = Snapshot(state.snapshot.last + 1, expires=state.snapshot.best.signed.expires, meta=meta)
        named = type(meta["targets.json"]).from_data(
            snapshot.version, self._create("snapshot", snapshot, signer), ["sha256"]
        )
        timestamp = Timestamp(
            state.timestamp.last + 1, expires=state.timestamp.best.signed.expires, snapshot_meta=named
        )
        shown = self._create("timestamp", timestamp, signer)
        assert self.store.replace("metadata/timestamp.json", shown, over=state.shown)

    def _create(self, role: str, content: Targets | Snapshot | Timestamp, signer: CryptoSigner) -> bytes:
        metadata = Metadata(content)
        metadata.sign(signer)
        data = metadata.to_bytes()
        assert self.store.create(f"metadata/{content.version}.{role}.json", data)
        return data

    def _worker_online(self, publisher: Publisher) -> CryptoSigner:
        name = f"online-{key_of(publisher, 'timestamp')[:12]}.pem"
        return read_key(publisher.folder / "keys" / name, WORKER.encode())


class TestRevoking:
    """Keys that were stolen: what they sign afterwards is refused by python-tuf's own client."""

    def test_a_thief_with_every_key_of_the_worker_is_believed_before(
        self, fresh: Callable[[], Publisher], tmp_path: Path
    ) -> None:
        publisher = fresh()
        Thief(publisher).offers(b"stolen", publisher)
        assert Device.shipped(tmp_path / "device", publisher.store).manifest() == b"stolen"

    @pytest.mark.parametrize("online", [True, False])
    def test_what_a_revoked_device_key_signs_is_refused(
        self, fresh: Callable[[], Publisher], tmp_path: Path, online: bool
    ) -> None:
        publisher = fresh()
        thief, device = Thief(publisher), Device.shipped(tmp_path / "device", publisher.store)
        assert device.manifest() == b"first"
        key = key_of(publisher, "device-camera")
        said = publisher.work().revoke(key[:12], publisher.persons, None, None)
        assert said[0] == f"Published: revoke {key[:12]}." and f"device-camera-{key[:12]}.pem" in said[-1]
        assert device.manifest() == b"first"
        thief.offers(b"stolen", publisher, online=online)
        with pytest.raises(UnsignedMetadataError):
            device.manifest()
        publisher.repository().publish("m", "camera", b"second")
        assert device.manifest() == b"second"

    def test_what_a_revoked_online_key_signs_is_refused(self, fresh: Callable[[], Publisher], tmp_path: Path) -> None:
        publisher = fresh()
        thief, device = Thief(publisher), Device.shipped(tmp_path / "device", publisher.store)
        publisher.work().revoke(key_of(publisher, "timestamp"), publisher.persons, None, None)
        assert device.manifest() == b"first"
        thief.offers(b"stolen", publisher)
        with pytest.raises(RepositoryError):
            device.manifest()
        publisher.repository().publish("m", "camera", b"second")
        assert device.manifest() == b"second"

    def test_a_revoked_key_may_leave_nothing_behind(self, fresh: Callable[[], Publisher], tmp_path: Path) -> None:
        publisher = fresh()
        Thief(publisher).offers(b"stolen", publisher)
        key = key_of(publisher, "device-camera")
        publisher.work().revoke(key, publisher.persons, None, None, empty=True)
        assert Device.shipped(tmp_path / "device", publisher.store).manifest() is None
        with pytest.raises(KeysError, match="expected --empty with a key of a device profile"):
            publisher.work().revoke(key_of(publisher, "timestamp"), publisher.persons, None, None, empty=True)

    def test_one_persons_key_is_replaced_and_the_others_stay(
        self, fresh: Callable[[], Publisher], tmp_path: Path
    ) -> None:
        publisher = fresh()
        device = Device.shipped(tmp_path / "device", publisher.store)
        assert device.manifest() == b"first"
        before = root_of(publisher).roles["root"].keyids
        (lost,) = (path for path in (publisher.offline / "holder-2").glob("root-*.pem"))
        publisher.work().revoke(lost.stem[-12:], publisher.persons, tmp_path / "new", None)
        after = root_of(publisher).roles["root"].keyids
        assert len(after) == 3 and len(set(before) & set(after)) == 2
        assert not any(keyid.startswith(lost.stem[-12:]) for keyid in after)
        publisher.work().renew("root", [*publisher.persons[:1], tmp_path / "new"], None)
        assert device.manifest() == b"first" and root_of(publisher).version == 3

    @pytest.mark.parametrize("shown", ["abc", "0123456789ab", ""])
    def test_a_key_that_nobody_knows_is_told(self, fresh: Callable[[], Publisher], shown: str) -> None:
        publisher = fresh()
        with pytest.raises(KeysError, match="expected the id of one key that counts"):
            publisher.work().revoke(shown, publisher.persons, None, None)

    def test_a_publisher_with_the_old_key_is_told_and_its_work_is_signed_by_the_new_one(
        self, fresh: Callable[[], Publisher], tmp_path: Path
    ) -> None:
        publisher = fresh()
        (old,) = (publisher.folder / "keys").glob("device-camera-*.pem")
        publisher.work().revoke(key_of(publisher, "device-camera"), publisher.persons, None, None)
        (new,) = set((publisher.folder / "keys").glob("device-camera-*.pem")) - {old}
        kept = new.read_bytes()
        new.unlink()
        with pytest.raises(KeysError, match="device-camera: expected 1 of the keys"):
            publisher.repository().publish("m", "camera", b"second")
        new.touch(mode=0o600)
        new.write_bytes(kept)
        publisher.repository().publish("m", "camera", b"second")
        assert Device.shipped(tmp_path / "device", publisher.store).manifest() == b"second"


class TestSeveralPersons:
    """Persons whose keys are on machines of their own: a change is carried from one to the next."""

    def alone(self, publisher: Publisher, number: int) -> list[Path]:
        return [publisher.offline / f"holder-{number}"]

    @pytest.mark.parametrize("role", ROLES)
    def test_each_adds_a_signature_and_then_it_is_published(
        self, fresh: Callable[[], Publisher], tmp_path: Path, role: str
    ) -> None:
        publisher, change = fresh(), tmp_path / "change.json"
        device = Device.shipped(tmp_path / "device", publisher.store)
        assert device.manifest() == b"first"
        before = publisher.store.names("metadata")
        said = publisher.work().rotate(role, self.alone(publisher, 1), tmp_path / "new", change)
        assert any("needs 1 more of the" in each for each in said) and f"edgewright keys sign {change}" in " ".join(
            said
        )
        with pytest.raises(KeysError, match="expected every signature, got fewer"):
            publisher.work().publish(change)
        assert publisher.store.names("metadata") == before
        shown = publisher.work().shown(change)
        assert shown[0] == f"rotate {role}" and {"+", "-"} <= set(" ".join(shown))
        again = publisher.work().sign(change, self.alone(publisher, 1))
        assert any("needs 1 more" in each for each in again)  # one person's keys count once
        assert "Every signature is there." in publisher.work().sign(change, self.alone(publisher, 2))[-1]
        assert publisher.work().publish(change) == publisher.work().publish(change) == [f"Published: rotate {role}."]
        assert device.manifest() == b"first"
        assert "PRIVATE" not in change.read_text()

    def test_what_was_published_meanwhile_stays(self, fresh: Callable[[], Publisher], tmp_path: Path) -> None:
        publisher, change = fresh(), tmp_path / "change.json"
        publisher.work().rotate("camera", self.alone(publisher, 1), None, change)
        publisher.repository().publish("m", "camera", b"second")
        publisher.work().sign(change, self.alone(publisher, 3))
        publisher.work().publish(change)
        assert Device.shipped(tmp_path / "device", publisher.store).manifest() == b"second"

    def test_of_two_changes_the_second_is_to_be_made_again(
        self, fresh: Callable[[], Publisher], tmp_path: Path
    ) -> None:
        publisher, change = fresh(), tmp_path / "change.json"
        publisher.work().renew("root", self.alone(publisher, 1), change)
        publisher.work().sign(change, self.alone(publisher, 2))
        publisher.work().renew("root", publisher.persons, None)
        with pytest.raises(KeysError, match="make the change again"):
            publisher.work().publish(change)

    def test_a_change_that_somebody_altered_lacks_signatures(
        self, fresh: Callable[[], Publisher], tmp_path: Path
    ) -> None:
        publisher, change = fresh(), tmp_path / "change.json"
        publisher.work().renew("root", self.alone(publisher, 1), change)
        publisher.work().sign(change, self.alone(publisher, 2))
        content = json.loads(change.read_text())
        content["documents"][0]["signed"]["roles"]["root"]["threshold"] = 1
        change.write_text(json.dumps(content))
        with pytest.raises(KeysError, match="needs 2 more of the root keys that count now"):
            publisher.work().publish(change)

    @pytest.mark.parametrize("text", ["", "{}", "[]", '{"form": "another"}', '{"form": "edgewright key change 1"}'])
    def test_another_file_is_no_change(self, fresh: Callable[[], Publisher], tmp_path: Path, text: str) -> None:
        (tmp_path / "change.json").write_text(text)
        with pytest.raises(KeysError, match="expected a change that edgewright keys wrote"):
            fresh().work().publish(tmp_path / "change.json")


def test_a_change_that_another_one_overtook_is_given_up_and_kept(fresh: Callable[[], Publisher]) -> None:
    publisher = fresh()
    keys = publisher.folder / "keys"
    stopped = FaultyStore(publisher.store, beside=lambda _: (_ for _ in ()).throw(Killed))
    with pytest.raises(Killed):
        publisher.work(stopped).renew("root", publisher.persons, None)
    begun = (keys / "change-in-progress.json").read_bytes()
    (keys / "change-in-progress.json").unlink()
    publisher.work().rotate("root", publisher.persons, publisher.folder / "offline-2", None)
    (keys / "change-in-progress.json").write_bytes(begun)
    with pytest.raises(KeysError, match="It is given up and kept as"):
        publisher.work().renew("root", publisher.persons, None)
    assert not (keys / "change-in-progress.json").exists()
    publisher.work().renew("root", [publisher.folder / "offline-2"], None)
    assert root_of(publisher).version == 3


def test_a_begun_change_is_completed_before_another(fresh: Callable[[], Publisher]) -> None:
    publisher = fresh()
    stopped = FaultyStore(publisher.store, beside=lambda _: (_ for _ in ()).throw(Killed))
    with pytest.raises(Killed):
        publisher.work(stopped).renew("root", publisher.persons, None)
    publisher.work().renew("targets", publisher.persons, None)
    assert root_of(publisher).version == 2
    assert publisher.repository().reader.state().targets.version == 2


def test_persons_do_not_renew_what_a_machine_signs(fresh: Callable[[], Publisher]) -> None:
    publisher = fresh()
    with pytest.raises(KeysError, match="expected root or targets"):
        publisher.work().renew("snapshot", publisher.persons, None)
    with pytest.raises(KeysError, match="kiosk: expected one of root, targets, online, camera, gateway"):
        publisher.work().rotate("kiosk", publisher.persons, None, None)
    with pytest.raises(KeysError, match="expected a folder for the new keys of persons"):
        publisher.work().rotate("root", publisher.persons, None, None)


def test_a_root_that_would_make_devices_refuse_what_they_see_is_not_published(
    fresh: Callable[[], Publisher], tmp_path: Path
) -> None:
    """Another worker, which has the old online key still, signs between the two roots of a rotation."""
    publisher, beside = fresh(), fresh()
    old = Publisher(beside.folder, publisher.store)
    fired = []

    def again(name: str) -> None:
        if name == "metadata/3.root.json":
            fired.append(name)

    faulty = FaultyStore(publisher.store, beside=again)
    rotate(publisher.work(faulty), "online", publisher)
    assert fired
    with pytest.raises((KeysError, SystemFailure)):
        old.repository().publish("m", "camera", b"second")
    assert Device.shipped(tmp_path / "device", publisher.store).manifest() == b"first"


def test_time_is_told_in_utc() -> None:
    assert utc_now().tzinfo is not None
