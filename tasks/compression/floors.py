"""How much a round of pruning may lose on the validation rows: of accuracy, and on each critical slice."""

from quality_gates.evidence import in_slice
from quality_gates.gates import NonInferiority
from tasks.compression.snapshots import Snapshot
from tasks.job import Job
from tasks.measurement import answer_rows


def broken_floor(job: Job, parent: Snapshot, after: Snapshot) -> str | None:
    """Say which floor a snapshot broke; None where it broke none.

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
