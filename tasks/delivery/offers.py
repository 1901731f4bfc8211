"""Offers: which manifest the signed repository tells devices of, and whether this machine can sign it."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from deployments.device import DeviceProfile
from tasks.delivery.repository import SignedRepository, keys_folder, open_repository
from tasks.job import Job
from tasks.workspace import Workspace

logger = logging.getLogger("edgewright")


@dataclass(frozen=True)
class Offers:
    """Offers of one destination. Where nobody began a repository there, nothing is signed, and devices take nothing."""

    repository: SignedRepository

    @property
    def are_signed(self) -> bool:
        """True where a repository was begun."""
        return self.repository.is_begun()

    def offer(self, model: str, device: str, manifest: bytes) -> None:
        """Sign a manifest as what devices are to run, unless it is that already; nothing without a repository.

        Raises KeysError where a key that it needs is not on this machine, and SystemFailure.
        """
        if self.are_signed and not self._is_offered(model, device, manifest):
            digest = self.repository.publish(model, device, manifest)
            logger.info("%s: signed what devices of this profile are offered, %s", device, digest[:12])

    def check(self, devices: Sequence[DeviceProfile]) -> None:
        """Raise KeysError where a key that a publication for one of the devices needs is not on this machine."""
        if self.are_signed:
            for device in devices:
                self.repository.check_keys(device.name)

    def _is_offered(self, model: str, device: str, manifest: bytes) -> bool:
        now = self.repository.targets_now(model, device)
        return now is not None and now.hashes.get("sha256") == sha256(manifest).hexdigest()


def offers_of(workspace: Workspace) -> Offers:
    """Return the offers at the place that a workspace publishes to, with the keys of this machine."""
    return Offers(open_repository(workspace.published, keys_folder(workspace.home)))


def check_keys(job: Job) -> None:
    """Raise KeysError, before any long work, where this machine lacks a key for the devices that want an answer."""
    offers_of(job.workspace).check(job.devices)
