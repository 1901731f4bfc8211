"""A device as operators see it: a configuration, a state folder and the commands of the runtime."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.install import DeviceStore, ModelState, statuses
from edge_runtime.trust import folder_fetch, trusted_manifest
from tests.edge_runtime.homes import ROOT
from tests.edge_runtime.install.carried import DEVICE, MODEL


@dataclass(frozen=True)
class OperatedDevice:
    """A device of the profile `gateway` with its configuration, in a folder of its own."""

    folder: Path
    root: bytes
    models: tuple[str, ...] = (MODEL,)

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def configuration(self) -> Path:
        """The configuration, written at the first look."""
        path = self.folder / "device.toml"
        if not path.exists():
            self.folder.mkdir(parents=True)
            (self.folder / "root.json").write_bytes(self.root)
            path.write_text(
                f'device = "{DEVICE}"\nmodels = {list(self.models)}\nurl = "/nowhere"\nstate = "{self.state}"\n'
                f'root = "{self.folder / "root.json"}"\n[trial]\nmemory_mb = 2048\n[tuning]\ngraph = false\n'
            )
        return path

    def trusts(self, folder: Path) -> str:
        """Verify the metadata of a carried folder as an install does; return the digest of the bundle."""
        fetch = folder_fetch(folder)
        return trusted_manifest(self.state / "metadata", self.root, fetch, self.models[0], DEVICE).sha256

    def runs(self, model: str = MODEL) -> ModelState:
        """Return the state of a model; an empty one where nothing was installed."""
        found = {status.model: status.state for status in statuses(DeviceStore(self.state, DEVICE))}
        return found.get(model, ModelState())

    def run(self, command: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command of the runtime on the device."""
        arguments = (sys.executable, "-P", "-m", "edge_runtime", command, "--config", self.configuration, *words)
        return subprocess.run(
            arguments, env=device_environment(), capture_output=True, text=True, timeout=240, check=False
        )


def device_environment() -> Mapping[str, str]:
    """Return variables with which a child process finds these sources."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}
