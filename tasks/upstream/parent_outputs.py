"""The parent's answers, taken once and kept: they are compared with, and they teach."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from deployments.workload import SplitName
from model_compression.training import Arrays
from tasks.job import Job
from tasks.upstream.parents import Parent


def stored_outputs(job: Job, parent: Parent, rows: Arrays, digests: Mapping[str, str]) -> Path:
    """The parent's outputs on some rows, which `digests` identify, as a file; computed once."""

    def produce(folder: Path) -> dict[str, int]:
        np.save(folder / "outputs.npy", parent.answers(rows))
        return {"rows": len(rows[0])}

    inputs = {"parent": parent.digest, **digests}
    return job.workspace.store.run("parent-outputs", inputs, ("model_compression",), produce).folder / "outputs.npy"


def split_outputs(job: Job, parent: Parent, split: SplitName) -> Path:
    """The parent's outputs on a split, as a file; computed once."""
    return stored_outputs(job, parent, job.splits[split].inputs, job.digests(split))
