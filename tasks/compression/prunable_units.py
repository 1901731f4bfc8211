"""Units of the parent that can be pruned, found by trial, and tried again after each round."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model_compression.pruning import Protected, failing_units, protected_units, units_of
from tasks.compression.float_models import LOADING, Snapshot
from tasks.upstream import Context

logger = logging.getLogger("edgewright")
TRYING = (protected_units, failing_units, __name__)
CODE = (units_of, *TRYING, *LOADING)


@dataclass(frozen=True)
class Prunable:
    """The layers of the parent that stay, and how many units of each kind may go."""

    protected: tuple[Protected, ...]
    counts: Mapping[str, int]


def prunable_units(context: Context) -> Prunable:
    """Find by trial, once per program, what can be pruned."""
    job, parent, kinds = context.job, context.torch_parent, context.job.recipe.prune.units

    def produce(_: Path) -> dict[str, Any]:
        model = parent.build()
        protected = protected_units(model, parent.example, kinds)
        units = units_of(model, parent.example, kinds, protected)
        return {
            "protected": [[each.layer, each.reason, each.kind] for each in protected],
            "counts": {kind: units.count(kind) for kind in kinds},
        }

    inputs = {"parent": parent.digest, "kinds": list(kinds), **job.digests("validation")}
    value = context.store.run("prunable", inputs, CODE, produce).value
    found = Prunable(tuple(Protected(*each) for each in value["protected"]), value["counts"])
    if not any(found.counts.values()):
        logger.warning("nothing of this model can be pruned; it is quantized as it is")
    return found


def tried_again(context: Context, last: Snapshot, prunable: Prunable) -> Prunable:
    """Try again what is left after a round; what fails is protected from here on."""
    if not last.index:
        return prunable
    parent, kinds = context.torch_parent, context.job.recipe.prune.units

    def produce(_: Path) -> dict[str, Any]:
        failed = failing_units(last.load(parent), parent.example, kinds, prunable.protected)
        return {"protected": [[each.layer, each.reason, each.kind] for each in failed]}

    inputs = {
        "parent": parent.digest,
        "last": last.digest,
        "kinds": list(kinds),
        "protected": [[each.layer, each.kind] for each in prunable.protected],
        **context.job.digests("validation"),
    }
    failed = context.store.run("prunable-again", inputs, CODE, produce).value["protected"]
    for layer, reason, _ in failed:
        logger.warning("after %s, %s stays as it is: %s", last.title, layer, reason)
    return Prunable((*prunable.protected, *(Protected(*each) for each in failed)), prunable.counts)
