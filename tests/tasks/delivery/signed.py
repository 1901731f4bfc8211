"""Signed repositories for tests of publications: begun with real keys, and read as a device reads them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tuf.api.metadata import Metadata, Targets

from edge_runtime.bundle import BLOBS, Manifest, check_blob, decode_manifest
from edge_runtime.errors import TrustError
from edge_runtime.trust import folder_fetch, trusted_manifest
from tasks.delivery.repository import PINNED, KeyWork, Passphrases, RootShape, keys_folder, open_repository, release_of
from tasks.workspace import Workspace

WORKER, PERSONS = "passphrase of the worker", "passphrase of the persons"


def begin(workspace: Workspace, devices: Sequence[str] = ("bench",)) -> None:
    """Begin a repository where a workspace publishes to, as `edgewright keys init` does."""
    keys = keys_folder(workspace.home)
    work = KeyWork(open_repository(workspace.published, keys), keys, Passphrases())
    work.begin(workspace.home.parent / "offline", RootShape(), devices)


@dataclass(frozen=True)
class Reader:
    """A device with its own metadata, which reads a folder: it never takes what is older than what it knows."""

    folder: Path
    workspace: Workspace

    def manifest(self, model: str, device: str = "bench") -> Manifest | None:
        """Return the manifest that is offered, all of its files being there; None where none is offered."""
        root = (keys_folder(self.workspace.home) / PINNED).read_bytes()
        target = self.workspace.target
        try:
            found = trusted_manifest(self.folder, root, folder_fetch(target), model, device)
        except TrustError as error:
            assert "must list" in str(error)
            return None
        manifest = decode_manifest(found.data)
        for blob in manifest.files:
            check_blob(target / BLOBS / blob.sha256, blob)
        return manifest

    def release(self, model: str, device: str = "bench") -> int:
        """Return the number of the release that is offered, 0 for none."""
        manifest = self.manifest(model, device)
        return 0 if manifest is None else int(manifest.release)


def signed_releases(workspace: Workspace, model: str, device: str = "bench") -> list[int]:
    """Return the number of the release in each signed version of a device's role, in their order."""
    folder = workspace.target / "metadata"
    files = sorted(folder.glob(f"*.device-{device}.json"), key=lambda path: int(path.name.partition(".")[0]))
    roles = (Metadata[Targets].from_file(str(path)).signed for path in files)
    return [release_of(role.targets.get(f"{model}/{device}/manifest.json")) for role in roles]
