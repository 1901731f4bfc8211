"""A device's store and the folder that is carried to it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.install import DeviceStore, FolderSource, Installed, InstallSettings, Limits, Tuning, install
from tests.edge_runtime.install.carried import DEVICE, MODEL, Carried, carry

QUICK = InstallSettings(limits=Limits(time_s=60), tuning=Tuning(tuned_graph=False))


@dataclass
class Site:
    """A device with its store, and what was carried to it; both lie in a folder of the test."""

    folder: Path
    store: DeviceStore = field(init=False)

    def __post_init__(self) -> None:
        self.store = DeviceStore(self.folder / "device", DEVICE)

    def carry(self, seed: int, **changes: Any) -> Carried:
        return carry(self.folder / "carried", self.folder / "made", seed, **changes)

    def install(self, carried: Carried, settings: InstallSettings = QUICK, **options: bool) -> Installed:
        return install(self.store, MODEL, carried.data, FolderSource(carried.root), settings, **options)

    def files(self) -> set[str]:
        root = self.store.root
        return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)
