"""Metadata of somebody who means harm: refused in one line, after which an honest repository works at once."""

import contextlib
import copy
import json
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.formats import encode_canonical
from tuf.api.metadata import MetaFile, TargetFile

from edge_runtime.errors import EdgewrightError
from edge_runtime.trust import TrustError, trusted_targets
from tests.edge_runtime.trust.devices import Device
from tests.edge_runtime.trust.repositories import NOW, Served, SignedRepository, days, role_of

FETCHED = ("timestamp", "2.snapshot", "1.targets", "2.device-gateway")
GATEWAY = role_of("gateway")
ODD: list[Any] = [
    None, True, False, -1, 0, 10**9, 10**30, "", "x", "\x1b[31m", "\u202e", "2026-01-01", "9999-12-31T23:59:59Z",
    [], {}, [[]], {"": ""}, {"version": 1}, {"sha256": "../../x"}, "../x", "a" * 5_000,
]  # fmt: skip
MUTATED = 80


DAMAGED: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "cut in half": lambda data: data[: len(data) // 2],
    "without its last byte": lambda data: data[:-1],
    "changed in one place": lambda data: re.sub(rb'"version":[12]', b'"version":7', data),
    "no JSON": lambda _: b"\x00\xff" * 100,
    "UTF-16": lambda data: data.decode().encode("utf-16"),
    "a list": lambda data: b"[" + data + b"]",
    "deep": lambda _: b"[" * 8_000 + b"]" * 8_000,
    "digits": lambda _: b'{"signed": ' + b"9" * 5_000 + b"}",
    "infinity": lambda data: re.sub(rb'"version":[12]', b'"version":Infinity', data),
    "of no keys": lambda data: json.dumps(json.loads(data) | {"signatures": []}).encode(),
}


def _refusal(device: Device, expected: str | None = None) -> str:
    """Return the one line with which a device refuses the repository."""
    with pytest.raises(TrustError, match=expected) as caught:
        device.manifest()
    text = str(caught.value)
    assert text.isprintable() and len(text) < 1_000
    return text


@pytest.mark.parametrize("damage", DAMAGED)
@pytest.mark.parametrize("name", FETCHED)
def test_damaged_metadata_is_refused_and_a_whole_copy_works(device: Device, name: str, damage: str) -> None:
    path = f"metadata/{name}.json"
    changed = DAMAGED[damage](device.server(path, 1 << 20))
    assert changed != device.server(path, 1 << 20)
    device.server.instead[path] = changed
    assert path in _refusal(device)
    assert device.server.asked[-1] == path
    del device.server.instead[path]
    assert device.manifest() == b"first"


@pytest.mark.parametrize("name", [*FETCHED, "2.root"])
def test_overlong_metadata_is_refused_after_a_bounded_number_of_bytes(device: Device, name: str) -> None:
    bounds: list[int] = []

    def endless(most_bytes: int) -> bytes:
        bounds.append(most_bytes)
        return b" " * (most_bytes + 1)

    device.server.instead[f"metadata/{name}.json"] = endless
    _refusal(device, "must not be longer than the device takes")
    assert len(bounds) == 1 and bounds[0] <= 1 << 21


def test_a_length_in_signed_metadata_does_not_raise_the_bound(repository: SignedRepository, device: Device) -> None:
    bounds: list[int] = []
    repository.snapshot.version += 1
    repository.snapshot.meta[f"{GATEWAY}.json"] = MetaFile(2, length=1 << 40)
    repository.write("snapshot")
    repository.timestamp.version += 1
    repository.write_timestamp()

    def noted(most_bytes: int) -> bytes:
        bounds.append(most_bytes)
        return b""

    device.server.instead[f"metadata/2.{GATEWAY}.json"] = noted
    _refusal(device)
    assert bounds == [1 << 21]


@pytest.mark.parametrize("role", ["root", "timestamp", "snapshot", "targets", GATEWAY])
@pytest.mark.parametrize("known", [True, False])
def test_each_expired_role_is_refused(repository: SignedRepository, device: Device, role: str, known: bool) -> None:
    for other in repository.roles:
        repository.life[other] = days(10 if other == role else 20)
    repository.root.version += 1
    repository.write("root")
    repository.renew("targets", GATEWAY)
    device.clock = NOW + days(10) - days(1 / 86_400)
    if known:
        assert device.manifest() == b"first"
    device.clock = NOW + days(10)
    assert role in _refusal(device, r"must not be expired at 2026-01-25T12:00:00Z, got: .*expired")
    device.clock = NOW + days(9)
    assert device.manifest() == b"first"


