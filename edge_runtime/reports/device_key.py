"""The key of a device: made once on the device, where its private half stays, and enrolled by its public half."""

import errno
import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from securesystemslib.exceptions import UnsupportedLibraryError
from securesystemslib.formats import encode_canonical
from securesystemslib.signer import CryptoSigner, Key

from edge_runtime.errors import ReportError
from edge_runtime.files import fsync_directory, open_regular
from edge_runtime.statistics import StrictRecord, strict_json

DEVICE_KEY = "device.key"
MOST_KEY_BYTES = 4096
"""Bytes of a key's file, and of the public document."""
_ED25519 = "ed25519"
_NEEDED = "Reports are signed with the package cryptography; pip install 'edgewright-runtime[report]'."


@dataclass(frozen=True)
class PublicDeviceKey:
    """The public half of a device's key: the id that reports name the device by, its profile, and the key itself."""

    device: str
    profile: str
    key: Key

    @property
    def fingerprint(self) -> str:
        """The device's id in groups of four, for people who compare it with what the device shows."""
        return " ".join(self.device[at : at + 4] for at in range(0, len(self.device), 4))

    def to_bytes(self) -> bytes:
        """Return the document that a person carries from the device to the workstation."""
        plain = {"device": self.device, "profile": self.profile, "key": self.key.to_dict()}
        return (json.dumps(plain, indent=2, sort_keys=True) + "\n").encode("ascii")

    @classmethod
    def from_bytes(cls, data: bytes) -> "PublicDeviceKey":
        """Read strictly what to_bytes wrote. Raises ReportError, also where the id is not that of the key."""
        if len(data) > MOST_KEY_BYTES:
            raise ReportError(f"A device's key must have at most {MOST_KEY_BYTES} bytes, not {len(data)} or more.")
        record = StrictRecord(strict_json(data, "A device's key"), "device", ("device", "profile", "key"))
        key = StrictRecord(record.value("key"), record.where("key"), ("keytype", "scheme", "keyval"))
        plain = {name: key.choice(name, (_ED25519,)) for name in ("keytype", "scheme")}
        public = StrictRecord(key.value("keyval"), key.where("keyval"), ("public",)).sha256("public")
        document: dict[str, Any] = {**plain, "keyval": {"public": public}}
        device, expected = record.sha256("device"), _id_of(document)
        if device != expected:
            raise ReportError(
                f"device.device must be the id of its key, {expected}, not {device}: carry the document of the device "
                "again."
            )
        return cls(device, record.component("profile"), Key.from_dict(device, document))


def _id_of(key: Mapping[str, Any]) -> str:
    """Return the id that securesystemslib gives a key: the sha256 of its canonical JSON."""
    return hashlib.sha256(str(encode_canonical(dict(key))).encode()).hexdigest()


class DeviceKey:
    """Both halves of a device's key, as they lie in its state folder. Ed25519; the private half never leaves it."""

    def __init__(self, signer: CryptoSigner, profile: str) -> None:
        self._signer, self._profile = signer, profile

    @classmethod
    def read(cls, state: Path, profile: str) -> "DeviceKey | None":
        """Return the device's key, None where it has none yet. Raises ReportError where it cannot be read."""
        path = state / DEVICE_KEY
        try:
            with open_regular(path) as file:
                signer = _signer_of(file.read(MOST_KEY_BYTES))
        except FileNotFoundError:
            return None
        except PermissionError as error:
            raise ReportError(
                f"{path} cannot be read by this user; run the command as root, or as its owner."
            ) from error
        except (OSError, ValueError, TypeError) as error:
            raise ReportError(
                f"{path}: expected the private key of this device, got {error}; remove it and the folder of reports "
                "beside it, then run `reports key` and enrol the device again."
            ) from error
        if signer.public_key.keytype != _ED25519:
            raise ReportError(f"{path}: expected a key of the type {_ED25519}, got {signer.public_key.keytype}.")
        return cls(signer, profile)

    @classmethod
    def make(cls, state: Path, profile: str) -> "DeviceKey":
        """Make the device's key, durably, where none is and nobody else makes one.

        Raises FileExistsError where there is one, OSError, and ReportError without the package that signs.
        """
        try:
            signer = CryptoSigner.generate_ed25519()
        except UnsupportedLibraryError as error:
            raise ReportError(_NEEDED) from error
        _write_private(state / DEVICE_KEY, signer.private_bytes)
        return cls(signer, profile)

    @cached_property
    def public(self) -> PublicDeviceKey:
        """The public half, with the profile of the device."""
        key = self._signer.public_key
        return PublicDeviceKey(key.keyid, self._profile, key)

    @property
    def signer(self) -> CryptoSigner:
        """The signer with the private half."""
        return self._signer


def _signer_of(data: bytes) -> CryptoSigner:
    """Read a private key. Raises ValueError or TypeError for what is none, and ReportError without the package."""
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError as error:
        raise ReportError(_NEEDED) from error
    try:
        return CryptoSigner(load_pem_private_key(data, None))
    except UnsupportedAlgorithm as error:
        raise ValueError(str(error)) from error


def _write_private(path: Path, data: bytes) -> None:
    """Create a file that only its owner may read, durably; FileExistsError where there is one."""
    if os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, "there is one already", str(path))
    for part in path.parent.glob(f".{path.name}.*.tmp"):  # of a power cut
        part.unlink()
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)  # noqa: PTH105 - the call that the guarantee rests on
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync_directory(path.parent)
