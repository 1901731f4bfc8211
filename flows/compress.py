"""The flow: from a registered version to a gated, published edge model on every device of the recipe."""

import logging
from dataclasses import replace
from pathlib import Path

from prefect import flow

from edge_runtime.errors import EdgewrightError
from quality_gates.representativeness import Representativeness
from tasks.compression import Baseline, Trajectory, check_students, distil, measure_baseline, prune
from tasks.delivery import publish, with_recorded_approval
from tasks.errors import SystemFailure
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
from tasks.selection import DeviceTrials, climb, judge, references
from tasks.upstream import Context, DeviceContext, check_representativeness, preflight, resolve
from tasks.workspace import Workspace

logger = logging.getLogger("edgewright")


@flow(name="compress", flow_run_name="{model}-v{version}")
def compress(model: str, version: str, recipe: str, workspace: Workspace | None = None) -> Outcome:
    """Compress one registered version as a recipe says, and publish it where its gates hold.

    `recipe` is a path or the name of a shipped one. A version that was answered with the same recipe, code and
    libraries is not computed again. Raises EdgewrightError for wrong input, which is recorded as the answer.
    """
    workspace = workspace or Workspace.from_environment()
    job = preflight(model, version, Path(recipe), workspace)
    with workspace.scratch(), workspace.exclusive(model):
        Runs(workspace.tracking_uri, model).close_dead()
        found = Runs(workspace.tracking_uri, model).find_answer(version, job.run_key)
        if found is not None:
            return _answered_before(*found)
        runs, run = open_run(job)
        try:
            return _answer(job, runs, run, _compress(job, runs, run))
        except SystemFailure:
            raise  # says nothing about this version: it is asked for again
        except EdgewrightError as error:
            record_outcome(job, runs, run, _outcome(job, run, (), error=str(error)))
            raise


def _compress(job: Job, runs: Runs, run: str) -> tuple[DeviceOutcome, ...]:
    context = Context(job, resolve(job), runs, run)
    check_students(context)
    baseline = measure_baseline(context)
    representativeness = check_representativeness(context)
    trajectory = prune(context, baseline)
    record_search(context, baseline, trajectory)
    return tuple(
        _for_device(context.on(device), baseline, trajectory, representativeness) for device in job.recipe.devices
    )


def _for_device(
    context: DeviceContext, baseline: Baseline, trajectory: Trajectory, representativeness: Representativeness | None
) -> DeviceOutcome:
    beside = references(context, baseline)
    found = climb(context, DeviceTrials(beside), baseline, trajectory, distil(context))
    file = found.chosen.file.path
    judgement = judge(beside, found.chosen, representativeness)
    judgement = replace(judgement, verdict=with_recorded_approval(context, file, judgement.verdict))
    outcome = device_outcome(context, found, judgement)
    content = report_content(context, trajectory, found, judgement, outcome, layer_losses(context, found.chosen))
    edge = record_device(context, found.chosen, judgement, content)
    if outcome.published:
        publish(context, judgement.verdict, file, edge)
    logger.info("%s: %s %s", context.device.name, content.decision, judgement.verdict.headline)
    return outcome.registered(edge.version)


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
