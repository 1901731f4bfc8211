"""Keys that were stolen or lost: what they sign after they were revoked is refused by python-tuf's own client."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner
from tuf.api.exceptions import DownloadHTTPError, RepositoryError, UnsignedMetadataError
from tuf.api.metadata import Metadata, MetaFile, Snapshot, TargetFile, Targets, Timestamp

from tasks.errors import KeysError, SystemFailure
from tasks.repository import ExpiryPeriods, ObjectStore, expiries, utc_now
from tasks.repository.key_files import read_key
from tests.tasks.repository.publishers import WORKER, Device, Publisher, key_of, killed_at_each_call, root_of


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

    def spoils(self) -> None:
        """Show a snapshot that names a file which is nowhere, under numbers far ahead."""
        roles = ("targets", "device-camera", "device-gateway")
        named = {f"{role}.json": MetaFile(10_000) for role in roles}
        snapshot = Snapshot(5_000, expires=self.role.expires, meta=named)
        meta = MetaFile.from_data(5_000, self._create("snapshot", snapshot, self.online), ["sha256"])
        shown = self._create("timestamp", Timestamp(5_000, expires=self.role.expires, snapshot_meta=meta), self.online)
        assert self.store.replace(
            "metadata/timestamp.json", shown, over=self.store.read("metadata/timestamp.json", 9999)
        )

    def _create(self, role: str, content: Targets | Snapshot | Timestamp, signer: CryptoSigner) -> bytes:
        metadata: Metadata[Any] = Metadata(content)
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

    def test_the_other_profiles_go_on_where_the_new_key_of_one_is_elsewhere(
        self, fresh: Callable[[], Publisher], tmp_path: Path
    ) -> None:
        publisher = fresh()
        thief, gateway = Thief(publisher), Device.shipped(tmp_path / "device", publisher.store)
        publisher.work().revoke(key_of(publisher, "device-camera"), publisher.persons, None, None)
        thief.offers(b"stolen", publisher)
        assert gateway.manifest("m", "gateway") is None
        (publisher.folder / "keys" / f"device-camera-{key_of(publisher, 'device-camera')[:12]}.pem").unlink()
        publisher.repository().publish("m", "gateway", b"second")
        assert gateway.manifest("m", "gateway") == b"second"
        with pytest.raises(UnsignedMetadataError):
            gateway.manifest()
        state = publisher.repository().reader.state()
        (camera,) = (each for each in expiries(state, ExpiryPeriods(), utc_now()) if each.role == "device-camera")
        assert "its key has signed nothing yet" in camera.needs

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

    def test_what_a_thief_has_spoilt_is_made_anew(self, fresh: Callable[[], Publisher], tmp_path: Path) -> None:
        publisher = fresh()
        device = Device.shipped(tmp_path / "device", publisher.store)
        assert device.manifest() == b"first"
        key = key_of(publisher, "timestamp")
        Thief(publisher).spoils()
        with pytest.raises(DownloadHTTPError):
            device.manifest()
        with pytest.raises(SystemFailure, match=r"10000\.targets\.json: expected the file that was published"):
            publisher.work().revoke(key, publisher.persons, None, None)
        publisher.work().revoke(key, publisher.persons, None, None, rebuild=True)
        assert device.manifest() == Device.shipped(tmp_path / "new", publisher.store).manifest() == b"first"
        publisher.repository().publish("m", "camera", b"second")
        assert device.manifest() == b"second"
        with pytest.raises(KeysError, match="expected --rebuild with the online key"):
            publisher.work().revoke(key_of(publisher, "device-camera"), publisher.persons, None, None, rebuild=True)

    def test_a_kill_while_it_is_made_anew_leaves_what_the_same_command_completes(
        self, fresh: Callable[[], Publisher]
    ) -> None:
        keys: list[str] = []

        def work(publisher: Publisher, store: ObjectStore) -> None:
            keys[:] = [key_of(publisher, "timestamp")]
            Thief(publisher).spoils()
            publisher.work(store).revoke(keys[0], publisher.persons, None, None, rebuild=True)

        for publisher, call in killed_at_each_call(fresh, work):
            publisher.work().revoke(keys[0], publisher.persons, None, None, rebuild=True)
            assert Device.shipped(publisher.folder / "device", publisher.store).manifest() == b"first", call

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
