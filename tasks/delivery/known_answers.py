"""Answers that stand: those of devices that were given before and whose releases are still where they were put."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from deployments.device import DeviceProfile
from tasks.delivery.publication import is_in_place, is_older, older_than
from tasks.job import Job
from tasks.registry import Answers, EdgeModels, RecordedAnswer, Runs
from tasks.reporting import DeviceFailure, DeviceOutcome, read_line
from tasks.selection import next_look, withheld

logger = logging.getLogger("edgewright")


@dataclass(frozen=True)
class KnownAnswers:
    """The devices that have their answer, those that ended in an error, and those that want one."""

    devices: tuple[DeviceOutcome, ...]
    failures: tuple[DeviceFailure, ...]
    asked: tuple[DeviceProfile, ...]

    @property
    def run(self) -> str:
        """The run of the version, empty where no device was answered."""
        return self.devices[0].version_run_id if self.devices else ""


def standing_answers(job: Job, runs: Runs, *, again: bool = False, back: bool = False) -> KnownAnswers:
    """Look up the answer of each device of the recipe; with `again` none counts.

    A published answer stands only while the destination holds the bundle of the release, or a later release was
    deployed. With `back`, it stands only while the release is the deployed one. One that was refused stands with `back`
    too, and on its answers whatever the toolchain is now; one for which the test rows were worn stands until looks are
    left.
    """
    devices, failures, asked = [], [], []
    for device in job.recipe.devices:
        found = None if again else _standing(job, runs, device, back=back)
        if isinstance(found, DeviceOutcome):
            devices.append(found)
        elif isinstance(found, DeviceFailure):
            failures.append(found)
        else:
            asked.append(device)
    return KnownAnswers(tuple(devices), tuple(failures), tuple(asked))


def superseded(job: Job, devices: Sequence[DeviceProfile]) -> tuple[DeviceFailure, ...]:
    """Return the devices on which a newer version is deployed, each with the sentence that says how to go back.

    That is true of today and not of the version, so it is said before any work, and never recorded for the device.
    """
    models, found = EdgeModels(job.workspace.tracking_uri, job.model), []
    for device in devices:
        now = models.deployed(device.name)
        if now is not None and is_older(job.version, now):
            sentence = older_than(job.model, job.version, now)
            found.append(DeviceFailure(device=device.name, sentence=sentence, asked_again=False))
    return tuple(found)


def _standing(job: Job, runs: Runs, device: DeviceProfile, *, back: bool) -> DeviceOutcome | DeviceFailure | None:
    read = (_read(recorded) for recorded in Answers(runs).of_device(job.version, job.device_key(device)))
    newest = next((each for each in read if each is not None), None)
    if newest is None:
        return _refused_before(job, runs, device)
    if not isinstance(newest, DeviceOutcome):
        return newest
    if newest.published:
        return newest if _is_there(job, device, newest, back=back) else None
    return None if newest.withheld and withheld(next_look(job, job.question_key(device))) is None else newest


def _refused_before(job: Job, runs: Runs, device: DeviceProfile) -> DeviceOutcome | None:
    """Return the answer of another toolchain where it refused the version on its answers: there is no second chance.

    What it published, or refused for its size, its times or an error, is asked for again.
    """
    read = (_read(recorded) for recorded in Answers(runs).to_question(job.version, job.question_key(device)))
    newest = next((each for each in read if isinstance(each, DeviceOutcome)), None)
    if newest is None or not newest.refused_on_answers:
        return None
    logger.info(
        "%s: version %s was refused on its answers before, and a new toolchain is no second chance; ask with --again",
        device.name, job.version,
    )  # fmt: skip
    return newest


def _read(recorded: RecordedAnswer) -> DeviceOutcome | DeviceFailure | None:
    if recorded.answer != "error":
        return read_line(recorded)
    try:
        return DeviceFailure.model_validate(recorded.outcome)
    except ValidationError:
        return None


def _is_there(job: Job, device: DeviceProfile, line: DeviceOutcome, *, back: bool) -> bool:
    """Tell whether a release is deployed and its bundle in place, or was replaced by a later one."""
    deployed = EdgeModels(job.workspace.tracking_uri, job.model).deployed(device.name)
    if deployed is None or line.release is None:
        return False
    if deployed.release != line.release:
        return deployed.release > line.release and not back
    return is_in_place(job.workspace, device, job.model, deployed.release)
