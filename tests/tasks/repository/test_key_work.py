"""Work on keys: begun, added, replaced and signed by several persons; devices follow, and a kill loses nothing."""

import shutil
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner

from tasks.errors import KeysError, SystemFailure
from tasks.repository import FolderObjects, ObjectStore, RootShape, SignedRepository
from tests.tasks.repository.publishers import (
    DEVICES,
    Device,
    FaultyStore,
    Killed,
    Publisher,
    key_of,
    killed_at_each_call,
    root_of,
    rotate,
)

ROLES = ("online", "camera", "targets", "root")


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

    def test_every_root_says_when_it_was_signed(self, publisher: Publisher) -> None:
        begun, later = datetime.now(UTC), datetime.now(UTC) + timedelta(hours=1)
        first = datetime.fromisoformat(root_of(publisher).unrecognized_fields["signed_at"])
        assert abs(first - begun) < timedelta(minutes=10)
        publisher.work(clock=lambda: later).renew("root", publisher.persons, None)
        renewed = root_of(publisher)
        assert renewed.version == 2
        assert datetime.fromisoformat(renewed.unrecognized_fields["signed_at"]) == later.replace(microsecond=0)

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
        from tasks.repository import key_files

        made: list[str] = []
        real = key_files.make_key

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
    before = set(root_of(publisher).keys) | {key_of(publisher, "device-camera")}
    said = rotate(publisher.work(), role, publisher)
    assert said[0] == f"Published: rotate {role}."
    assert old.manifest() == Device.shipped(tmp_path / "new", publisher.store).manifest() == b"first"
    after = set(root_of(publisher).keys) | {key_of(publisher, "device-camera")}
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
    publisher = fresh()
    seen: list[tuple[bytes | None, bytes | None]] = []
    old = Device.shipped(tmp_path / "old", publisher.store)

    def beside(_: str) -> None:
        new = Device.shipped(tmp_path / f"new-{len(seen)}", publisher.store)
        seen.append((old.manifest(), new.manifest()))

    rotate(publisher.work(FaultyStore(publisher.store, beside=beside)), role, publisher)
    assert len(seen) >= {"root": 1, "camera": 4}.get(role, 5)
    assert set(seen) == {(b"first", b"first")}


def test_persons_do_not_renew_what_a_machine_signs(fresh: Callable[[], Publisher]) -> None:
    publisher = fresh()
    with pytest.raises(KeysError, match="expected root or targets"):
        publisher.work().renew("snapshot", publisher.persons, None)
    with pytest.raises(KeysError, match="kiosk: expected one of root, targets, online, camera, gateway"):
        publisher.work().rotate("kiosk", publisher.persons, None, None)
    with pytest.raises(KeysError, match="expected a folder for the new keys of persons"):
        publisher.work().rotate("root", publisher.persons, None, None)


def test_a_root_that_would_make_devices_refuse_what_they_see_is_not_published(
    fresh: Callable[[], Publisher], monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher = fresh()
    with monkeypatch.context() as patch:
        patch.setattr(SignedRepository, "complete", lambda *_, **__: None)  # nobody signs with the new key
        with pytest.raises(SystemFailure, match="snapshot: expected that it is signed with a key of the new root 3"):
            rotate(publisher.work(), "online", publisher)
    assert root_of(publisher).version == 2
    rotate(publisher.work(), "online", publisher)
    assert root_of(publisher).version == 3


def test_what_a_worker_with_the_old_key_signs_at_the_last_moment_is_signed_again(
    fresh: Callable[[], Publisher], tmp_path: Path
) -> None:
    publisher = fresh()
    (tmp_path / "other").mkdir()
    shutil.copytree(publisher.folder / "keys", tmp_path / "other" / "keys")
    other = Publisher(tmp_path / "other", publisher.store)
    device = Device.shipped(tmp_path / "device", publisher.store)
    fired: list[bytes | None] = []

    def beside(name: str) -> None:
        if name == "metadata/3.root.json":
            other.repository().publish("n", "gateway", b"of the other")
            fired.append(device.manifest("n", "gateway"))

    rotate(publisher.work(FaultyStore(publisher.store, beside=beside)), "online", publisher)
    assert fired == [b"of the other"]
    assert [device.manifest(), device.manifest("n", "gateway")] == [b"first", b"of the other"]
    with pytest.raises(KeysError, match="snapshot: expected 1 of the keys"):
        other.repository().publish("n", "gateway", b"more")
