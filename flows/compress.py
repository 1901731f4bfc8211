"""The way from a registered version to a gated, published edge model on every device of the recipe."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from deployments.device import DeviceProfile
from edge_runtime.errors import MeasurementFailed, MeasurementInterrupted
from flows.deployed import compress
from flows.exit_codes import as_edgewright
from flows.visibility import tell_decision
from quality_gates.representativeness import Representativeness
from tasks.compression import Baseline, Trajectory, check_students, distil, measure_baseline, prune
from tasks.delivery import (
    KnownAnswers,
    Publication,
    check_keys,
    documents_of,
    publish,
    recover,
    settle_sign_offs,
    signed_before,
    standing_answers,
    superseded,
    with_recorded_approval,
)
from tasks.errors import Overtaken, one_line, says_nothing
from tasks.job import Job
from tasks.measurement import Acceptance, acceptance_of
from tasks.registry import UNDECIDED, Answers, Runs
from tasks.reporting import (
    DeviceFailure,
    DeviceOutcome,
    Outcome,
    description,
    device_outcome,
    open_run,
    record_device,
    record_failure,
    record_layers,
    record_line,
    record_outcome,
    record_search,
    recorded_steps,
    release_tags,
    report_content,
    retell,
    tell_begun,
)
from tasks.selection import (
    Climb,
    DeviceTrials,
    Judgement,
    References,
    climb,
    judge,
    keep_structure,
    references,
    warn_of_worn_rows,
)
from tasks.upstream import Context, DeviceContext, check_representativeness, preflight, resolve
from tasks.workspace import Workspace

__all__ = ["answer_version", "compress"]
logger = logging.getLogger("edgewright")
JUDGED_AGAIN = 3


def answer_version(
    model: str, version: str, recipe: str, workspace: Workspace, again: bool, back: bool, cause: str
) -> Outcome:
    """Do what the flow `compress` says, whose arguments these are."""
    job = preflight(model, version, Path(recipe), workspace)
    with workspace.scratch(), workspace.exclusive(model):
        Runs(workspace.tracking_uri, model).close_dead()
        for line in settle_sign_offs(workspace, model):
            tell_decision(line, workspace)
        known = standing_answers(job, Runs(workspace.tracking_uri, model), again=again, back=back)
        older = superseded(job, known.asked, back=back)
        asked = tuple(device for device in known.asked if device.name not in {each.device for each in older})
        if not asked:
            return _answered_before(job, known, older)
        repeated = None if again else _repeated_error(job)
        if repeated is not None:
            return repeated
        job = replace(job, asked=asked, again=again or back, cause=cause)
        check_keys(workspace, job.devices)
        warn_of_worn_rows(job)
        runs, run = open_run(job)
        tell_begun(job, run)
        try:
            devices, failures = _compress(Context(job, resolve(job), runs, run), back)
        except BaseException as error:
            raise _recorded(job, runs, run, error) from error
        outcome = _outcome(job, run, _in_order(job, *known.devices, *devices), (*known.failures, *older, *failures))
        record_outcome(job, runs, outcome)
        return outcome


def _compress(context: Context, back: bool) -> tuple[list[DeviceOutcome], list[DeviceFailure]]:
    check_students(context)
    baseline = measure_baseline(context)
    representativeness = check_representativeness(context)
    searched = _Searched(context, baseline)
    if not _may_keep(context):
        searched.trajectory()
    devices, failures = list[DeviceOutcome](), list[DeviceFailure]()
    for device in context.job.devices:

        def decide(on: DeviceContext) -> DeviceOutcome:
            return _for_device(on, baseline, searched, representativeness, back)

        ended = _on_device(context, device, decide)
        (devices if isinstance(ended, DeviceOutcome) else failures).append(ended)  # type: ignore[arg-type]
    searched.close()
    return devices, failures


class _Searched:
    """The search for a structure, which is long and which no device needs that keeps its own."""

    def __init__(self, context: Context, baseline: Baseline) -> None:
        self.context, self.baseline = context, baseline
        self._found: Trajectory | None = None

    def trajectory(self) -> Trajectory:
        """Return the trajectory, which the first device that needs it computes."""
        if self._found is None:
            self._found = prune(self.context, self.baseline, recorded_steps(self.context))
            record_search(self.context, self.baseline, self._found)
        return self._found

    def close(self) -> None:
        """Record that nothing was searched, where nothing was."""
        if self._found is None:
            record_search(self.context, self.baseline, None)


def _on_device(
    context: Context, device: DeviceProfile, decide: Callable[[DeviceContext], DeviceOutcome]
) -> DeviceOutcome | DeviceFailure:
    """Decide on one device; an error there is its answer alone. What was overtaken is judged again."""
    failure = DeviceFailure(device=device.name, sentence="", asked_again=True)
    for _ in range(JUDGED_AGAIN):
        on = context.on(device)
        try:
            return decide(on)
        except Exception as error:
            told = as_edgewright(error, context.job.workspace.home)
            logger.error("%s: %s", device.name, told)
            failure = DeviceFailure(device=device.name, sentence=str(told), asked_again=says_nothing(told))
            record_failure(context.runs, on.device_run, failure)
            if not isinstance(told, Overtaken):
                break
    return failure


def _for_device(
    context: DeviceContext, baseline: Baseline, searched: _Searched, representativeness: Representativeness | None,
    back: bool,
) -> DeviceOutcome:  # fmt: skip
    recover(context)
    beside = references(context, baseline)
    found, trajectory = _chosen(beside, baseline, searched)
    file = found.chosen.file.path
    judgement = judge(beside, found.chosen, representativeness)
    judgement = replace(judgement, verdict=with_recorded_approval(context, file, judgement.verdict))
    outcome = device_outcome(context, found, judgement, back=back)
    outcome = signed_before(context, outcome, judgement.verdict)
    content = report_content(context, trajectory, found, judgement, outcome)
    acceptance = _acceptance(context, file, judgement, outcome)
    candidate = record_device(context, found.chosen, judgement, content, acceptance)
    outcome = outcome.kept(candidate)
    if outcome.published:
        page, tags = description(content, context.runs, context.device_run), release_tags(content, context.device_run)
        publication = Publication(
            judgement.verdict,
            file,
            candidate,
            page,
            tags,
            outcome.held_against,
            back,
            outcome.anchor,
            sign_off=outcome.sign_off,
            acceptance=acceptance,
            documents=documents_of(content),
        )
        outcome = outcome.released(publish(context, publication).release)
    record_line(context.runs, outcome)
    logger.info("%s: %s %s", context.device.name, content.decision, judgement.verdict.headline)
    record_layers(context, found.chosen)
    return outcome


def _acceptance(context: DeviceContext, file: Path, judgement: Judgement, outcome: DeviceOutcome) -> Acceptance | None:
    """Measure what devices test the file with; None for a file that could not be measured, or not on these rows.

    Raises MeasurementFailed where the file would be published, as no device would take it.
    """
    measured = judgement.evidence.candidate
    if measured.failure:
        return None
    try:
        return acceptance_of(context, file, measured)
    except MeasurementInterrupted:
        raise
    except MeasurementFailed as error:
        told = f"expected answers to the calibration rows, with which devices test the file, got none: {error}"
        if outcome.published:
            raise MeasurementFailed(f"{context.job.model} version {context.job.version}: {told}") from error
        logger.warning("%s: %s", context.device.name, told)
        return None


def _chosen(beside: References, baseline: Baseline, searched: _Searched) -> tuple[Climb, Trajectory]:
    """Choose the file that goes to the gates: with the structure of what is deployed, else with one chosen anew."""
    context, trials, kept = beside.context, DeviceTrials(beside), None
    if _may_keep(context):
        kept = keep_structure(context, trials, baseline, beside.deployed)
        if kept.attempt is not None and kept.trajectory is not None:
            return kept.climb(kept.attempt), kept.trajectory
    trajectory = searched.trajectory()
    found = climb(context, trials, baseline, trajectory, distil(context))
    return (found if kept is None else kept.after_it(found)), trajectory


def _may_keep(context: Context) -> bool:
    """Tell whether a device may go on with what is deployed, so that no structure needs to be searched."""
    return context.job.recipe.keep_structure is not None or bool(context.job.tasks)


def _recorded(job: Job, runs: Runs, run: str, error: BaseException) -> BaseException:
    """Close the run that an error ended, and return the error in one sentence; a person's interruption stays one."""
    if not isinstance(error, Exception):
        runs.finish(run, failed=True)
        return error
    told = as_edgewright(error, job.workspace.home)
    answer = UNDECIDED if says_nothing(told) else "error"
    try:
        record_outcome(job, runs, _outcome(job, run, (), (), error=str(told), answer=answer))
    except Exception as unrecorded:  # the registry itself may be what failed
        logger.warning("run %s could not be closed: %s", run, one_line(unrecorded))
    return told


