"""Which of the devices' budgets a float model misses as an INT8 file, by measuring it."""

import logging
from collections.abc import Iterator

from deployments.device import DeviceProfile
from edge_runtime.measurement import RESOURCES
from model_compression.pruning import Resource
from quality_gates.evidence import ModelEvidence
from tasks.compression.expected_file import expected_file
from tasks.compression.float_export import Trained, export_snapshot
from tasks.job import Job
from tasks.measurement import measure_on
from tasks.upstream import Parent

logger = logging.getLogger("edgewright")
WEIGHED_AS: dict[str, Resource] = {
    name: resource.weighed_as for name, resource in RESOURCES.items() if resource.weighed_as is not None
}


def missed_budgets(job: Job, parent: Parent, model: Trained) -> list[str]:
    """Measure a model as an INT8 file on every device; says which budgets it misses and by how much."""
    return [
        f"{device.name}: {limit} at {share:.2f} of its budget" for device, limit, share in _uses(job, parent, model)
        if share > 1
    ]  # fmt: skip


def binding_resource(job: Job, parent: Parent, model: Trained) -> Resource:
    """The resource whose budget is furthest away, over all devices; bytes where nothing could be measured."""
    uses = list(_uses(job, parent, model))
    if not uses:
        return "bytes"
    device, limit, share = max(uses, key=lambda use: use[2])
    logger.info("%s: %s binds, at %.2f of the budget of %s", model.title, limit, share, device.name)
    return WEIGHED_AS[limit]


def _uses(job: Job, parent: Parent, model: Trained) -> Iterator[tuple[DeviceProfile, str, float]]:
    for device in job.recipe.devices:
        seen = _measured(job, parent, model, device)
        for limit in device.budgets.limits():
            if seen.resources is not None and limit.resource in WEIGHED_AS and limit.at_most is not None:
                yield device, limit.resource, seen.resources.value(limit.resource) / limit.at_most


def _measured(job: Job, parent: Parent, model: Trained, device: DeviceProfile) -> ModelEvidence:
    """The cheapest file: the ladder's first rung often needs the same, which is then not made again."""
    file = expected_file(job, export_snapshot(job, parent, model), reduce_range=device.saturates)
    return measure_on(job, parent, device, file.path, "validation")
