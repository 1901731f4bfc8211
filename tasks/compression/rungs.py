"""The rungs of the ladder as stages: one float model into one file."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deployments.recipe import Rung
from deployments.techniques import AsItIs, Dynamic, Half, Mixed, PostTraining, QuantizationAware, WeightOnly
from model_compression.errors import QuantizationError
from model_compression.quantization import (
    Activations,
    convert_to_half,
    faster_in_float,
    quantize_after_training,
    quantize_dynamically,
    quantize_mixed,
    quantize_weights,
    train_quantized,
)
from tasks.compression.distillation_targets import teaching
from tasks.compression.float_export import FILE, ModelFile, Trained, export_snapshot
from tasks.compression.samples import some_rows
from tasks.job import Job
from tasks.measurement import machine
from tasks.progress import steps
from tasks.upstream import REMEDY, OnnxParent, Parent, TorchParent

logger = logging.getLogger("edgewright")
CODE = ("model_compression",)


def make_file(job: Job, parent: Parent, snapshot: Trained, rung: Rung, *, saturates: bool) -> ModelFile:
    """Make the file of a snapshot or student by one rung; `saturates` keeps weights to 7 bits.

    Raises QuantizationError where the model does not take the rung.
    """
    if isinstance(rung, QuantizationAware):
        if isinstance(parent, OnnxParent):
            raise QuantizationError(f"expected a torch program for {rung.title}, got an ONNX file; {REMEDY}")
        return _trained(job, parent, snapshot, rung, reduce_range=saturates)
    source = export_snapshot(job, parent, snapshot)
    match rung:
        case AsItIs():
            return source
        case PostTraining():
            in_float = _faster_in_float(job, source) if rung.float_where_faster else ()
            return quantize_ptq(
                job, source, method=rung.calibration, reduce_range=saturates, activations=rung.activations,
                in_float=in_float,
            )  # fmt: skip
        case Mixed():
            return _mixed(job, source, rung, reduce_range=saturates)
        case Half():
            return _stage(job, "fp16", source, {}, convert_to_half)
        case WeightOnly():
            return _stage(job, "int4", source, {"block_size": rung.block_size}, quantize_weights)
        case Dynamic():
            settings = {"reduce_range": saturates, "table_bits": rung.table_bits}
            return _stage(job, "dynamic", source, settings, quantize_dynamically)


def quantize_ptq(
    job: Job, source: ModelFile, *, method: str, reduce_range: bool, activations: Activations = "uint8",
    in_float: Sequence[str] = (),
) -> ModelFile:  # fmt: skip
    """Quantize a float file with calibration rows."""
    settings = {
        "method": method,
        "reduce_range": reduce_range,
        "activations": activations,
        "in_float": list(in_float),
    }

    def make(source: Path, path: Path, **settings: Any) -> None:
        quantize_after_training(source, job.splits["calibration"].inputs, path, **settings)

    return _stage(job, "ptq", source, settings, make, **job.digests("calibration"))


def _faster_in_float(job: Job, source: ModelFile) -> tuple[str, ...]:
    """The layers of a float file that this machine computes faster in float, measured once."""

    def produce(_: Path) -> list[str]:
        return list(faster_in_float(source.path, job.splits["calibration"].inputs))

    inputs = {"source": source.digest, "machine": machine(), **job.digests("calibration")}
    layers = job.workspace.store.run("faster-in-float", inputs, CODE, produce).value
    logger.info("faster in float than in integers: %s", ", ".join(layers) or "nothing")
    return tuple(layers)


def _mixed(job: Job, source: ModelFile, rung: Mixed, *, reduce_range: bool) -> ModelFile:
    validation = some_rows(job.splits["validation"])

    def score(outputs: np.ndarray) -> float:
        return float(job.workload.score(outputs, validation.targets).mean())

    def make(source: Path, path: Path, **settings: Any) -> None:
        calibration = job.splits["calibration"].inputs
        found = quantize_mixed(source, calibration, validation.inputs, score, path, **settings)
        in_float = ", ".join(found.in_float) or "nothing"
        logger.info("%s: %s in float, score %.4f of %.4f", rung.title, in_float, found.score, found.whole)

    settings = {"method": rung.calibration, "at_most": rung.at_most, "tolerance": rung.tolerance}
    digests = job.digests("calibration", "validation")
    return _stage(job, "mixed", source, settings | {"reduce_range": reduce_range}, make, **digests)


def _stage(
    job: Job, name: str, source: ModelFile, settings: dict[str, Any], make: Callable[..., object], **digests: Any
) -> ModelFile:
    """Make a file of a float file; `make` takes both paths and the settings."""

    def produce(folder: Path) -> dict[str, Any]:
        make(source.path, folder / FILE, **settings)
        return settings

    inputs = {"source": source.digest, **settings, **digests}
    return ModelFile.of(job.workspace.store.run(name, inputs, CODE, produce))


def _trained(
    job: Job, parent: TorchParent, snapshot: Trained, rung: QuantizationAware, *, reduce_range: bool
) -> ModelFile:
    """Train a snapshot with fake quantization, the parent teaching."""
    calibration = job.splits["calibration"].inputs
    in_float = _faster_in_float(job, export_snapshot(job, parent, snapshot)) if rung.float_where_faster else ()

    def produce(folder: Path) -> dict[str, int]:
        train, by = job.splits["train"], teaching(job, parent)
        with steps(f"QAT of {snapshot.title}") as progress:
            train_quantized(
                snapshot.load(parent),
                parent.example,
                calibration,
                train.inputs,
                train.targets,
                by.teacher,
                job.workload.loss,
                rung.fine_tune.settings(),
                reduce_range=reduce_range,
                names=parent.names,
                path=folder / FILE,
                in_float=in_float,
                progress=progress,
                validate=job.validation_score,
                augment=by.augment,
                weights=by.weights,
            )
        return {"rows": len(train)}

    inputs = {
        "parent": parent.digest,
        "snapshot": snapshot.digest,
        "settings": rung.fine_tune.model_dump(),
        "float_where_faster": rung.float_where_faster,
        "reduce_range": reduce_range,
        **job.digests("train", "calibration", "validation"),
    }
    return ModelFile.of(job.workspace.store.run("qat", inputs, CODE, produce))
