"""Passphrases of keys, and a repository that was begun."""

from pathlib import Path

import pytest

from tasks.workspace import Workspace
from tests.tasks.delivery.devices import PERSONS, WORKER, Reader, begin


@pytest.fixture(autouse=True)
def passphrases(monkeypatch: pytest.MonkeyPatch) -> None:
    """The passphrases of this test's keys, and none of the machine's own."""
    for name in ("EDGEWRIGHT_KEYS", "EDGEWRIGHT_KEYS_PASSPHRASE_FILE", "EDGEWRIGHT_OFFLINE_KEYS_PASSPHRASE_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("EDGEWRIGHT_KEYS_PASSPHRASE", WORKER)
    monkeypatch.setenv("EDGEWRIGHT_OFFLINE_KEYS_PASSPHRASE", PERSONS)


@pytest.fixture
def reader(workspace: Workspace, tmp_path: Path) -> Reader:
    """A device in front of the repository that is begun in the test's workspace, for `bench` and `camera`."""
    begin(workspace, ("bench", "camera"))
    return Reader(tmp_path / "device", workspace)
