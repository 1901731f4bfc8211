"""A device as the tests of trust see it: a folder of metadata, a shipped root, a clock, and a server that may lie."""

import shutil
from datetime import datetime
from pathlib import Path

from edge_runtime.trust import TrustState, trust_state, trusted_manifest
from tests.edge_runtime.trust.repositories import NOW, Served, SignedRepository


class Device:
    """A device of the profile `gateway`; `server` is what it fetches from, `clock` what it takes for the time."""

    def __init__(self, folder: Path, repository: SignedRepository, clock: datetime = NOW) -> None:
        self.folder = folder
        self.shipped = repository.shipped
        self.server = Served(repository.folder)
        self.clock = clock

    def manifest(self, device: str = "gateway", model: str = "m") -> bytes:
        """Return the verified manifest of a model for a device."""
        return trusted_manifest(self.folder, self.shipped, self.server, model, device, now=self.clock).data

    def state(self) -> TrustState:
        """Return what the device would show."""
        return trust_state(self.folder)

    def versions(self) -> dict[str, int]:
        """Return the version of each role that the device holds."""
        return {name: role.version for name, role in self.state().roles.items()}

    def copy_to(self, folder: Path) -> "Device":
        """Return a device with a copy of this one's folder, in front of the same server."""
        shutil.copytree(self.folder, folder)
        copied = Device.__new__(Device)
        copied.folder, copied.shipped, copied.server, copied.clock = folder, self.shipped, self.server, self.clock
        return copied
