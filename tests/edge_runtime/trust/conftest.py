"""A repository that has published one manifest, and a device that trusts its root."""

from pathlib import Path

import pytest

from tests.edge_runtime.trust.devices import Device
from tests.edge_runtime.trust.repositories import SignedRepository


@pytest.fixture
def repository(tmp_path: Path) -> SignedRepository:
    made = SignedRepository(tmp_path / "repository")
    made.publish(b"first")
    return made


@pytest.fixture
def device(tmp_path: Path, repository: SignedRepository) -> Device:
    return Device(tmp_path / "device", repository)
