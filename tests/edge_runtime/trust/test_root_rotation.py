"""Roots: a device follows every rotation since its shipped root, and stops where one is not signed by enough keys."""

from pathlib import Path

import pytest
from tuf.ngclient import UpdaterConfig

from edge_runtime.trust import TrustError, UpdateError, tuf_session, verification
from tests.edge_runtime.trust.devices import Device
from tests.edge_runtime.trust.repositories import SignedRepository


def _rotate(repository: SignedRepository, times: int) -> None:
    for _ in range(times):
        repository.replace_key("root")


def test_a_device_that_slept_through_rotations_of_all_keys_follows_them(
    repository: SignedRepository, device: Device
) -> None:
    device.manifest()
    _rotate(repository, 4)
    for role in ("timestamp", "snapshot", "targets", "targets", "device-gateway"):
        repository.replace_key(role)
    repository.publish(b"second")
    assert device.manifest() == b"second"
    assert device.versions()["root"] == 9
    device.server.asked.clear()
    assert device.manifest() == b"second"
    assert device.server.asked[:2] == ["metadata/10.root.json", "metadata/timestamp.json"]


@pytest.mark.parametrize("signing", [[0], [0, 1], [1, 2]])
def test_a_root_below_its_threshold_is_refused_and_those_before_it_count(
    repository: SignedRepository, device: Device, signing: list[int]
) -> None:
    """Of the new keys all three must sign, and two of the old: here one is missing on one side."""
    device.manifest()
    _rotate(repository, 1)
    repository.root.roles["root"].threshold = 3
    repository.root.version += 1
    keys = repository.keys["root"]
    repository.write("root", [keys[place] for place in signing])
    with pytest.raises(TrustError, match=r"root was signed by \d/\d keys.*metadata/3\.root\.json"):
        device.manifest()
    assert device.versions()["root"] == 2
    repository.write("root")
    assert device.manifest() == b"first"
    assert device.versions()["root"] == 3


def test_a_root_signed_by_new_keys_alone_is_refused(repository: SignedRepository, device: Device) -> None:
    thief = SignedRepository(repository.folder.with_name("thief"))
    thief.root.version = 2
    thief.write("root")
    device.server.instead["metadata/2.root.json"] = thief.files("root")[0].read_bytes()
    with pytest.raises(TrustError, match="root was signed by 0/2 keys"):
        device.manifest()
    assert device.versions() == {"root": 1}


def test_a_version_that_is_left_out_is_refused(repository: SignedRepository, device: Device) -> None:
    _rotate(repository, 2)
    device.server.instead["metadata/2.root.json"] = device.server("metadata/3.root.json", 1 << 20)
    with pytest.raises(TrustError, match=r"metadata/2\.root\.json"):
        device.manifest()


def test_rotations_have_a_bound(repository: SignedRepository, device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuf_session, "_LIMITS", UpdaterConfig(max_root_rotations=3))
    monkeypatch.setattr(verification, "MOST_ROTATIONS", 3)
    _rotate(repository, 2)
    assert device.manifest() == b"first"
    _rotate(repository, 1)
    with pytest.raises(TrustError, match=r"at most 2 versions newer than .* version 1, got version 4"):
        device.manifest()
    device.shipped = (repository.folder / "metadata" / "2.root.json").read_bytes()
    assert device.manifest() == b"first"


def _root_file(device: Device, version: int) -> Path:
    return device.folder / "metadata" / "root_history" / f"{version}.root.json"


def test_a_gap_in_the_known_roots_is_closed_and_never_a_way_back(repository: SignedRepository, device: Device) -> None:
    _rotate(repository, 3)
    assert device.manifest() == b"first"
    _root_file(device, 3).write_bytes(b"")
    device.server.hide("metadata/3.root.json")
    with pytest.raises(TrustError, match="expected version 4 or later of root, got 2"):
        device.manifest()
    device.server.instead["metadata/3.root.json"] = UpdateError("the line is cut")
    with pytest.raises(UpdateError, match="the line is cut"):
        device.manifest()
    assert _root_file(device, 4).exists()
    device.server.instead.clear()
    assert device.manifest() == b"first"
    assert _root_file(device, 3).read_bytes() == (repository.folder / "metadata" / "3.root.json").read_bytes()


def test_a_newer_shipped_root_takes_up_the_roots_that_are_known(repository: SignedRepository, device: Device) -> None:
    _rotate(repository, 3)
    device.manifest()
    device.shipped = (repository.folder / "metadata" / "3.root.json").read_bytes()
    device.server.asked.clear()
    assert device.manifest() == b"first"
    assert device.server.asked[0] == "metadata/5.root.json"


def test_a_device_that_moves_to_another_repository_leaves_the_old_roots(
    repository: SignedRepository, device: Device, tmp_path: Path
) -> None:
    _rotate(repository, 3)
    device.manifest()
    another = SignedRepository(tmp_path / "another")
    another.publish(b"of another")
    moved = Device(device.folder, another)
    for _ in range(2):
        assert moved.manifest() == b"of another"
    assert moved.versions()["root"] == 1
    assert [path.name for path in _root_file(device, 1).parent.iterdir()] == ["1.root.json"]
