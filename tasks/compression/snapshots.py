"""A snapshot: the model after a round of pruning."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import nn

from model_compression.pruning import History, load_snapshot, read_history
from tasks.upstream import TorchParent


@dataclass(frozen=True)
class Snapshot:
    """Round 0 is the parent itself. `outputs` are the float model's on the validation rows."""

    index: int
    digest: str
    folder: Path | None
    parameters: int
    weight_bytes: int  # as INT8, without the graph
    accuracy: float  # on validation
    outputs: Path
    seconds: float

    @classmethod
    def original(cls, digest: str, parameters: int, weight_bytes: int, accuracy: float, outputs: Path) -> "Snapshot":
        """The parent as it was registered."""
        return cls(0, digest, None, parameters, weight_bytes, accuracy, outputs, 0.0)

    @property
    def title(self) -> str:
        """What reports call this snapshot."""
        return "parent" if self.folder is None else f"round {self.index}"

    @property
    def file_bytes(self) -> int:
        """Bytes of the float weights."""
        return 4 * self.parameters

    @property
    def validation_outputs(self) -> np.ndarray:
        """The float model's outputs on the validation rows."""
        return np.load(self.outputs)

    @property
    def history(self) -> History:
        """Which channels were removed."""
        return [] if self.folder is None else read_history(self.folder)

    def load(self, parent: TorchParent) -> nn.Module:
        """Return the module in evaluation mode."""
        return parent.build() if self.folder is None else load_snapshot(self.folder, parent.build, parent.example)
