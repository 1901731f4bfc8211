"""Devices that persons enrolled: a file for each in a folder of the home, with its name and the public half of its key.

devices/NAME.json        the device, as a person enrolled it
devices/heard/KEY/       what was taken of its reports; it stays when the device is removed or gets a new key
"""

import fcntl
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from securesystemslib.signer import Key

from edge_runtime.errors import ReportError
from edge_runtime.files import fsync_directory, make_directories, open_regular, write_atomic
from edge_runtime.reports import MOST_KEY_BYTES, FieldReport, PublicDeviceKey, verified
from tasks.errors import EnrolmentError, RecordDamaged
from tasks.field.taken_reports import TakenReports

DEVICES = "devices"
_HEARD = "heard"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LOCK = ".lock"


@dataclass(frozen=True)
class EnrolledDevice:
    """A device under the name that a person gave it, with its public key; `enrolled_at` is UTC by our clock."""

    name: str
    public: PublicDeviceKey
    enrolled_at: str

    @property
    def device(self) -> str:
        """The id of its key, by which its reports name it."""
        return self.public.device

    @property
    def key(self) -> Key:
        """The key that its reports are verified with."""
        return self.public.key


@dataclass(frozen=True)
class HeardReport:
    """The last report of a device, verified, when it came by our clock, and how many numbers before it never came."""

    report: FieldReport
    taken_at: str
    missing: int


class Enrolments:
    """The enrolled devices of one home."""

    def __init__(self, home: Path) -> None:
        self.folder = home / DEVICES

    def every(self) -> list[EnrolledDevice]:
        """Return all devices, by name. Raises RecordDamaged for a file that cannot be read."""
        paths = self.folder.glob("*.json") if self.folder.is_dir() else ()
        return [self._read(path) for path in sorted(paths) if _NAME.fullmatch(path.stem)]

    def enrol(self, name: str, public: PublicDeviceKey, *, replace: bool = False) -> EnrolledDevice:
        """Enrol a key under a name; the same once more changes nothing.

        Raises EnrolmentError where the key has another name, and where the name has another key, unless `replace`.
        """
        check_name(name)
        with self._only_writer():
            known = {device.name: device for device in self.every()}
            other = next((each for each in known.values() if each.device == public.device and each.name != name), None)
            if other is not None:
                raise EnrolmentError(
                    f"{name}: expected a key that no other device has, got that of {other.name}; copy each device's "
                    f"own key, or remove the other name first: edgewright devices remove {other.name}"
                )
            if name in known and known[name].device == public.device:
                return known[name]
            if name in known and not replace:
                raise EnrolmentError(
                    f"{name}: expected a name that is free, got one with the key "
                    f"{known[name].public.fingerprint[:14]}; choose another, or say --replace where this device has a "
                    "new key"
                )
            device = EnrolledDevice(name, public, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")
            told = {"enrolled_at": device.enrolled_at, "public": json.loads(public.to_bytes())}
            write_atomic(self._path(name), json.dumps(told, indent=2).encode() + b"\n")
            return device

    def remove(self, name: str) -> EnrolledDevice:
        """Remove a device, whose reports are not taken from then on. Raises EnrolmentError for an unknown name."""
        with self._only_writer():
            known = {device.name: device for device in self.every()}
            if name not in known:
                raise EnrolmentError(
                    f"{name}: expected the name of an enrolled device, got none of {sorted(known)}; see edgewright "
                    "devices list"
                )
            self._path(name).unlink()
            fsync_directory(self.folder)
            return known[name]

    def record(self, device: EnrolledDevice) -> TakenReports:
        """Return the record of what was taken of a device's reports."""
        return TakenReports(self.folder / _HEARD / device.device)

    def heard(self, device: EnrolledDevice) -> HeardReport | None:
        """Return a device's last report; None where none was taken yet. Raises RecordDamaged, ReportError."""
        record = self.record(device)
        last = record.last()
        if last is None:
            return None
        taken = record.read()
        missing = last.number - min(taken, default=last.number) + 1 - len({*taken, last.number})
        return HeardReport(verified(last.envelope.encode(), device.key), last.taken_at, max(0, missing))

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def _read(self, path: Path) -> EnrolledDevice:
        try:
            told = json.loads(path.read_bytes())
            public = PublicDeviceKey.from_bytes(json.dumps(told["public"]).encode())
            return EnrolledDevice(path.stem, public, str(told["enrolled_at"]))
        except (OSError, ValueError, KeyError, TypeError, ReportError) as error:
            raise RecordDamaged(
                f"{path}: expected an enrolled device, got {type(error).__name__}: {str(error)[:200]}; restore the "
                "file, or remove it and enrol the device again"
            ) from error

    @contextmanager
    def _only_writer(self) -> Iterator[None]:
        make_directories(self.folder)
        with (self.folder / _LOCK).open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def read_public_key(path: Path) -> PublicDeviceKey:
    """Read the document that a person carried from a device. Raises EnrolmentError."""
    try:
        with open_regular(path) as file:
            return PublicDeviceKey.from_bytes(file.read(MOST_KEY_BYTES + 1))
    except (OSError, ReportError) as error:
        said = error.strerror or type(error).__name__ if isinstance(error, OSError) else str(error).removesuffix(".")
        raise EnrolmentError(
            f"{path}: expected the public key of a device, got: {said}; take what "
            "`python -m edge_runtime reports key` prints on the device"
        ) from error


def check_fingerprint(public: PublicDeviceKey, given: str) -> None:
    """Raise EnrolmentError unless a key has the whole fingerprint that a person read on the device."""
    if "".join(given.split()).lower() != public.device:
        raise EnrolmentError(
            f"--fingerprint: expected that of the key, {public.fingerprint}, got {given[:100]!r}; read it on the "
            "device, and carry its key again"
        )


def check_name(name: str) -> None:
    """Raise EnrolmentError unless a name can be that of a file."""
    if not _NAME.fullmatch(name):
        raise EnrolmentError(
            f"{name[:80]!r}: expected a name of 1 to 64 letters, digits, dots, dashes or underscores that begins with "
            "a letter or a digit; choose another"
        )
