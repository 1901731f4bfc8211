"""The parent before anything is removed: its answers, its file, and the size that quantization alone would reach."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from prefect import task
from prefect.cache_policies import NO_CACHE

from deployments.rungs import Rung
from model_compression.errors import QuantizationError
from tasks.compression.float_models import FloatSource, ModelFile, Snapshot
from tasks.compression.rung_files import MINMAX, float_file, make_file, make_rung
from tasks.upstream import Context, DeviceContext, check_parent_answers

logger = logging.getLogger("edgewright")


@dataclass(frozen=True)
class Baseline:
    """The parent as snapshot 0, its portable FP32 file, and the fixed part of an INT8 file of its graph."""

    snapshot: Snapshot
    onnx: Path
    graph_bytes: int  # of an INT8 file of this graph, beside its weights

    def least_bytes(self, model: Snapshot, rungs: Sequence[Rung]) -> float:
        """Estimate the smallest file that one of these rungs makes of a model; no file is smaller."""
        whole = model.weight_bytes + self.graph_bytes
        return min(whole if rung.static else rung.bytes_per_parameter * model.parameters for rung in rungs)


@task(name="baseline", task_run_name="baseline", cache_policy=NO_CACHE)
def measure_baseline(context: Context) -> Baseline:
    """Evaluate the parent, export it, and quantize it once to know the size of an INT8 file of its graph.

    Raises PreflightError for a parent whose answers show nothing, and QuantizationError where no rung of the recipe
    makes a file of the parent for a device.
    """
    job, parent = context.job, context.parent
    validation = context.parent_outputs("validation")
    accuracy = check_parent_answers(context, np.load(validation, mmap_mode="r"))
    if context.trainable:
        context.parent_outputs("train")  # they teach every later round
    whole = Snapshot.original(parent.digest, *parent.footprint(), accuracy, validation)
    onnx = float_file(context, whole)
    for device in job.devices:
        _check_some_rung(context.on(device), whole)
    expected = _int8_file(context, whole, reduce_range=False)
    graph_bytes = max(0, expected.size_bytes - whole.weight_bytes)
    logger.info("parent: %s parameters, validation %s %.3f", f"{whole.parameters:,}", job.score_word, accuracy)
    return Baseline(whole, onnx.path, graph_bytes)


def expected_file(context: DeviceContext, source: FloatSource) -> ModelFile:
    """Return the file from which a device's sizes and times are estimated before any rung is chosen.

    That is the cheapest INT8 file where the device has a rung with fixed ranges. Elsewhere it is the file of the rung
    with the fewest bits that the model takes, or else the float file. The ladder's first rung often needs the same
    file, which is then not made again.
    """
    if any(rung.static for rung in context.rungs):
        return _int8_file(context, source, reduce_range=context.device.saturates)
    for rung in sorted(context.rungs, key=lambda rung: rung.bytes_per_parameter):
        try:
            return make_file(context, source, rung)
        except QuantizationError as error:
            logger.info("sizes are not expected by %s: %s", rung.title, error)
    return float_file(context, source)


def _int8_file(context: Context, source: FloatSource, *, reduce_range: bool) -> ModelFile:
    """Return the cheapest INT8 file, or the float file where the model cannot be quantized statically."""
    try:
        return make_rung(context, source, MINMAX, reduce_range=reduce_range)
    except QuantizationError as error:
        logger.info("sizes are expected by the float file: %s", error)
        return float_file(context, source)


def _check_some_rung(context: DeviceContext, whole: Snapshot) -> None:
    refusals = _refusals(context, whole)
    if refusals:
        raise QuantizationError(
            f"recipe `{context.job.recipe.name}`: key `ladder`: expected a rung that this model takes for "
            f"{context.device.name}, got none ({'; '.join(refusals)}); add `float` to the ladder and fp32 to the "
            "device's precisions"
        )


def _refusals(context: DeviceContext, whole: Snapshot) -> list[str]:
    """Return each rung's reason against the model; an empty list as soon as one rung can make a file.

    Static rungs are tried first because their file is needed anyway.
    """
    refusals: list[str] = []
    for rung in sorted(context.rungs, key=lambda rung: not rung.static):
        tried: Rung = MINMAX if rung.static else rung
        try:
            make_file(context, whole, tried)
        except QuantizationError as error:
            refusals.append(str(error))
        else:
            return []
    return list(dict.fromkeys(refusals))
