"""Whether the rows that teach and calibrate are like those of the deployment sites, said before anything is trained."""

import logging

import numpy as np
from prefect import task
from prefect.cache_policies import NO_CACHE

from deployments.workload import SplitName
from quality_gates.representativeness import Representativeness, RepresentativenessPolicy, Sample, hold_against
from tasks.errors import RepresentativenessError
from tasks.job import Job
from tasks.registry import Runs
from tasks.upstream.parent_outputs import split_outputs, stored_outputs
from tasks.upstream.parents import Parent

logger = logging.getLogger("edgewright")
COMPARED: tuple[SplitName, ...] = ("train", "calibration")
SHOWN = 5


@task(name="representativeness", cache_policy=NO_CACHE)
def check_representativeness(job: Job, parent: Parent, runs: Runs, run: str) -> Representativeness | None:
    """Hold the train and calibration splits against the workload's deployment sample; None where no recipe asks for it.

    A mismatch goes to the log and to a child run. Raises RepresentativenessError for one where the recipe says fail.
    """
    policy = job.recipe.representativeness
    if policy is None or job.sample is None:
        return None
    outputs = np.load(stored_outputs(job, parent, job.sample.inputs, {"deployment": job.sample.digest}))
    predictions = job.workload.predictions(outputs)
    result = hold_against(
        policy,
        {name: _seen(job, parent, name) for name in COMPARED},
        Sample(outputs, predictions, job.sample.targets, job.sample.slices),
        _seen(job, parent, "validation"),
    )
    _log(result)
    _record(runs, run, policy, result)
    if result.findings and result.on_mismatch == "fail":
        raise RepresentativenessError(_refusal(job, result))
    return result


def _seen(job: Job, parent: Parent, name: SplitName) -> Sample:
    split = job.splits[name]
    outputs = np.load(split_outputs(job, parent, name))
    return Sample(outputs, job.workload.predictions(outputs), split.targets, split.slices)


def _log(result: Representativeness) -> None:
    findings = result.findings
    (logger.warning if findings else logger.info)("representativeness: %s", result.headline)
    for finding in findings[:SHOWN]:
        logger.warning("representativeness: %s", finding.sentence)
    if len(findings) > SHOWN:
        logger.warning("representativeness: %d more findings are in the run's table", len(findings) - SHOWN)


def _record(runs: Runs, run: str, policy: RepresentativenessPolicy, result: Representativeness) -> None:
    child = runs.child(run, "representativeness")
    findings = result.findings
    tags = {
        "edgewright.representativeness": "differs" if findings else "alike",
        "edgewright.why": " ".join(finding.sentence for finding in findings) or result.headline,
    }
    figures = {"comparisons": len(result.comparisons), "differ": len(findings), "undecided": result.undecided}
    runs.log(child, params=policy.model_dump(), metrics=figures, tags=tags)
    runs.log(run, tags={"edgewright.representativeness": tags["edgewright.representativeness"]})
    runs.table(child, "representativeness.json", [comparison.model_dump() for comparison in result.comparisons])
    runs.finish(child, failed=bool(findings) and result.on_mismatch == "fail")


def _refusal(job: Job, result: Representativeness) -> str:
    first, *more = result.findings
    rest = f" {len(more)} more findings are in the run's table." if more else ""
    return (
        f"recipe `{job.recipe.name}`: key `representativeness`: expected {' and '.join(COMPARED)} rows like those of "
        f"the deployment sites, got {len(result.findings)} of {len(result.comparisons)} comparisons that differ, the "
        f"largest: {first.sentence}{rest}"
    )
