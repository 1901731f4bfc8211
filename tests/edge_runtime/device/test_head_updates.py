"""Updates of one head over a network: the real agent, trust and install step fetch what has changed, and no more."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge_runtime.bundle import Blob, decode_manifest
from edge_runtime.configuration import read_configuration
from edge_runtime.device.programs import agent_of
from edge_runtime.install import DeviceStore, running
from edge_runtime.update import UpdateExit
from tests.edge_runtime.families import MadeFamily, backbone, head
from tests.edge_runtime.install.carried import DEVICE, MODEL
from tests.edge_runtime.trust.repositories import SignedRepository
from tests.edge_runtime.update.loopback_server import LoopbackServer, running_server

FEATURES = 4096


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

    def offer(self, family: MadeFamily, version: int) -> set[Blob]:
        """Publish a family; return its blobs."""
        root = self._signed.folder
        carried = family.carry(root, version)
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


@pytest.fixture
def device(tmp_path: Path) -> Iterator[UpdatedDevice]:
    with running_server() as server:
        yield UpdatedDevice(tmp_path, server)


def family(folder: Path, kinds: int) -> MadeFamily:
    heads = {"faults": head("faults", 1, features=FEATURES), "kinds": head("kinds", kinds, features=FEATURES)}
    return MadeFamily(folder, heads, backbone(features=FEATURES))


def test_an_update_of_a_head_fetches_little_more_than_the_head(device: UpdatedDevice, tmp_path: Path) -> None:
    first = device.offer(family(tmp_path / "one", 2), 1)
    assert device.update() >= sum(blob.size for blob in first)
    second = device.offer(family(tmp_path / "two", 3), 2)
    changed = sum(blob.size for blob in second - first)
    assert changed < 0.35 * sum(blob.size for blob in second)
    assert changed <= device.update() <= 1.1 * changed
    assert running(device.store, MODEL).bundle.manifest.version == "2"
