"""Comparison of the train and calibration rows with a sample of the deployment sites, before anything is trained."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
from prefect import task
from prefect.cache_policies import NO_CACHE

from deployments.answers import predictions_of
from deployments.families import JointWorkload
from deployments.workload import SplitName
from quality_gates.representativeness import Representativeness, RepresentativenessPolicy, Sample, hold_against
from tasks.errors import RepresentativenessError
from tasks.job import Job
from tasks.upstream.context import Context
from tasks.upstream.parents import stored_outputs

logger = logging.getLogger("edgewright")
COMPARED: tuple[SplitName, ...] = ("train", "calibration")
SHOWN = 5


@task(name="representativeness", task_run_name="representativeness", cache_policy=NO_CACHE)
def check_representativeness(context: Context) -> Representativeness | None:
    """Compare the train and calibration splits with the workload's deployment sample; None where no recipe asks for it.

    A mismatch goes to the log and to a child run. Raises RepresentativenessError for one where the recipe says fail.
    """
    job = context.job
    policy = job.recipe.representativeness
    if policy is None or job.sample is None:
        return None
    outputs = _mapped(stored_outputs(job, context.parent, job.sample.inputs, {"deployment": job.sample.digest}))
    result = hold_against(
        policy,
        {name: _seen(context, name) for name in COMPARED},
        _sample(job, outputs, job.sample.targets, job.sample.slices),
        _seen(context, "validation"),
    )
    _log(result)
    _record(context, policy, result)
    if result.findings and result.on_mismatch == "fail":
        raise RepresentativenessError(_refusal(job.recipe.name, result))
    return result


def _seen(context: Context, name: SplitName) -> Sample:
    split = context.job.splits[name]
    return _sample(context.job, _mapped(context.parent_outputs(name)), split.targets, split.slices)


def _mapped(path: Path) -> np.ndarray:
    outputs: np.ndarray = np.load(path, mmap_mode="r")
    return outputs


def _sample(job: Job, outputs: np.ndarray, targets: np.ndarray | None, slices: pd.DataFrame) -> Sample:
    """Return rows as they are compared: classes and numbers of boxes by their shares, values by their size."""
    if job.workload.task == "detection" and targets is not None:
        targets = (targets[..., -1] >= 0).sum(axis=1)  # the number of boxes in each row
    if isinstance(job.workload, JointWorkload):
        targets = None  # of several tasks at once, which a row may know or not; slice columns tell of them
    if not job.workload.answers_are_values:
        return Sample.of(outputs, predictions_of(job.workload, outputs), targets, slices)
    values = outputs.reshape(len(outputs), -1).mean(axis=1)
    if targets is not None and targets.ndim > 2:  # masks, by the mean of their class numbers
        targets = targets.reshape(len(targets), -1).mean(axis=1)
    return Sample.of(outputs, values, None if targets is None else targets.astype(float), slices)


def _log(result: Representativeness) -> None:
    findings = result.findings
    (logger.warning if findings else logger.info)("representativeness: %s", result.headline)
    for finding in findings[:SHOWN]:
        logger.warning("representativeness: %s", finding.sentence)
    if len(findings) > SHOWN:
        logger.warning("representativeness: %d more findings are in the run's table", len(findings) - SHOWN)


def _record(context: Context, policy: RepresentativenessPolicy, result: Representativeness) -> None:
    runs = context.runs
    child = runs.child(context.run, "representativeness")
    findings = result.findings
    tags = {
        "edgewright.representativeness": "differs" if findings else "alike",
        "edgewright.why": " ".join(finding.sentence for finding in findings) or result.headline,
    }
    figures = {"comparisons": len(result.comparisons), "differ": len(findings), "undecided": result.undecided}
    runs.log(child, params=policy.model_dump(), metrics=figures, tags=tags)
    runs.log(context.run, tags={"edgewright.representativeness": tags["edgewright.representativeness"]})
    runs.tables(child, {"representativeness.json": [comparison.model_dump() for comparison in result.comparisons]})
    runs.finish(child, failed=bool(findings) and result.on_mismatch == "fail")


def _refusal(recipe: str, result: Representativeness) -> str:
    first, *more = result.findings
    rest = f" {len(more)} more findings are in the run's table." if more else ""
    return (
        f"recipe `{recipe}`: key `representativeness`: expected {' and '.join(COMPARED)} rows like those of "
        f"the deployment sites, got {len(result.findings)} of {len(result.comparisons)} comparisons that differ, the "
        f"largest: {first.sentence}{rest}"
    )
