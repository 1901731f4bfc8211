"""The parent, before anything is removed: its answers, its file, and what quantization alone would make of it."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.compression.expected_file import check_some_rung, expected_file
from tasks.compression.float_export import export_snapshot
from tasks.compression.snapshots import Snapshot
from tasks.job import Job
from tasks.upstream import Parent, TorchParent, split_outputs

logger = logging.getLogger("edgewright")


@dataclass(frozen=True)
class Baseline:
    """The parent as snapshot 0, its FP32 file, and the INT8 file's fixed part."""

    snapshot: Snapshot
    onnx: Path
    graph_bytes: int  # what an INT8 file of this graph weighs beside its weights


@task(name="baseline", cache_policy=NO_CACHE)
def measure_baseline(job: Job, parent: Parent) -> Baseline:
    """Evaluate the parent, export it, and quantize it once to know what an INT8 file of its graph weighs."""
    if isinstance(parent, TorchParent):
        split_outputs(job, parent, "train")  # they teach every later round
    validation = split_outputs(job, parent, "validation")
    outputs = np.load(validation)
    split = job.splits["validation"]
    accuracy = float(job.workload.score(outputs, split.targets).mean())
    whole = Snapshot.original(parent.digest, *parent.footprint(), accuracy, validation)
    onnx = export_snapshot(job, parent, whole)
    check_some_rung(job, parent, whole)
    expected = expected_file(job, onnx, reduce_range=False)
    graph_bytes = max(0, expected.path.stat().st_size - whole.weight_bytes)
    logger.info("parent: %s parameters, validation accuracy %.3f", f"{whole.parameters:,}", accuracy)
    return Baseline(whole, onnx.path, graph_bytes)
