"""A device's store that bundles get into as an install ends: the files, then the state."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.bundle import BLOBS, Measured
from edge_runtime.install import DeviceStore, ShadowBudget, ShadowChoice
from edge_runtime.install.state import read_state, state_path, write_state
from tests.edge_runtime.install.carried import DEVICE, MODEL, Carried, carry, expected, rows

GAINS = Measured({"peak_rss_mb": 100.0}, {"1": 1.0, "8": 1.5})
NOW = "2026-01-01T00:00:00Z"


class Stored:
    """A store with bundles of the small model, each of its own seed, which is its version too."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = DeviceStore(folder / "device", DEVICE)

    def put(self, seed: int, **changes: Any) -> Carried:
        """Bring a bundle into the store, and let it be the current one."""
        carried = carry(self.store.root, self.folder / "made", seed, **{"measured": GAINS} | changes)
        self.commit(carried)
        return carried

    def commit(self, carried: Carried) -> None:
        """Let a bundle of the store be the current one."""
        write_state(self.store.root, MODEL, read_state(self.store.root, MODEL).committed(carried.digest, NOW))

    def shadow(self, seed: int, share: float = 1.0, memory_mb: float | None = None, **changes: Any) -> Carried:
        """Bring a bundle into the store, and let it be the shadow."""
        carried = carry(self.store.root, self.folder / "made", seed, **{"measured": GAINS} | changes)
        choice = ShadowChoice(carried.digest, ShadowBudget(share, memory_mb), NOW)
        write_state(self.store.root, MODEL, read_state(self.store.root, MODEL).shadowed(choice))
        return carried

    def end_shadow(self) -> None:
        """Let the state name no shadow."""
        write_state(self.store.root, MODEL, read_state(self.store.root, MODEL).without_shadow())

    def back(self) -> None:
        """Go back to the bundle before the current one."""
        state = read_state(self.store.root, MODEL)
        assert state.previous is not None
        write_state(self.store.root, MODEL, state.back_to(state.previous, None, NOW))

    def damage_graph(self, seed: int) -> None:
        """Change the last byte of a graph in the store; the length stays."""
        data = (self.folder / "made" / f"model-{seed}" / "model.onnx").read_bytes()
        for path in (self.store.root / BLOBS).iterdir():
            if path.read_bytes() == data:
                path.chmod(0o644)
                path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))

    def damage_state(self) -> None:
        """Make the state and its copy unreadable, as new files."""
        path = state_path(self.store.root, MODEL)
        for each in (path, path.with_name(f"{path.name}.copy")):
            with suppress(FileNotFoundError):
                each.unlink()
            each.write_text("{")

    def right(self, seed: int, inputs: np.ndarray) -> np.ndarray:
        """Return what the version of a seed answers."""
        return expected({"model.onnx": self.folder / "made" / f"model-{seed}" / "model.onnx"}, inputs)


def some_rows() -> np.ndarray:
    """Return two rows that are not among the golden vectors."""
    return rows(2, seed=9)