@pytest.mark.parametrize("role", ["snapshot", "targets", GATEWAY])
def test_roles_that_fall_behind_are_refused(repository: SignedRepository, device: Device, role: str) -> None:
    """Whoever has the keys of the timestamp and the snapshot can lead to older versions, and no further."""
    repository.renew("targets", GATEWAY)
    device.manifest()
    known = device.versions()
    repository.roles[role].version -= 1
    repository.snapshot.version += role != "snapshot"
    repository.timestamp.version += 1
    repository.write_online()
    _refusal(device, "never older than what this device has verified")
    assert {
        name: version for name, version in device.versions().items() if name != "timestamp"
    }.items() <= known.items()
    repository.roles[role].version += 1
    repository.renew()
    assert device.manifest() == b"first"


def test_a_timestamp_that_falls_behind_is_refused(repository: SignedRepository, device: Device, tmp_path: Path) -> None:
    old = shutil.copytree(repository.folder, tmp_path / "old")
    repository.publish(b"second")
    assert device.manifest() == b"second"
    honest, device.server = device.server, Served(old)
    _refusal(device, "never older than what this device has verified, got: New timestamp version 2 must be >= 3")
    device.server = honest
    assert device.manifest() == b"second"


def test_a_frozen_repository_is_refused_when_its_timestamp_expires(
    repository: SignedRepository, device: Device, tmp_path: Path
) -> None:
    frozen = Served(shutil.copytree(repository.folder, tmp_path / "frozen"))
    assert device.manifest() == b"first"
    repository.now = device.clock = NOW + days(4)
    repository.publish(b"second")
    honest, device.server = device.server, frozen
    _refusal(device, "timestamp.json is expired")
    device.server = honest
    assert device.manifest() == b"second"


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("3.snapshot", "2.snapshot"),
        ("3.device-gateway", "2.device-gateway"),
        ("3.device-gateway", "1.device-other"),
        ("timestamp", "3.snapshot"),
        ("3.snapshot", "timestamp"),
        ("2.root", "1.root"),
        ("2.root", "1.targets"),
    ],
)
@pytest.mark.parametrize("known", [True, False])
def test_metadata_in_the_place_of_other_metadata_is_refused(
    repository: SignedRepository, device: Device, asked: str, given: str, known: bool
) -> None:
    if known:
        assert device.manifest() == b"first"
    repository.publish(b"second")
    device.server.instead[f"metadata/{asked}.json"] = device.server(f"metadata/{given}.json", 1 << 20)
    _refusal(device)
    device.server.instead.clear()
    assert device.manifest() == b"second"


def test_a_key_of_one_profile_lists_nothing_for_another(repository: SignedRepository, device: Device) -> None:
    repository.list_in(role_of("other"), "n/gateway/manifest.json", b"forged")
    repository.list_in(role_of("other"), "m/gateway/manifest.json", b"forged")
    with pytest.raises(TrustError, match="must list 'n/gateway"):
        device.manifest(model="n")
    assert device.manifest() == b"first"


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets", GATEWAY])
@pytest.mark.parametrize("known", [True, False])
def test_a_revoked_key_signs_nothing(repository: SignedRepository, device: Device, role: str, known: bool) -> None:
    if known:
        assert device.manifest() == b"first"
    revoked = repository.replace_key(role)
    repository.write(role, [revoked])
    _refusal(device, "signed by enough keys")
    repository.write(role)
    assert device.manifest() == b"first"


def test_a_name_in_metadata_does_not_reach_a_terminal_as_it_is(tmp_path: Path) -> None:
    repository = SignedRepository(tmp_path / "repository", devices=["\x1b[31mred"])
    role = role_of("\x1b[31mred")
    device = Device(tmp_path / "device", repository)
    forged = repository.write(role, repository.keys["snapshot"])
    device.server.instead["metadata/1.device-%1B%5B31mred.json"] = forged
    with pytest.raises(TrustError, match="red was signed by 0/1 keys") as caught:
        trusted_targets(device.folder, device.shipped, device.server, ["m/\x1b[31mred/manifest.json"], now=NOW)
    assert str(caught.value).isprintable()


