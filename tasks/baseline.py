"""The parent, before anything is removed: its answers, its file, and what quantization alone would make of it."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from prefect import task
from prefect.cache_policies import NO_CACHE

from deployments.workload import SplitName
from model_compression.footprint import int8_weight_bytes, parameters
from model_compression.training import Arrays, predict
from tasks.export import export_snapshot
from tasks.intake import Parent
from tasks.job import Job
from tasks.quantize import quantize_ptq
from tasks.snapshots import Snapshot

logger = logging.getLogger("edgewright")


@dataclass(frozen=True)
class Baseline:
    """The parent as snapshot 0, its FP32 file, its answers on the training rows, and the INT8 file's fixed part."""

    snapshot: Snapshot
    onnx: Path
    teacher: Path
    graph_bytes: int  # what an INT8 file of this graph weighs beside its weights

    @property
    def teacher_outputs(self) -> np.ndarray:
        """The parent's outputs on the training rows, computed once."""
        return np.load(self.teacher)


@task(name="baseline", cache_policy=NO_CACHE)
def measure_baseline(job: Job, parent: Parent) -> Baseline:
    """Evaluate the parent, export it, and quantize it once to know what an INT8 file of its graph weighs."""
    teacher = _outputs(job, parent, "train")
    validation = _outputs(job, parent, "validation")
    model = parent.build()
    outputs = np.load(validation)
    split = job.splits["validation"]
    accuracy = float(job.workload.score(outputs, split.targets).mean())
    whole = Snapshot.original(parent.digest, parameters(model), int8_weight_bytes(model), accuracy, validation)
    onnx = export_snapshot(job, parent, whole)
    quantized = quantize_ptq(job, onnx, method="minmax", reduce_range=False)
    graph_bytes = max(0, quantized.path.stat().st_size - whole.weight_bytes)
    logger.info("parent: %s parameters, validation accuracy %.3f", f"{whole.parameters:,}", accuracy)
    return Baseline(whole, onnx.path, teacher, graph_bytes)


def stored_outputs(job: Job, parent: Parent, rows: Arrays, digests: Mapping[str, str]) -> Path:
    """The parent's outputs on some rows, which `digests` identify, as a file; computed once."""

    def produce(folder: Path) -> dict[str, int]:
        np.save(folder / "outputs.npy", predict(parent.build(), rows))
        return {"rows": len(rows[0])}

    inputs = {"parent": parent.digest, **digests}
    return job.workspace.store.run("parent-outputs", inputs, ("model_compression",), produce).folder / "outputs.npy"


def _outputs(job: Job, parent: Parent, split: SplitName) -> Path:
    return stored_outputs(job, parent, job.splits[split].inputs, job.digests(split))
