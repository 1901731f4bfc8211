"""Outcomes: the answer to a version, one line per device, written and read."""

import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, ValidationError

from edge_runtime.measurement import Figures
from quality_gates.report import size
from quality_gates.sign_off import SignOffs
from quality_gates.verdict import Approval, Verdict, VerdictOutcome
from tasks.registry import (
    UNDECIDED,
    WAITING,
    Answers,
    Candidate,
    RecordedAnswer,
    Runs,
)

logger = logging.getLogger("edgewright")
REPORT = "report.html"
EXIT_CODES = {"published": 0, "partly published": 1, "refused": 1, WAITING: 1, "error": 2, UNDECIDED: 3}
WAITS = "waits for sign-off"
DECISION, WORST_GATE, SIZE = "edgewright.decision", "edgewright.worst_gate", "edgewright.size"
Alias: TypeAlias = Literal["deployed", "previous", ""]


class _Plain(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class OfThree(_Plain):
    """One figure of the three models."""

    parent: float | None
    deployed: float | None
    candidate: float | None


class FiguresOfTwo(_Plain):
    """Resource figures of the parent and the candidate."""

    parent: Figures | None
    candidate: Figures | None


class DeviceOutcome(_Plain):
    """The answer to a version on one device class."""

    model: str
    version: str
    device: str
    verdict: VerdictOutcome
    published: bool
    rung: str
    snapshot: str
    accuracy: OfThree
    critical_slice: OfThree | None
    figures: FiguresOfTwo
    reasons: tuple[str, ...]
    deployed_version: str | None
    run_id: str  # of the run that shows this device
    version_run_id: str  # of the run that it is a part of
    candidate: Candidate | None = None  # known once its file is kept with the run
    release: int | None = None  # known once it is published
    held_against: int | None = None  # number of the release that was deployed then
    anchor: int | None = None  # number of the release that was the anchor, where a gate asks for it
    approval: Approval | None = None
    answered_on: str | None = None  # the CPU that the candidate's answers are from
    undecided: bool = False  # nothing was learned of the version: it is asked again
    scores_are_shares: bool = True  # of rows that are right; else accuracy is in the unit of the scores
    refused_on_answers: bool = False  # by figures of its answers: a new toolchain is no second chance
    withheld: bool = False  # the test rows were worn: it is asked again once looks are left
    worst_gate: str | None = None  # the gate that a reader must see first; not in records of older releases
    sign_off: SignOffs | None = None  # where the gates passed and the recipe asks for persons
    goes_back: bool = False  # a person asked for a deliberate way back to an older version

    @property
    def report(self) -> str:
        """Address of the gate report's page."""
        return f"runs:/{self.run_id}/{REPORT}"

    @property
    def waits(self) -> bool:
        """True where the gates passed, and persons have neither signed nor refused yet."""
        return self.sign_off is not None and not self.published and not self.undecided and not self.refusal

    @property
    def refusal(self) -> str:
        """The sentence on why persons did not let a version through that passed its gates; empty where they did not."""
        ended = self.sign_off is not None and not self.published and self.sign_off.state in ("refused", "expired")
        return self.sign_off.sentence if ended and self.sign_off is not None else ""

    @property
    def is_no_second_chance(self) -> bool:
        """True where the version was refused for what another toolchain cannot change: its answers, or by a person."""
        refused = self.sign_off is not None and self.sign_off.state == "refused"
        return self.refused_on_answers or (refused and self.answer == "refused")

    @property
    def answer(self) -> str:
        """The answer in a word."""
        if self.published:
            return "published"
        return UNDECIDED if self.undecided else WAITING if self.waits else "refused"

    @property
    def decision(self) -> str:
        """The answer as people read it: `approved` where it was published on an approval."""
        if self.waits:
            return WAITS
        return "approved" if self.published and self.approval is not None else self.answer

    @property
    def size(self) -> str:
        """The size of the candidate's file with its unit; a dash where it was not measured."""
        return size(None if self.figures.candidate is None else self.figures.candidate.size_bytes)

    @property
    def in_a_line(self) -> str:
        """The decision, the worst gate and the size of the file: the end of a run's name."""
        closest = "closest: " if self.verdict == "pass" else ""
        gate = [] if self.worst_gate is None else [f"{closest}{self.worst_gate}"]
        signed = [self.sign_off.count] if self.waits and self.sign_off is not None else []
        return f"{self.decision} ({', '.join([*signed, *gate, self.size])})"

    @property
    def tags(self) -> dict[str, str]:
        """The tags that MLflow's list of runs shows as columns."""
        return {DECISION: self.decision, WORST_GATE: self.worst_gate or "", SIZE: self.size}

    @property
    def exit_code(self) -> int:
        """The exit code of a command that ends with this."""
        return EXIT_CODES[self.answer]

    def kept(self, candidate: Candidate) -> Self:
        """Return a copy that names the run and the folder of its file."""
        return self.model_copy(update={"candidate": candidate})

    def released(self, release: int) -> Self:
        """Return a copy with the number of its release."""
        return self.model_copy(update={"release": release})

    def approved(self, verdict: Verdict, release: int) -> Self:
        """Return a copy with an overridden verdict and its release."""
        changed = {"verdict": verdict.outcome, "published": True, "undecided": False, "approval": verdict.approval}
        return self.model_copy(update=changed).released(release)

    def decided_by(self, sign_offs: SignOffs, release: int | None = None) -> Self:
        """Return a copy with what persons have decided; with a release it is published."""
        changed = {"sign_off": sign_offs, "published": release is not None, "release": release}
        after = self.model_copy(update=changed)
        return after.model_copy(update={"reasons": (after.refusal,)}) if after.refusal else after

    def overtaken(self, sentence: str) -> Self:
        """Return a copy of one that waited, while what it was held against was replaced: it is asked again."""
        return self.model_copy(update={"undecided": True, "reasons": (sentence,)})

    def at(self, now: datetime) -> Self:
        """Return the outcome at a moment: one that waited for too long is refused."""
        if not self.waits or self.sign_off is None:
            return self
        return self.decided_by(self.sign_off.at(now))


class DeviceFailure(_Plain):
    """An error on one device class; `asked_again` where it says nothing about the version."""

    device: str
    sentence: str
    asked_again: bool
    of_today: bool = False  # held, or older than what is deployed: no answer to the version

    @property
    def exit_code(self) -> int:
        """The exit code of a command that ends with this."""
        return EXIT_CODES[UNDECIDED if self.asked_again else "error"]


class Outcome(_Plain):
    """The answer to a version; `reused` where it had been answered before and nothing was computed.

    `error` is a sentence where there are no outcomes of devices at all; `failures` are the errors of single ones.
    """

    model: str
    version: str
    recipe: str
    recipe_digest: str
    run_id: str
    answer: Literal["published", "partly published", "waiting", "refused", "error", "undecided"]
    error: str | None = None
    devices: tuple[DeviceOutcome, ...] = ()
    failures: tuple[DeviceFailure, ...] = ()
    reused: bool = False

    @classmethod
    def answer_of(cls, devices: Sequence[DeviceOutcome], failures: Sequence[DeviceFailure] = ()) -> str:
        """Return the answer that follows from the outcomes and the errors on each device."""
        if any(device.undecided for device in devices) or any(failure.asked_again for failure in failures):
            return UNDECIDED
        if any(device.waits for device in devices):
            return WAITING
        published = sum(device.published for device in devices)
        if published:
            return "published" if published == len(devices) + len(failures) else "partly published"
        return "error" if failures else "refused"

    @property
    def worst(self) -> DeviceOutcome | None:
        """The outcome on the device that a reader must see first: one that got nothing, one by approval, else any."""
        return min(self.devices, key=_seen_first, default=None)

    @property
    def decision(self) -> str:
        """The answer in a word, `approved` where it was published and an approval was needed on a device."""
        if self.answer == WAITING:
            return WAITS
        approved = any(device.decision == "approved" for device in self.devices)
        return "approved" if approved and self.answer == "published" else self.answer

    @property
    def in_a_line(self) -> str:
        """The decision, and the worst gate and the size of the file on the worst device: the end of a run's name."""
        worst = self.worst
        if worst is None:
            return self.decision
        told = worst.in_a_line.partition("(")[2]
        return f"{self.decision} ({worst.device}: {told}"

    @property
    def tags(self) -> dict[str, str]:
        """The tags that MLflow's list of runs shows as columns: worst gate and size are those of the worst device."""
        return (self.worst.tags if self.worst else {}) | {DECISION: self.decision}

    @property
    def exit_code(self) -> int:
        """The exit code of a command that ends with this: 0 published, 1 refused, 2 an error, 3 asked again."""
        return max(
            [EXIT_CODES[self.answer], *(d.exit_code for d in self.devices), *(f.exit_code for f in self.failures)]
        )


def _seen_first(line: DeviceOutcome) -> tuple[bool, bool, bool]:
    return line.published, line.waits, line.decision != "approved"


def device_answers(runs: Runs) -> Iterator[tuple[RecordedAnswer, DeviceOutcome]]:
    """Yield every decision of the gates on a device, the earliest first; errors are none."""
    for recorded in Answers(runs).of_devices():
        line = None if recorded.answer == "error" else read_line(recorded)
        if line is not None:
            yield recorded, line


def read_line(recorded: RecordedAnswer, *, as_recorded: bool = False) -> DeviceOutcome | None:
    """Read a device's outcome; None, with a warning, for another form, such as that of another release.

    One that waited for too long is refused by now, unless it is wanted `as_recorded`. An outcome that names another
    run, version or device than its run does is no answer either: somebody changed it.
    """
    try:
        line = DeviceOutcome.model_validate(recorded.outcome)
    except ValidationError as error:
        logger.warning(
            "run %s: an answer in another form is passed over (%d differences)", recorded.run, error.error_count()
        )
        return None
    told = {"run": line.run_id, "parent": line.version_run_id, "version": line.version, "device": line.device}
    differing = [name for name, text in told.items() if getattr(recorded, name) != text]
    if differing:
        logger.warning("run %s: an answer that names another %s is passed over", recorded.run, " and ".join(differing))
        return None
    return line if as_recorded else line.at(datetime.now(UTC))
