"""The metadata that a device holds, as `status` shows it."""

import os
from datetime import datetime
from urllib.parse import quote

import pytest

from edge_runtime.trust import RoleState, TrustState, trust_state
from tests.edge_runtime.trust.devices import Device
from tests.edge_runtime.trust.repositories import NOW, SignedRepository, days


def test_each_role_is_shown_with_its_version_and_its_end(repository: SignedRepository, device: Device) -> None:
    repository.replace_key("root")
    device.manifest()
    ends: dict[str, tuple[int, datetime]] = {
        "root": (2, NOW + days(365)),
        "timestamp": (3, NOW + days(3)),
        "snapshot": (3, NOW + days(14)),
        "targets": (1, NOW + days(180)),
        "device-gateway": (2, NOW + days(90)),
    }
    assert device.state() == TrustState({name: RoleState(*end) for name, end in ends.items()}, NOW)


def test_a_folder_without_metadata_has_no_roles_and_no_floor(device: Device) -> None:
    assert trust_state(device.folder) == TrustState({}, None)
    assert not device.folder.exists()


def test_damaged_files_are_left_out(device: Device) -> None:
    device.manifest()
    metadata = device.folder / "metadata"
    (metadata / "snapshot.json").write_bytes(b"")
    (metadata / "targets.json").unlink()
    os.mkfifo(metadata / "fifo.json")
    assert set(device.versions()) == {"root", "timestamp", "device-gateway"}


def test_without_a_root_no_floor_is_believed(device: Device) -> None:
    device.manifest()
    (device.folder / "metadata" / "root_history" / "1.root.json").write_bytes(b"")
    state = device.state()
    assert state.time_floor is None and set(state.roles) == {"timestamp", "snapshot", "targets", "device-gateway"}


@pytest.mark.parametrize("name", ["device-a b", "device-%", "device-é"])
def test_roles_have_their_own_names(repository: SignedRepository, device: Device, name: str) -> None:
    device.manifest()
    data = (device.folder / "metadata" / "device-gateway.json").read_bytes()
    (device.folder / "metadata" / f"{quote(name, safe='')}.json").write_bytes(data)
    assert device.versions()[name] == repository.targets("device-gateway").version