def test_targets_below_their_threshold_are_refused(repository: SignedRepository, device: Device) -> None:
    repository.renew("targets")
    repository.write("targets", repository.keys["targets"][:1])
    _refusal(device, "targets was signed by 1/2 keys")


@pytest.mark.parametrize("data", [b"", b"firs", b"f1rst", b"first and more"])
def test_a_target_of_another_length_or_hash_is_refused(device: Device, data: bytes) -> None:
    device.manifest()
    path = device.server.asked[-1]
    device.server.instead[path] = data
    assert path in _refusal(device)
    device.server.instead.clear()
    assert device.manifest() == b"first"


@pytest.mark.parametrize("hashes", [{"sha256": "../../../x"}, {"unknown": "00"}, {"sha256": "é\n\x1b[31m"}])
def test_hashes_that_are_none_are_refused(repository: SignedRepository, device: Device, hashes: dict[str, str]) -> None:
    path = "m/gateway/manifest.json"
    repository.targets(GATEWAY).targets[path] = TargetFile(5, hashes, path)
    repository.renew(GATEWAY)
    with pytest.raises(EdgewrightError) as caught:
        device.manifest()
    assert str(caught.value).isprintable()


def test_a_device_that_lost_its_state_begins_again_with_its_shipped_root(
    repository: SignedRepository, device: Device
) -> None:
    repository.replace_key("root")
    assert device.manifest() == b"first"
    versions = device.versions()
    shutil.rmtree(device.folder)
    assert device.manifest() == b"first"
    assert device.versions() == versions and versions["root"] == 2


@pytest.mark.parametrize("shipped", [b"", b"{}", b"[]", b"\x00", b'{"signed": {"_type": "root"}, "signatures": []}'])
def test_a_shipped_root_that_is_none_is_refused_before_anything_is_asked(device: Device, shipped: bytes) -> None:
    device.shipped = shipped
    _refusal(device, "shipped with must be TUF metadata")
    assert device.server.asked == []


def _places(value: Any) -> list[tuple[Any, Any]]:
    if not isinstance(value, dict | list):
        return []
    pairs = list(value.items() if isinstance(value, dict) else enumerate(value))
    return [(value, key) for key, _ in pairs] + [place for _, inner in pairs for place in _places(inner)]


def _mutated(signed: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    changed = copy.deepcopy(signed)
    for _ in range(chance.randint(1, 2)):
        container, key = chance.choice(_places(changed))
        if chance.random() < 0.2:
            del container[key]
        else:
            container[key] = copy.deepcopy(chance.choice(ODD))
        if not changed:
            break
    return changed


def test_odd_metadata_that_is_signed_well_is_taken_or_refused_and_nothing_else(
    repository: SignedRepository, device: Device, tmp_path: Path
) -> None:
    device.manifest()
    repository.publish(b"second")
    chance, refused = random.Random(3), 0
    for number in range(MUTATED):
        role = chance.choice(["timestamp", "snapshot", "targets", GATEWAY])
        (path, *_) = repository.files(role)
        signed = _mutated(json.loads(path.read_bytes())["signed"], chance)
        payload = (encode_canonical(signed) or "").encode()
        signatures = [each.sign(payload).to_dict() for each in repository.keys[role]]
        tried = device.copy_to(tmp_path / str(number))
        tried.server = Served(repository.folder)
        tried.server.instead[f"metadata/{path.name}"] = json.dumps(
            {"signed": signed, "signatures": signatures}
        ).encode()
        try:
            assert tried.manifest() in (b"first", b"second")
        except EdgewrightError as error:
            refused += 1
            assert str(error).isprintable()
        tried.server.instead.clear()
        with contextlib.suppress(EdgewrightError):  # such as a role whose version is now beyond what is published
            assert tried.manifest() == b"second"
        assert tried.versions()["root"] == 1
        shutil.rmtree(tried.folder)
    assert MUTATED * 0.5 < refused < MUTATED
