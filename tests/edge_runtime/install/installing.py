"""Installs one carried bundle, in a process that others kill: STORE ROOT MANIFEST [tuned] [shadow]."""

import os
import sys
from pathlib import Path

from edge_runtime.install import (
    DeviceStore,
    FolderSource,
    InstallSettings,
    Limits,
    ShadowBudget,
    Tuning,
    choices,
    install,
    install_shadow,
)
from tests.edge_runtime.install.carried import DEVICE, MODEL


def main(arguments: list[str]) -> int:
    """Install, and say so on stdout before and after."""
    store, root, manifest = (Path(each) for each in arguments[:3])
    choices.NEAR = 1e9  # always the tuned graph: which one is faster is noise, and calls are counted
    settings = InstallSettings(Limits(time_s=60), Tuning(tuned_graph="tuned" in arguments))
    os.write(1, b"BEGIN\n")
    given = (DeviceStore(store, DEVICE), MODEL, manifest.read_bytes(), FolderSource(root), settings)
    if "shadow" in arguments:
        install_shadow(*given, ShadowBudget(0.1))
    else:
        install(*given)
    os.write(1, b"COMMITTED\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
