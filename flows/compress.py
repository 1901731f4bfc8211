"""The flow: from a registered version to a gated, published edge model on every device of the recipe."""

import logging
from pathlib import Path

from prefect import flow

from deployments.device import DeviceProfile
from edge_runtime.errors import EdgewrightError
from quality_gates.representativeness import Representativeness
from tasks.compression import Baseline, Trajectory, check_students, distil, measure_baseline, prune
from tasks.delivery import publish, with_recorded_approval
from tasks.errors import RegistryUnavailable
from tasks.job import Job
from tasks.registry import Runs
from tasks.reporting import (
    DeviceOutcome,
    Outcome,
    device_outcome,
    layer_losses,
    open_run,
    record_device,
    record_outcome,
    record_search,
    report_content,
)
from tasks.selection import climb, judge, references
from tasks.upstream import Parent, check_representativeness, preflight, resolve
from tasks.workspace import Workspace

logger = logging.getLogger("edgewright")


@flow(name="compress", flow_run_name="{model}-v{version}")
def compress(model: str, version: str, recipe: str, workspace: Workspace | None = None) -> Outcome:
    """Compress one registered version as a recipe says, and publish it where its gates hold.

    `recipe` is a path or the name of a shipped one. A version that was answered with the same recipe, code and
    libraries is not computed again. Raises EdgewrightError for what is wrong with the input, recorded as the answer.
    """
    workspace = workspace or Workspace.from_environment()
    job = preflight(model, version, Path(recipe), workspace)
    with workspace.exclusive(model):
        found = Runs(workspace.tracking_uri, model).find_answer(version, job.run_key)
        if found is not None:
            return _answered_before(*found)
        runs, run = open_run(job)
        try:
            return _answer(job, runs, run, _compress(job, runs, run))
        except RegistryUnavailable:
            raise  # says nothing about this version: it is asked for again
        except EdgewrightError as error:
            record_outcome(job, runs, run, _outcome(job, run, (), error=str(error)))
            raise


def _compress(job: Job, runs: Runs, run: str) -> tuple[DeviceOutcome, ...]:
    parent = resolve(job)
    check_students(job, parent)
    baseline = measure_baseline(job, parent)
    representativeness = check_representativeness(job, parent, runs, run)
    trajectory = prune(job, parent, baseline)
    record_search(job, runs, run, baseline, trajectory)
    return tuple(
        _for_device(job, runs, run, parent, baseline, trajectory, device, representativeness)
        for device in job.recipe.devices
    )


def _for_device(
    job: Job, runs: Runs, run: str, parent: Parent, baseline: Baseline, trajectory: Trajectory, device: DeviceProfile,
    representativeness: Representativeness | None,
) -> DeviceOutcome:  # fmt: skip
    beside = references(job, parent, baseline, device)
    deployed = beside.deployed.source_version if beside.deployed else None
    found = climb(beside, baseline, trajectory, distil(job, parent, device))
    verdict, evidence = judge(beside, found.chosen, representativeness)
    verdict = with_recorded_approval(job, runs, run, device, found.chosen.file.path, verdict)
    layers = layer_losses(job, parent, device, found.chosen)
    content = report_content(
        job, device, trajectory, found, verdict, evidence, deployed, runs, run, layers, representativeness
    )
    edge, report = record_device(job, runs, run, device, found, verdict, evidence, content)
    if verdict.releases:
        publish(job, device, verdict, found.chosen.file.path, edge)
    logger.info("%s: %s %s", device.name, content.decision, verdict.headline)
    return device_outcome(
        job, device, found, verdict, evidence, deployed=deployed, edge_version=edge.version, report=report,
        held_against=beside.deployed.version if beside.deployed else None,
    )  # fmt: skip


def _answer(job: Job, runs: Runs, run: str, devices: tuple[DeviceOutcome, ...]) -> Outcome:
    outcome = _outcome(job, run, devices)
    record_outcome(job, runs, run, outcome)
    return outcome


def _outcome(job: Job, run: str, devices: tuple[DeviceOutcome, ...], error: str | None = None) -> Outcome:
    return Outcome.model_validate(
        {
            "model": job.model,
            "version": job.version,
            "recipe": job.recipe.name,
            "recipe_digest": job.recipe.digest,
            "run_id": run,
            "answer": "error" if error else Outcome.answer_of(devices),
            "error": error,
            "devices": devices,
        }
    )


def _answered_before(run: str, answer: str, outcome: dict[str, object]) -> Outcome:
    logger.info("nothing to compute: run %s answered this version with this recipe and toolchain: %s", run, answer)
    return Outcome.model_validate(outcome | {"reused": True})