def _repeated_error(job: Job) -> Outcome | None:
    """Return the error with which this version was answered before, if it was one."""
    runs = Runs(job.workspace.tracking_uri, job.model)
    found = Answers(runs).error(job.version, job.run_key, job.answer_key)
    if found is None:
        return None
    logger.info("nothing to compute: this version was answered with this recipe and toolchain: error")
    outcome = _outcome(job, found.run, (), (), error=found.sentence, answer="error", reused=True)
    retell(job, outcome)
    return outcome


def _in_order(job: Job, *devices: DeviceOutcome) -> tuple[DeviceOutcome, ...]:
    order = [device.name for device in job.recipe.devices]
    return tuple(sorted(devices, key=lambda line: order.index(line.device)))


def _outcome(
    job: Job, run: str, devices: tuple[DeviceOutcome, ...], failures: tuple[DeviceFailure, ...], *,
    error: str | None = None, answer: str | None = None, reused: bool = False,
) -> Outcome:  # fmt: skip
    return Outcome.model_validate(
        {
            "model": job.model,
            "version": job.version,
            "recipe": job.recipe.name,
            "recipe_digest": job.recipe.digest,
            "run_id": run,
            "answer": answer or Outcome.answer_of(devices, failures),
            "error": error,
            "devices": devices,
            "failures": failures,
            "reused": reused,
        }
    )


def _answered_before(job: Job, known: KnownAnswers, older: tuple[DeviceFailure, ...]) -> Outcome:
    runs = Runs(job.workspace.tracking_uri, job.model)
    outcome = _outcome(job, known.run, known.devices, (*known.failures, *older), reused=True)
    if older:
        for each in older:
            logger.info("%s: nothing to compute: %s", each.device, each.sentence)
        return outcome
    if known.run and not Answers(runs).is_recorded(known.run):
        record_outcome(job, runs, outcome)
    else:
        retell(job, outcome)
    logger.info("nothing to compute: every device was answered with this recipe and toolchain: %s", outcome.answer)
    return outcome
