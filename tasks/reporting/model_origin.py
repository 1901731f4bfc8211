"""The origin of a judged model, for its model card and its attestation, and the bytes of its parts."""

from pathlib import Path

from edge_runtime.files import sha256_of
from edge_runtime.model_files import heads_of, model_bytes, model_files
from model_compression.onnx_files import model_tensors
from quality_gates.evidence import ModelEvidence
from quality_gates.report import DataSplit, Origin, ShippedFile
from tasks.store import libraries
from tasks.upstream import DeviceContext


def origin_of(context: DeviceContext, file: Path, candidate: ModelEvidence, started_by: str) -> Origin:
    """Gather the origin of a judged file; of one that could not be measured nothing is read here."""
    job, sha256 = context.job, candidate.file_sha256
    inputs, outputs = model_tensors(file) if candidate.failure is None else ((), ())
    files = {} if sha256 is None else {name: sha256_of(path) for name, path in model_files(file).items()}
    return Origin(
        purpose=job.workload.purpose,
        recipe=job.recipe.name,
        recipe_sha256=job.recipe.digest,
        splits=tuple(DataSplit(name=name, rows=len(each), sha256=each.digest) for name, each in job.splits.items()),
        files=tuple(ShippedFile(name=name, sha256=digest) for name, digest in files.items()),
        inputs=inputs,
        outputs=outputs,
        toolchain=tuple(libraries().items()),
        started_by=started_by,
        run=context.device_run,
    )


def parts_of(file: Path) -> dict[str, str]:
    """Return the bytes of the backbone and of each head of a file that has some."""
    heads = heads_of(file)
    parts = {"backbone": file, **{f"head {head.name}": head.path for head in heads}} if heads else {}
    return {name: f"{model_bytes(path, ()):,} bytes" for name, path in parts.items()}
