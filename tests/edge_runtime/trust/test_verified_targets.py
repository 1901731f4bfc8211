"""Verified bytes of manifests from an honest repository, and what asking for them costs."""

import hashlib
from pathlib import Path

import pytest

from edge_runtime.trust import NotThere, TrustError, UpdateError, folder_fetch, trusted_manifest, trusted_targets
from tests.edge_runtime.trust.devices import Device
from tests.edge_runtime.trust.repositories import NOW, Served, SignedRepository, role_of


def test_a_manifest_comes_with_its_digest_and_its_file(repository: SignedRepository, tmp_path: Path) -> None:
    digest = repository.publish(b"second")
    target = trusted_manifest(
        tmp_path / "device", repository.shipped, folder_fetch(repository.folder), "m", "gateway", now=NOW
    )
    assert (target.data, target.sha256, target.path) == (b"second", digest, "m/gateway/manifest.json")
    assert target.file == f"targets/m/gateway/{digest}.manifest.json"
    assert (repository.folder / target.file).read_bytes() == b"second"
    assert digest == hashlib.sha256(b"second").hexdigest()


def test_each_device_and_model_has_a_manifest_of_its_own(repository: SignedRepository, device: Device) -> None:
    repository.publish(b"of other", device="other")
    repository.publish(b"of n", model="n")
    assert device.manifest() == b"first"
    assert device.manifest("other") == b"of other"
    assert device.manifest(model="n") == b"of n"


def test_a_newer_manifest_is_found_with_what_changed_alone(repository: SignedRepository, device: Device) -> None:
    device.manifest()
    device.server.asked.clear()
    digest = repository.publish(b"second")
    assert device.manifest() == b"second"
    assert device.server.asked == [
        "metadata/2.root.json",
        "metadata/timestamp.json",
        "metadata/3.snapshot.json",
        "metadata/3.device-gateway.json",
        f"targets/m/gateway/{digest}.manifest.json",
    ]


def test_nothing_new_takes_two_requests(repository: SignedRepository, device: Device) -> None:
    device.manifest()
    device.server.asked.clear()
    kept = folder_fetch(repository.folder)
    target = trusted_manifest(device.folder, device.shipped, device.server, "m", "gateway", kept=kept, now=NOW)
    assert target.data == b"first"
    assert device.server.asked == ["metadata/2.root.json", "metadata/timestamp.json"]


@pytest.mark.parametrize("damage", [b"", b"damag", b"longer than it was", None])
def test_a_kept_target_that_is_damaged_is_fetched_again(
    repository: SignedRepository, device: Device, damage: bytes | None
) -> None:
    kept = Served(repository.folder)
    file = f"targets/m/gateway/{hashlib.sha256(b'first').hexdigest()}.manifest.json"
    if damage is None:
        kept.hide(file)
    else:
        kept.instead[file] = damage
    target = trusted_manifest(device.folder, device.shipped, device.server, "m", "gateway", kept=kept, now=NOW)
    assert (target.data, kept.asked, device.server.asked[-1]) == (b"first", [file], file)


def test_a_path_that_is_not_listed_is_refused_and_the_metadata_is_kept(device: Device) -> None:
    with pytest.raises(TrustError, match=r"must list 'n/gateway/manifest\.json'"):
        device.manifest(model="n")
    assert device.versions() == {"root": 1, "timestamp": 2, "snapshot": 2, "targets": 1, "device-gateway": 2}
    assert device.state().time_floor == NOW


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../m", "m\n", "m\0", "é", "-m", "x" * 129, "*"])
def test_names_that_are_no_part_of_a_path_are_refused_before_anything_is_asked(device: Device, name: str) -> None:
    for model, profile in ((name, "gateway"), ("m", name)):
        with pytest.raises(TrustError, match="must be named by letters"):
            device.manifest(profile, model)
    assert device.server.asked == [] and not device.folder.exists()


def test_several_targets_take_one_refresh(repository: SignedRepository, device: Device) -> None:
    repository.publish(b"of other", device="other")
    paths = ["m/gateway/manifest.json", "m/other/manifest.json"]
    found = trusted_targets(device.folder, device.shipped, device.server, paths, now=NOW)
    assert [target.data for target in found] == [b"first", b"of other"]
    assert device.server.asked.count("metadata/timestamp.json") == 1


def test_a_target_in_a_role_without_hashes_in_names_is_read_by_its_plain_name(
    repository: SignedRepository, device: Device
) -> None:
    repository.root.consistent_snapshot = False
    repository.replace_key("timestamp")
    for role in ("snapshot", "targets", role_of("gateway")):
        (repository.folder / "metadata" / f"{role}.json").write_bytes(repository.files(role)[0].read_bytes())
    (repository.folder / "targets/m/gateway/manifest.json").write_bytes(b"first")
    assert device.manifest() == b"first"
    assert device.server.asked[-1] == "targets/m/gateway/manifest.json"


def test_a_target_longer_than_the_caller_takes_is_refused_before_it_is_fetched(device: Device) -> None:
    path = "m/gateway/manifest.json"
    with pytest.raises(TrustError, match="may have 4 bytes, got 5"):
        trusted_targets(device.folder, device.shipped, device.server, [path], now=NOW, most_bytes=4)
    assert not [asked for asked in device.server.asked if asked.startswith("targets/")]


def test_errors_of_a_fetch_pass_through(device: Device) -> None:
    device.server.instead["metadata/timestamp.json"] = UpdateError("the line is cut")
    with pytest.raises(UpdateError, match="the line is cut"):
        device.manifest()
    device.server.instead["metadata/timestamp.json"] = ConnectionResetError("reset by peer")
    with pytest.raises(UpdateError, match=r"metadata/timestamp\.json' of the repository was not fetched: reset"):
        device.manifest()
    del device.server.instead["metadata/timestamp.json"]
    assert device.manifest() == b"first"


@pytest.mark.parametrize("name", ["timestamp", "2.snapshot", "2.device-gateway"])
def test_a_file_that_is_not_there_is_said_so(device: Device, name: str) -> None:
    device.server.hide(f"metadata/{name}.json")
    with pytest.raises(NotThere, match=f"metadata/{name}.json"):
        device.manifest()
