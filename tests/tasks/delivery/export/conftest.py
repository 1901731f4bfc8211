"""A place that offers one release, made once and copied for each test."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.edge_runtime.device.operated_device import OperatedDevice
from tests.tasks.delivery.export.offering import PASSPHRASES, Offering


@pytest.fixture(autouse=True)
def passphrases(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EDGEWRIGHT_KEYS", "EDGEWRIGHT_KEYS_PASSPHRASE_FILE", "EDGEWRIGHT_OFFLINE_KEYS_PASSPHRASE_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in PASSPHRASES.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with keys, and with a repository that offers the model of seed 1."""
    folder = tmp_path_factory.mktemp("begun") / "first"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in PASSPHRASES.items():
            patch.setenv(name, value)
        Offering(folder).begin().offer(1)
    yield folder


@pytest.fixture
def offering(begun: Path, tmp_path: Path) -> Offering:
    shutil.copytree(begun, tmp_path / "place")
    return Offering(tmp_path / "place")


@pytest.fixture
def device(offering: Offering, tmp_path: Path) -> OperatedDevice:
    return OperatedDevice(tmp_path / "device", (offering.keys / "root.json").read_bytes())
