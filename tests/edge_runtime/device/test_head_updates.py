"""Updates of one head over a network: what has changed is fetched, and little more."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_runtime.install import running
from tests.edge_runtime.device.updated_device import UpdatedDevice
from tests.edge_runtime.install.carried import MODEL
from tests.edge_runtime.made_families import MadeFamily, backbone, head
from tests.edge_runtime.update.loopback_server import running_server

FEATURES = 4096


@pytest.fixture
def device(tmp_path: Path) -> Iterator[UpdatedDevice]:
    with running_server() as server:
        yield UpdatedDevice(tmp_path, server)


def family(folder: Path, kinds: int) -> MadeFamily:
    heads = {"faults": head("faults", 1, features=FEATURES), "kinds": head("kinds", kinds, features=FEATURES)}
    return MadeFamily(folder, heads, backbone(features=FEATURES))


def test_an_update_of_a_head_fetches_little_more_than_the_head(device: UpdatedDevice, tmp_path: Path) -> None:
    first = device.offer(family(tmp_path / "one", 2).carry(device.root, 1))
    assert device.update() >= sum(blob.size for blob in first)
    second = device.offer(family(tmp_path / "two", 3).carry(device.root, 2))
    changed = sum(blob.size for blob in second - first)
    assert changed < 0.35 * sum(blob.size for blob in second)
    assert changed <= device.update() <= 1.1 * changed
    assert running(device.store, MODEL).bundle.manifest.version == "2"
