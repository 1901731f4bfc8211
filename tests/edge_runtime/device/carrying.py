"""Carried repositories with real signatures and bundles of small models."""

import tarfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.edge_runtime.device.operated_device import OperatedDevice
from tests.edge_runtime.install.carried import DEVICE, MODEL, Carried, carry
from tests.edge_runtime.trust.repositories import SignedRepository


class CarriedRepository:
    """A folder with metadata, manifests and blobs, signed at the machine's time, and a device that trusts its root."""

    def __init__(self, folder: Path, models: tuple[str, ...] = (MODEL,)) -> None:
        self.root = folder / "carried"
        self.made = folder / "made"
        self.signed = SignedRepository(self.root, now=datetime.now(UTC).replace(microsecond=0))
        self.device = OperatedDevice(folder / "device", self.signed.shipped, models)

    def offer(self, seed: int, model: str = MODEL, **changes: Any) -> Carried:
        """Write the bundle of the small model of a seed, and sign it as what devices are to run."""
        written = carry(self.root, self.made, seed, model=model, **changes)
        self.signed.publish(written.data, model, DEVICE)
        return written

    def packed(self, path: Path) -> Path:
        """Pack everything into a tar archive."""
        with tarfile.open(path, "w") as archive:
            archive.add(self.root, ".")
        return path
