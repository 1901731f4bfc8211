"""Builders of earlier steps' results, for the tests of later steps."""

from pathlib import Path
from typing import Any, cast

from deployments.device import DeviceProfile
from quality_gates.verdict import GateOutcome, GateResult, Verdict
from tasks.compression import Baseline, Snapshot
from tasks.job import Job
from tasks.registry import Runs
from tasks.upstream import Context, DeviceContext, TorchParent

NO_RUNS = cast(Runs, None)


def context(job: Job, parent: Any = None) -> Context:
    """A version whose run nobody opened: what looks at models never touches it."""
    return Context(job, parent or TorchParent(Path("none"), "0" * 64, job.workload, ()), NO_RUNS, "no run")


def on(job: Job, profile: DeviceProfile | None = None, parent: Any = None) -> DeviceContext:
    """The context of a device, the recipe's first one unless another is given."""
    return context(job, parent).on(profile or job.recipe.devices[0])


def baseline(onnx: Path) -> Baseline:
    """A baseline whose file is all that matters."""
    return Baseline(Snapshot.original("0" * 64, 1, 1, 0.9, onnx), onnx, 0)


def verdict(outcome: GateOutcome = "pass", file: str | None = None) -> Verdict:
    """A verdict of one gate about a file."""
    sentence = f"The gate ended as {outcome}."
    gate = GateResult(name="size", kind="limit", outcome=outcome, blocking=True, metric="size_bytes", sentence=sentence)
    return Verdict.of((gate,), file=file)
