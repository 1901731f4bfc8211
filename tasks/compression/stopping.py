"""Reasons to stop pruning: every device's budgets hold as measured, or a floor on validation broke."""

import logging
from collections.abc import Iterator

from deployments.device import DeviceProfile
from edge_runtime.measurement import RESOURCES
from model_compression.pruning import Resource
from quality_gates.evidence import in_slice
from quality_gates.policy import NonInferiority
from tasks.compression.float_models import FloatSource, Snapshot
from tasks.compression.parent_baseline import expected_file
from tasks.job import Job
from tasks.measurement import answer_rows, measure_on
from tasks.upstream import Context

logger = logging.getLogger("edgewright")
WEIGHED_AS: dict[str, Resource] = {
    name: resource.weighed_as for name, resource in RESOURCES.items() if resource.weighed_as is not None
}


def missed_budgets(context: Context, model: FloatSource) -> list[str]:
    """Measure a model as an INT8 file on every device; return the budgets that it misses and by how much."""
    return [
        f"{device.name}: {limit} at {share:.2f} of its budget" for device, limit, share in _uses(context, model)
        if share > 1
    ]  # fmt: skip


def binding_resource(context: Context, model: FloatSource) -> Resource:
    """Return the resource whose budget is furthest away, over all devices; bytes where nothing could be measured."""
    uses = list(_uses(context, model))
    if not uses:
        return "bytes"
    device, limit, share = max(uses, key=lambda use: use[2])
    logger.info("%s: %s binds, at %.2f of the budget of %s", model.title, limit, share, device.name)
    return WEIGHED_AS[limit]


def _uses(context: Context, model: FloatSource) -> Iterator[tuple[DeviceProfile, str, float]]:
    """Yield (device, resource, share of its budget). The file is the cheapest INT8 one."""
    for device in context.job.recipe.devices:
        file = expected_file(context, model, reduce_range=device.saturates)
        seen = measure_on(context.on(device), file.path, "validation")
        for limit in device.budgets.limits():
            if seen.resources is not None and limit.resource in WEIGHED_AS and limit.at_most is not None:
                yield device, limit.resource, seen.resources.value(limit.resource) / limit.at_most


def broken_floor(job: Job, parent: Snapshot, after: Snapshot) -> str | None:
    """Return a sentence on the floor that a snapshot broke; None where it broke none.

    The accuracy floor is the recipe's; on a critical slice it is the margin of the gate against the parent.
    """
    floor = parent.accuracy - job.recipe.prune.accuracy_floor
    if after.accuracy < floor:
        return f"{after.title} fell to {after.accuracy:.3f} on validation, below the floor of {floor:.3f}"
    rows, before = (answer_rows(job, "validation", each.validation_outputs) for each in (after, parent))
    for gate in job.recipe.gates:
        if (
            not isinstance(gate, NonInferiority)
            or (gate.metric, gate.against) != ("accuracy", "parent")
            or not gate.slice
        ):
            continue
        critical = in_slice(rows, gate.slice)
        then, now = (float(each["score"][critical].mean()) for each in (before, rows))
        if then - now > gate.margin:
            return (
                f"{after.title} fell from {then:.3f} to {now:.3f} on the validation rows with {gate.slice}, by more "
                f"than the margin of {gate.margin:g}"
            )
    return None
