"""The file by which sizes are expected before any rung is chosen: INT8, or float where that cannot be had."""

import logging

from deployments.device import DeviceProfile
from deployments.techniques import Mixed, PostTraining, QuantizationAware
from model_compression.errors import QuantizationError
from tasks.compression.float_export import ModelFile, export_snapshot
from tasks.compression.rungs import make_file, quantize_ptq
from tasks.compression.snapshots import Snapshot
from tasks.job import Job
from tasks.upstream import Parent, rungs_for

logger = logging.getLogger("edgewright")
STATIC = (PostTraining, Mixed, QuantizationAware)


def expected_file(job: Job, source: ModelFile, *, reduce_range: bool) -> ModelFile:
    """The cheapest INT8 file of a float file, or that file itself where it does not take static quantization."""
    try:
        return quantize_ptq(job, source, method="minmax", reduce_range=reduce_range)
    except QuantizationError as error:
        logger.info("sizes are expected by the float file: %s", error)
        return source


def check_some_rung(job: Job, parent: Parent, whole: Snapshot) -> None:
    """Raise QuantizationError where no rung of the recipe makes a file of the parent for a device."""
    for device in job.recipe.devices:
        refusals = _refusals(job, parent, whole, device)
        if refusals:
            raise QuantizationError(
                f"recipe `{job.recipe.name}`: key `ladder`: expected a rung that this model takes for {device.name}, "
                f"got none ({'; '.join(refusals)}); add `float` to the ladder and fp32 to the device's precisions"
            )


def _refusals(job: Job, parent: Parent, whole: Snapshot, device: DeviceProfile) -> list[str]:
    """What each rung says; nothing where one takes the model. Static ones go first, by a file that is needed anyway."""
    refusals: list[str] = []
    for rung in sorted(rungs_for(job, parent, device), key=lambda rung: not isinstance(rung, STATIC)):
        try:
            if isinstance(rung, STATIC):
                source = export_snapshot(job, parent, whole)
                quantize_ptq(job, source, method="minmax", reduce_range=device.saturates)
            else:
                make_file(job, parent, whole, rung, saturates=device.saturates)
        except QuantizationError as error:
            refusals.append(str(error))
        else:
            return []
    return list(dict.fromkeys(refusals))
