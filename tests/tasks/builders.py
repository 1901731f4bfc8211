"""What earlier stages hand on, for the tests of later ones."""

from pathlib import Path

from quality_gates.verdict import GateOutcome, GateResult, Verdict
from tasks.compression import Baseline, Snapshot
from tasks.job import Job
from tasks.upstream import TorchParent


def parent(job: Job, program: Path) -> TorchParent:
    """A parent that nothing is asked of but to be passed on."""
    return TorchParent(program, "0" * 64, job.workload, ())


def baseline(onnx: Path) -> Baseline:
    """A baseline whose file is all that matters."""
    return Baseline(Snapshot.original("0" * 64, 1, 1, 0.9, onnx), onnx, 0)


def verdict(outcome: GateOutcome = "pass") -> Verdict:
    """A verdict of one gate."""
    sentence = f"The gate ended as {outcome}."
    gate = GateResult(name="size", kind="limit", outcome=outcome, blocking=True, metric="size_bytes", sentence=sentence)
    return Verdict.of((gate,))
