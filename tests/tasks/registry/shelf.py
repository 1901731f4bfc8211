"""A shelf of edge models: judged files that are kept with their runs, and releases of them."""

from pathlib import Path

from edge_runtime.files import sha256_of
from tasks.registry import Candidate, EdgeModels, EdgeVersion, Lineage, Runs
from tests.edge_runtime.models import linear_model

DEVICE = "bench"


class Shelf:
    """The edge models of one upstream model, with runs that keep judged files."""

    def __init__(self, tracking_uri: str, model: str, folder: Path) -> None:
        self.runs = Runs(tracking_uri, model)
        self.models = EdgeModels(tracking_uri, model)
        self.folder = folder

    def file(self, outputs: int = 3) -> Path:
        return linear_model(self.folder / f"{outputs}.onnx", 6, outputs)

    def keep(self, version: str, outputs: int = 3) -> Candidate:
        key = f"key-{version}"
        run = self.runs.child(self.runs.parent(version, key, f"m v{version}", {}), DEVICE)
        file = self.file(outputs)
        return self.models.keep(self.runs, run, file, self.lineage(version, key), sha256_of(file))

    def release(self, version: str, number: int, outputs: int = 3, verdict: str = "pass") -> EdgeVersion:
        tags = {"edgewright.verdict": verdict}
        return self.models.release(DEVICE, self.keep(version, outputs), number, f"from {version}", tags)

    def lineage(self, version: str, key: str) -> Lineage:
        return Lineage(version, self.models.model, "tiny", "0" * 64, key)
