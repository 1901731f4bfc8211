"""Debian's mender-client in standalone mode, in a mount namespace of its own: this machine's Mender is left alone."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.edge_runtime.device.operated_device import device_environment

PROGRAMS = ("mender", "mender-artifact", "unshare", "mount")
MODULES = Path("/usr/share/mender/modules/v3")
SETTINGS = Path("/etc/mender")
TYPE = "pi4"
_IN_NAMESPACE = """
set -e
mount --bind "$1" {modules}
mount --bind "$2" {settings}
shift 2
exec mender --no-syslog "$@"
"""


def missing() -> str:
    """Return what keeps Mender from being tested here; an empty text where nothing does."""
    absent = [program for program in PROGRAMS if shutil.which(program) is None]
    if absent or not MODULES.is_dir():
        return f"NOT TESTED: {', '.join(absent) or MODULES} is missing; apt-get install mender-client mender-artifact"
    tried = subprocess.run(
        ["unshare", "--mount", "mount", "--bind", "/tmp", SETTINGS], capture_output=True, timeout=60, check=False
    )
    return "" if tried.returncode == 0 else "NOT TESTED: needs root, to bind Mender's folders in a mount namespace"


@dataclass(frozen=True)
class MenderClient:
    """Mender on one device: the folders of its settings, its modules and its data, all below one folder."""

    folder: Path

    def prepare(self, module: Path) -> None:
        """Lay out a device that Mender was just installed on, with an update module."""
        for name in ("settings", "modules", "data"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "settings" / "artifact_info").write_text("artifact_name=factory\n")
        (self.folder / "settings" / "mender.conf").write_text("{}\n")
        (self.folder / "data" / "device_type").write_text(f"device_type={TYPE}\n")
        shutil.copy(module, self.folder / "modules" / module.name)

    def run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command of the client."""
        script = _IN_NAMESPACE.format(modules=MODULES, settings=SETTINGS)
        folders = (self.folder / "modules", self.folder / "settings")
        return subprocess.run(
            ["unshare", "--mount", "sh", "-c", script, "sh", *folders, "--data", self.folder / "data", *words],
            env=device_environment(), capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip

    def provides(self) -> dict[str, str]:
        """Return what the client says that the device has."""
        lines = self.run("show-provides").stdout.splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)
