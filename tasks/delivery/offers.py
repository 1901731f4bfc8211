"""Offers: which manifest the signed repository tells devices of, and whether this machine can sign it."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from deployments.device import DeviceProfile
from quality_gates.report import PAYLOAD_TYPE
from tasks.delivery.documents import ATTESTATION
from tasks.repository import SignedRepository, keys_folder, open_repository, release_of
from tasks.workspace import Workspace

logger = logging.getLogger("edgewright")
SIGNED_ATTESTATION = "attestation.intoto.jsonl"
"""Document with the attestation in its DSSE envelope, named as in-toto asks for."""


@dataclass(frozen=True)
class Offers:
    """Offers of one destination. Where nobody began a repository there, nothing is signed, and devices take nothing."""

    repository: SignedRepository

    @property
    def are_signed(self) -> bool:
        """True where a repository was begun."""
        return self.repository.is_begun()

    def offer(self, model: str, device: str, release: int, manifests: Sequence[bytes]) -> None:
        """Sign the last of a release's manifests as what devices are to run; nothing without a repository.

        Where one of them is offered already, it stays: a release has more than one only until the older decision is
        removed. What is offered under a higher number stays too. Raises KeysError where a key that it needs is not on
        this machine, and SystemFailure.
        """
        if not manifests or not self.are_signed or any(self.is_offered(model, device, each) for each in manifests):
            return
        if self.release(model, device) <= release:
            digest = self.repository.publish(model, device, manifests[-1], release)
            logger.info("%s: signed what devices of this profile are offered, %s", device, digest[:12])

    def release(self, model: str, device: str) -> int:
        """Return the number of the release that devices are offered; 0 where they are offered none."""
        return release_of(self.repository.targets_now(model, device)) if self.are_signed else 0

    def is_offered(self, model: str, device: str, manifest: bytes) -> bool:
        """Tell whether devices are offered a manifest now."""
        now = self.repository.targets_now(model, device) if self.are_signed else None
        return now is not None and now.hashes.get("sha256") == sha256(manifest).hexdigest()

    def has_other(self, model: str, device: str, release: int, manifest: bytes) -> bool:
        """Tell whether devices are offered another manifest of a release: somebody has decided once more meanwhile."""
        return self.release(model, device) == release and not self.is_offered(model, device, manifest)

    def reaches(self, model: str, device: str, release: int) -> bool:
        """Tell whether devices are offered a release or a later one; True where nothing is signed."""
        return not self.are_signed or self.release(model, device) >= release

    def signed(self, device: str, documents: Mapping[str, bytes]) -> dict[str, bytes]:
        """Return a bundle's documents with the signed attestation, where a repository was begun. Raises KeysError."""
        statement = documents.get(ATTESTATION)
        if statement is None or not self.are_signed:
            return dict(documents)
        return {**documents, SIGNED_ATTESTATION: self.repository.envelope(device, PAYLOAD_TYPE, statement)}

    def check(self, devices: Sequence[DeviceProfile]) -> None:
        """Raise KeysError where a key that a publication for one of the devices needs is not on this machine."""
        if self.are_signed:
            for device in devices:
                self.repository.check_keys(device.name)


def offers_of(workspace: Workspace) -> Offers:
    """Return the offers at the place that a workspace publishes to, with the keys of this machine."""
    return Offers(open_repository(workspace.published, keys_folder(workspace.home)))


def check_keys(workspace: Workspace, devices: Sequence[DeviceProfile]) -> None:
    """Raise KeysError, before anything is done, where this machine lacks a key to publish for one of the devices."""
    offers_of(workspace).check(devices)
