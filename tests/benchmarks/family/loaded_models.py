"""One process that has loaded models of a device: `STORE DEVICE MODEL ...`.

It loads each as the device runs it, answers a row of zeros by each, says `{}`, and ends when its stdin does. Without a
MODEL it has imported the same and loaded nothing.
"""
# ruff: noqa: T201

import sys
from pathlib import Path

import numpy as np

import edge_runtime.backbone  # noqa: F401 - loading does so later
from edge_runtime.install import DeviceStore, running


def main(store: str, device: str, *names: str) -> None:
    """Load and answer, and stay until nobody asks any more."""
    models = [running(DeviceStore(Path(store), device), name).load() for name in names]
    for model in models:
        model.predict({each.name: np.zeros([size or 1 for size in each.shape], each.dtype) for each in model.inputs})
    print("{}", flush=True)
    sys.stdin.buffer.read()
    del models


if __name__ == "__main__":
    main(*sys.argv[1:])
