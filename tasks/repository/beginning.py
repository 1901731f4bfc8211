"""The beginning of a signed repository: keys for persons and for the worker, the first root, and empty roles.

Each step looks for what an earlier attempt has left, so that the same command completes what a kill has interrupted.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Root, Targets

from edge_runtime.files import write_atomic
from edge_runtime.trust import SIGNED_AT, time_text
from tasks.errors import KeysError
from tasks.repository.expiry import TOP_LEVEL, utc_now
from tasks.repository.key_files import KeyFiles, check_private
from tasks.repository.signed_repository import SignedRepository
from tasks.repository.signing import (
    ONLINE,
    TIMESTAMP,
    SignedFile,
    delegation,
    enough_signers,
    name_of,
    no_delegations,
    role_of,
    sign,
)

PINNED = "root.json"
"""File beside the worker's keys with the first root, which devices are shipped with."""
MOST_KEYS = 20
_DEVICE = re.compile(r"[a-z0-9][a-z0-9-]*")


@dataclass(frozen=True)
class RootShape:
    """The number of persons' keys of root and of targets, and how many of them sign a change."""

    root_keys: int = 3
    threshold: int = 2
    targets_keys: int = 3
    targets_threshold: int = 2

    def check(self) -> None:
        """Raise KeysError for a threshold that no number of keys reaches, or that one key alone would not miss."""
        for role, keys, threshold in (
            ("root", self.root_keys, self.threshold), ("targets", self.targets_keys, self.targets_threshold),
        ):  # fmt: skip
            if not 1 <= threshold <= keys <= MOST_KEYS:
                raise KeysError(
                    f"{role}: expected a threshold from 1 to the number of keys, and at most {MOST_KEYS} keys, got "
                    f"{threshold} of {keys}; with 2 of 3, one may be lost and one may be stolen"
                )


@dataclass(frozen=True)
class Beginning:
    """The parts that a repository is begun with. New keys of persons go into `offline`, a folder for each holder."""

    repository: SignedRepository
    worker: Path
    worker_keys: KeyFiles
    offline: Path
    offline_keys: KeyFiles
    shape: RootShape
    devices: Sequence[str]

    def run(self) -> None:
        """Make what is missing of keys and repository. Raises KeysError for a repository that is whole already."""
        self._check()
        for folder in (self.worker, self.offline):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            check_private(folder)
        root = self._root()
        self._pin(root)
        self._targets(root.signed)
        self.repository.complete()

    def _check(self) -> None:
        self.shape.check()
        for device in self.devices:
            check_device(device)
        if self.offline.resolve() == self.worker.resolve():
            raise KeysError(
                f"{self.offline}: expected another folder for the keys of persons than for those of the worker, got "
                "the same one; name another by --offline"
            )
        if self.repository.is_begun() and self.repository.store.read(TIMESTAMP, 1 << 20) is not None:
            raise KeysError(
                f"{self.repository.store.address}: expected no repository, got one that is whole already; see "
                "edgewright keys status, and edgewright keys add for a further device"
            )

    def _root(self) -> SignedFile[Root]:
        if self.repository.is_begun():
            return self.repository.reader.roots()[0]
        persons = {"root": self.shape.root_keys, "targets": self.shape.targets_keys}
        signers = {role: [self._of_person(number, role) for number in range(1, count + 1)]
                   for role, count in persons.items()}  # fmt: skip
        online = self._of_worker(ONLINE)
        for device in self.devices:
            self._of_worker(role_of(device))
        now = utc_now()
        root = Root(1, expires=self.repository.periods.end("root", now), consistent_snapshot=True,
                    unrecognized_fields={SIGNED_AT: time_text(now)})  # fmt: skip
        for role, found in (*signers.items(), ("snapshot", [online]), ("timestamp", [online])):
            for signer in found:
                root.add_key(signer.public_key, role)
        root.roles["root"].threshold, root.roles["targets"].threshold = (
            self.shape.threshold, self.shape.targets_threshold,
        )  # fmt: skip
        made = sign(root, signers["root"])
        if not self.repository.store.create(name_of("root", 1), made.data):
            raise KeysError(
                f"{self.repository.store.address}: expected to create its first root, got one that somebody else has "
                "created just now; see whose it is"
            )
        return made

    def _pin(self, root: SignedFile[Root]) -> None:
        """Keep the first root beside the worker's keys, if it is of these keys."""
        keys = root.signed.roles["timestamp"].keyids
        if any(self.worker_keys.has(keyid) for keyid in keys) and not os.path.lexists(self.worker / PINNED):
            write_atomic(self.worker / PINNED, root.data)

    def _targets(self, root: Root) -> None:
        if self.repository.store.size(name_of("targets", 1)) is not None:
            return
        targets = Targets(1, expires=self.repository.periods.end("targets", utc_now()), delegations=no_delegations())
        for device in self.devices:
            key = self._of_worker(role_of(device)).public_key
            targets.delegations.keys[key.keyid] = key  # type: ignore[union-attr]
            targets.delegations.roles[role_of(device)] = delegation(device, [key])  # type: ignore[union-attr, index]
        made = sign(targets, enough_signers(self.offline_keys, root, "targets"))
        self.repository.store.create(name_of("targets", 1), made.data)

    def _of_person(self, number: int, role: str) -> CryptoSigner:
        return one_key(self.offline_keys, self.offline / f"holder-{number}", role)

    def _of_worker(self, role: str) -> CryptoSigner:
        return one_key(self.worker_keys, self.worker, role)


def one_key(files: KeyFiles, folder: Path, role: str, used: Sequence[str] = ()) -> CryptoSigner:
    """Return a role's key in a folder that was never used, as a killed attempt leaves one, or else a new one.

    `used` are the short ids of keys that some published metadata has named.
    """
    left = [path for path in files.of_role(role) if path.parent == folder and path.stem[-12:] not in used]
    return files.read(left[0]) if left else files.make(folder, role)


def check_device(device: str) -> None:
    """Raise KeysError for what cannot be the name of a device profile, and for the name of a role."""
    if device in (ONLINE, *TOP_LEVEL):
        raise KeysError(
            f"{device}: expected the name of a device profile, got that of a role, by which edgewright keys would take "
            "it; give the profile another name"
        )
    if not _DEVICE.fullmatch(device):
        raise KeysError(
            f"{device!r}: expected the name of a device profile, of lower-case letters, digits and dashes; write it as "
            "its file says"
        )
