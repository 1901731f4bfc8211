"""Answers that stand: those of devices that were given before and whose releases are still where they were put."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from deployments.device import DeviceProfile
from tasks.delivery.publication import held, is_in_place, is_older, older_than
from tasks.delivery.sign_offs import standing_of
from tasks.job import Job
from tasks.registry import Answers, EdgeModels, EdgeVersion, RecordedAnswer, Runs
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
    deployed. Where a person rolled back from it, it does not: holds say then what may be published. With `back`, it
    stands only while the release is the deployed one. One that was refused stands with `back` too, and on its answers
    whatever the toolchain is now; one for which the test rows were worn stands until looks are left. One that waits for
    sign-off stands until persons have decided, or something else is deployed than its gates saw; then it is judged
    again.
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


def still_waits(job: Job, device: DeviceProfile) -> bool:
    """Tell whether an answer that waits for sign-off stands: in time, undecided, and what its gates saw is deployed."""
    found = _standing(job, Runs(job.workspace.tracking_uri, job.model), device, back=False)
    return isinstance(found, DeviceOutcome) and found.waits


def superseded(job: Job, devices: Sequence[DeviceProfile], *, back: bool = False) -> tuple[DeviceFailure, ...]:
    """Return the devices that a person holds the version back from, or that have a newer one, each with a sentence.

    `back` lets an older version replace a newer one; a hold is lifted by name alone. All of that is true of today and
    not of the version, so it is said before any work, and never recorded for the device.
    """
    models = EdgeModels(job.workspace.tracking_uri, job.model)
    told = {device.name: _in_the_way(job, models, device.name, back=back) for device in devices}
    return tuple(
        DeviceFailure(device=name, sentence=sentence, asked_again=False, of_today=True)
        for name, sentence in told.items()
        if sentence
    )


def _in_the_way(job: Job, models: EdgeModels, device: str, *, back: bool) -> str:
    """Return why a version is not for a device today; empty where it is."""
    hold = models.hold_on(device, job.version)
    if hold is not None:
        return held(job.model, device, hold)
    now = None if back else models.deployed(device)
    return older_than(job.model, job.version, now) if now is not None and is_older(job.version, now) else ""


def _standing(job: Job, runs: Runs, device: DeviceProfile, *, back: bool) -> DeviceOutcome | DeviceFailure | None:
    read = (_read(recorded) for recorded in Answers(runs).of_device(job.version, job.device_key(device)))
    newest = next((each for each in read if each is not None), None)
    if newest is None:
        return _refused_before(job, runs, device)
    if not isinstance(newest, DeviceOutcome):
        return newest
    if newest.published:
        return newest if _is_there(job, device, newest, back=back) else None
    if newest.waits:
        return newest if standing_of(job.workspace, newest, job.recipe) == "stands" else None
    return None if newest.withheld and withheld(next_look(job, job.question_key(device))) is None else newest


def _refused_before(job: Job, runs: Runs, device: DeviceProfile) -> DeviceOutcome | None:
    """Return the answer of another toolchain where it refused the version on its answers: there is no second chance.

    What it published, or refused for its size, its times or an error, is asked for again.
    """
    read = (_read(recorded) for recorded in Answers(runs).to_question(job.version, job.question_key(device)))
    newest = next((each for each in read if isinstance(each, DeviceOutcome)), None)
    if newest is None or not newest.is_no_second_chance:
        return None
    logger.info(
        "%s: version %s was refused on its answers or by a person before, and a new toolchain is no second chance; ask "
        "with --again", device.name, job.version,
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
    rollback = deployed.rollback
    if line.release not in (deployed.release, rollback.restored if rollback else None):
        return deployed.release > line.release and not back and not _was_left(line, deployed)
    return is_in_place(job.workspace, device, job.model, deployed.release)


def _was_left(line: DeviceOutcome, deployed: EdgeVersion) -> bool:
    """Tell whether a rollback to the deployed release left this one, or went back behind its version."""
    if deployed.rollback is None:
        return False
    return line.release == deployed.rollback.left or int(line.version) > int(deployed.source_version)
