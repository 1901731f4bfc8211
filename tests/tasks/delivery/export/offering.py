"""A place with a signed repository and bundles of small models."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edge_runtime.bundle import Manifest, blobs_of, decode_manifest, write_bundle
from tasks.repository import KeyWork, Passphrases, RootShape, SignedRepository, open_repository
from tests.edge_runtime.install.carried import DEVICE, Carried, carry

WORKER, PERSONS = "passphrase of the worker", "passphrase of the persons"
PASSPHRASES = {"EDGEWRIGHT_KEYS_PASSPHRASE": WORKER, "EDGEWRIGHT_OFFLINE_KEYS_PASSPHRASE": PERSONS}


@dataclass(frozen=True)
class Offering:
    """A folder with a destination `target`, the worker's `keys`, and those of persons.

    Passphrases come from the environment.
    """

    folder: Path

    @property
    def target(self) -> Path:
        return self.folder / "target"

    @property
    def keys(self) -> Path:
        return self.folder / "keys"

    @property
    def persons(self) -> list[Path]:
        """Keys of two persons of three, which are enough."""
        return [self.folder / "offline" / f"holder-{number}" for number in (1, 2)]

    def repository(self, address: str | None = None) -> SignedRepository:
        """Open the repository, as a new process does."""
        return open_repository(address or self.target, self.keys)

    def work(self, address: str | None = None) -> KeyWork:
        return KeyWork(self.repository(address), self.keys, Passphrases())

    def begin(self, address: str | None = None) -> "Offering":
        """Make keys and repository for two device profiles."""
        self.work(address).begin(self.folder / "offline", RootShape(2, 2, 2, 2), (DEVICE, "kiosk"))
        return self

    def offer(self, seed: int, **changes: Any) -> Carried:
        """Write the bundle of the small model of a seed, and sign it as what devices are to run."""
        written = carry(self.target, self.folder / "made", seed, **changes)
        manifest = decode_manifest(written.data)
        self.repository().publish(manifest.model, manifest.device, written.data)
        return written

    def offer_with_document(self, name: str, content: bytes) -> Manifest:
        """Offer the first release once more, with a document beside its model."""
        paper = self.folder / name
        paper.write_bytes(content)
        release = decode_manifest(self.offer(1).data)
        changed = replace(release, documents=blobs_of({name: paper}))
        files = {blob.name: self.target / "blobs" / blob.sha256 for blob in release.blobs}
        written = write_bundle(self.target, changed, {**files, name: paper})
        self.repository().publish(release.model, release.device, written.read_bytes())
        return changed
