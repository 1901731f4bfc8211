"""A device that updates over a network: the real agent, trust and install step, and a server on this machine."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from edge_runtime.bundle import Blob, decode_manifest
from edge_runtime.configuration import read_configuration
from edge_runtime.device.programs import agent_of
from edge_runtime.install import DeviceStore
from edge_runtime.update import UpdateExit
from tests.edge_runtime.install.carried import DEVICE, MODEL, Carried
from tests.edge_runtime.trust.repositories import SignedRepository
from tests.edge_runtime.update.loopback_server import LoopbackServer


class UpdatedDevice:
    """A device whose agent fetches from a loopback server what a signed repository offers."""

    def __init__(self, folder: Path, server: LoopbackServer) -> None:
        self._folder, self._server = folder, server
        self._signed = SignedRepository(folder / "repository", now=datetime.now(UTC).replace(microsecond=0))
        (folder / "root.json").write_bytes(self._signed.shipped)
        (folder / "device.toml").write_text(
            f'device = "{DEVICE}"\nmodels = ["{MODEL}"]\nurl = "{server.url}"\nstate = "{folder / "state"}"\n'
            f'root = "{folder / "root.json"}"\n[trial]\nmemory_mb = 2048\n[tuning]\ngraph = false\n'
        )
        self.store = DeviceStore(folder / "state", DEVICE)

    @property
    def root(self) -> Path:
        """The folder of bundles of the repository, into which they are written before they are offered."""
        return self._signed.folder

    def offer(self, carried: Carried) -> set[Blob]:
        """Sign a bundle as what the device is to run; return its blobs, named by their sha256."""
        root = self.root
        self._signed.publish(carried.data, MODEL, DEVICE)
        self._server.files = {
            str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
        }
        return {replace(blob, name=blob.sha256) for blob in decode_manifest(carried.data).blobs}

    def update(self) -> int:
        """Run the agent once; return the bytes that it fetched."""
        before = self._server.sent
        assert agent_of(read_configuration(self._folder / "device.toml")).run() is UpdateExit.DONE
        return self._server.sent - before
