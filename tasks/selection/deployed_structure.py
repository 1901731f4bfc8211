"""The structure of the deployed release, tried before any other, where the recipe says `keep_structure: prefer`.

Of a family whose backbone has not changed, the backbone's file and all heads but the new ones are kept, whatever the
recipe says.
"""

import logging
from dataclasses import replace

from prefect import task
from prefect.cache_policies import NO_CACHE

from model_compression.errors import CompressionError
from tasks.compression import (
    Baseline,
    DeployedStructure,
    Snapshot,
    Trajectory,
    released_structure,
    released_weights,
    rung_of,
    take_on,
)
from tasks.errors import StructureLost
from tasks.registry import EdgeVersion
from tasks.selection.attempts import Model, Trials
from tasks.selection.kept_structures import KeptStructure
from tasks.selection.told_advances import tell_attempt
from tasks.selection.updated_heads import update_heads
from tasks.upstream import DeviceContext

logger = logging.getLogger("edgewright")
ANEW = "The structure was chosen anew"


@task(name="kept structure", task_run_name="kept structure {context.device.name}", cache_policy=NO_CACHE)
def keep_structure(
    context: DeviceContext, trials: Trials, baseline: Baseline, deployed: EdgeVersion | None
) -> KeptStructure:
    """Try the structure of the deployed release on this version, by the rung that made the release's file.

    It is kept where every gate holds on validation. No other rung is tried with it: its file would have another form.
    """
    kept = _kept(context, trials, baseline, deployed)
    logger.info("%s: %s", context.device.name, kept.sentence)
    return kept


def _kept(context: DeviceContext, trials: Trials, baseline: Baseline, deployed: EdgeVersion | None) -> KeptStructure:
    if not context.job.tasks:
        return _tried(context, trials, baseline, deployed)
    updated = update_heads(context, trials, baseline, deployed)
    if updated.trajectory is not None or context.job.recipe.keep_structure is None:
        return updated
    kept = _tried(context, trials, baseline, deployed)
    before = tuple(each for each in (updated.attempt,) if each is not None)
    return replace(kept, sentence=f"{updated.sentence} {kept.sentence}", before=before)


def _tried(context: DeviceContext, trials: Trials, baseline: Baseline, deployed: EdgeVersion | None) -> KeptStructure:
    if not context.trainable:
        return KeptStructure("The structure is the upstream's own, as an ONNX file is not pruned.")
    if deployed is None:
        return KeptStructure(f"{ANEW}: nothing is deployed on {context.device.name} yet.")
    number = deployed.release
    structure = released_structure(context, deployed)
    if structure is None:
        return KeptStructure(f"{ANEW}: release {number} has no record of its structure that can be read.")
    try:
        rung, weights = rung_of(context, structure), released_weights(context, deployed, structure)
        model = take_on(context, baseline, DeployedStructure(number, structure, weights))
        attempt = trials.attempt(model, rung)
    except (StructureLost, CompressionError) as error:
        return KeptStructure(f"{ANEW}, and not that of release {number}: {error}.")
    if not attempt.verdict.passed:
        missed = ", ".join(sorted(attempt.missed))
        sentence = f"{ANEW}: with that of release {number}, {rung.title} misses {missed} on validation."
        attempt = attempt.saying("Next: another structure.")
        tell_attempt(context, attempt, 0, len(context.rungs))
        return KeptStructure(sentence, attempt)
    tell_attempt(context, attempt, 1, 0)
    snapshots = (baseline.snapshot, model) if isinstance(model, Snapshot) and model.release else (baseline.snapshot,)
    trajectory = Trajectory(snapshots, (), f"the structure of release {number} was kept", (), release=number)
    how = _how(context, model, trained_on=weights is not None)
    return KeptStructure(
        f"The structure of release {number} was kept: {how} holds every gate on validation.", attempt, trajectory
    )


def _how(context: DeviceContext, model: Model, *, trained_on: bool) -> str:
    """Return the model that took it on in words; `trained_on` from the release's own weights."""
    version = f"version {context.job.version}"
    start = ", trained on from its weights," if trained_on else ""
    if not isinstance(model, Snapshot):
        return f"the same student, distilled from {version}{start or ','}"
    return f"{version} without the same units{start}" if model.release else f"{version} as a whole, like that release,"
