"""The key of a device: made once, kept private, and known by its public half."""

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.reports import DEVICE_KEY, MOST_KEY_BYTES, DeviceKey, PublicDeviceKey, ReportError
from tests.edge_runtime.reports.made_reports import made_key


def test_a_key_is_made_once_and_read_again(tmp_path: Path) -> None:
    assert DeviceKey.read(tmp_path, "gateway") is None
    made = made_key(tmp_path)
    read = DeviceKey.read(tmp_path, "gateway")
    assert read is not None and read.public == made.public
    with pytest.raises(FileExistsError):
        DeviceKey.make(tmp_path, "gateway")
    assert DeviceKey.read(tmp_path, "gateway").public == made.public  # type: ignore[union-attr]
    assert [path.name for path in tmp_path.iterdir()] == [DEVICE_KEY]


def test_only_its_owner_may_read_a_key(tmp_path: Path) -> None:
    made_key(tmp_path)
    assert stat.S_IMODE((tmp_path / DEVICE_KEY).stat().st_mode) == 0o600


def test_the_public_half_goes_from_hand_to_hand(tmp_path: Path) -> None:
    public = made_key(tmp_path).public
    assert PublicDeviceKey.from_bytes(public.to_bytes()) == public
    assert public.profile == "gateway" and "PRIVATE" not in public.to_bytes().decode()
    groups = public.fingerprint.split(" ")
    assert "".join(groups) == public.device and {len(group) for group in groups} == {4}


def _other_key(document: dict[str, Any]) -> None:
    document["key"]["keyval"]["public"] = "0" * 64


def _other_type(document: dict[str, Any]) -> None:
    document["key"]["keytype"] = "rsa"


def _more(document: dict[str, Any]) -> None:
    document["key"]["x"] = 1


def _path(document: dict[str, Any]) -> None:
    document["profile"] = "../x"


@pytest.mark.parametrize("change", [_other_key, _other_type, _more, _path])
def test_a_document_that_was_changed_is_refused(tmp_path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    document = json.loads(made_key(tmp_path).public.to_bytes())
    change(document)
    with pytest.raises(ReportError, match="device"):
        PublicDeviceKey.from_bytes(json.dumps(document).encode())


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"x" * (MOST_KEY_BYTES + 1), b"[" * 4000])
def test_what_is_no_document_is_refused(data: bytes) -> None:
    with pytest.raises(ReportError, match="device"):
        PublicDeviceKey.from_bytes(data)


@pytest.mark.parametrize("content", [b"", b"no key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_a_damaged_key_says_what_to_do(tmp_path: Path, content: bytes) -> None:
    (tmp_path / DEVICE_KEY).write_bytes(content)
    with pytest.raises(ReportError, match="enrol the device again"):
        DeviceKey.read(tmp_path, "gateway")


def test_a_key_behind_a_link_is_not_read(tmp_path: Path) -> None:
    made_key(tmp_path / "elsewhere")
    (tmp_path / DEVICE_KEY).symlink_to(tmp_path / "elsewhere" / DEVICE_KEY)
    with pytest.raises(ReportError, match="enrol the device again"):
        DeviceKey.read(tmp_path, "gateway")


def test_a_key_of_another_kind_is_refused(tmp_path: Path) -> None:
    from securesystemslib.signer import CryptoSigner

    (tmp_path / DEVICE_KEY).write_bytes(CryptoSigner.generate_ecdsa().private_bytes)
    with pytest.raises(ReportError, match="type ed25519, got ecdsa"):
        DeviceKey.read(tmp_path, "gateway")
