"""Notices to people: what came of a version, that a run failed, and what a person is needed for."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from tasks.errors import without_secrets
from tasks.outcomes import DeviceOutcome, Outcome
from tasks.registry import WAITING

Kind: TypeAlias = Literal["published", "refused", "failed", "needs a person"]
KINDS: dict[str, Kind] = {
    "published": "published",
    "partly published": "published",
    "refused": "refused",
    WAITING: "needs a person",
}
Place: TypeAlias = Callable[[DeviceOutcome], str]


@dataclass(frozen=True)
class Notice:
    """A message to people. Its subject is a line that says all; its body is plain text of a few lines."""

    kind: Kind
    subject: str
    body: str


def answered(outcome: Outcome, place: Place) -> Notice:
    """Return the notice of a version's answer: a line for each device with decision, worst gate, size and report."""
    subject = f"Edgewright: {outcome.model} version {outcome.version}: {outcome.decision}"
    lines = [f"Recipe {outcome.recipe}.", *_lines(outcome, place)]
    return Notice(KINDS.get(outcome.answer, "failed"), subject, without_secrets("\n".join(lines)))


def decided(line: DeviceOutcome, place: Place) -> Notice:
    """Return the notice of what persons decided on a version that waited for them on a device."""
    subject = f"Edgewright: {line.model} version {line.version} on {line.device}: {line.answer}"
    said = "" if line.sign_off is None else line.sign_off.sentence
    lines = (f"{line.device}: {line.in_a_line}", said, f"Report: {place(line)}")
    return Notice(KINDS.get(line.answer, "failed"), subject, without_secrets("\n".join(filter(None, lines))))


def rolled_back(model: str, device: str, told: str) -> Notice:
    """Return the notice of a rollback, which is told in a sentence or two."""
    return Notice("published", f"Edgewright: {model} on {device}: rolled back", without_secrets(told))


def ended(model: str, version: str, recipe: str, sentence: str) -> Notice:
    """Return the notice of a run that an error ended, which is told in a sentence."""
    subject = f"Edgewright: {model} version {version}: failed"
    return Notice("failed", subject, without_secrets(f"Recipe {recipe}.\n{sentence}"))


def needs_person(model: str, version: str, what: str) -> Notice:
    """Return the notice that nothing goes on without a person; `what` says why and what to do."""
    return Notice("needs a person", f"Edgewright: {model} version {version}: needs a person", without_secrets(what))


def keys_need_person(what: str) -> Notice:
    """Return the notice that keys or their signatures need a person; `what` says which, why and what to do."""
    return Notice("needs a person", "Edgewright: signing keys: needs a person", without_secrets(what))


def _lines(outcome: Outcome, place: Place) -> Iterator[str]:
    for line in outcome.devices:
        yield f"{line.device}: {line.in_a_line}"
        if line.reasons and not line.published:
            yield f"  {line.reasons[0]}"
        yield f"  Report: {place(line)}"
        if line.waits:
            subject = f"{line.model}/{line.version} --device {line.device}"
            yield f"  Sign: edgewright sign-off {subject} --name NAME --reason WHY"
    for failure in outcome.failures:
        again = " It is asked again." if failure.asked_again else ""
        yield f"{failure.device}: failed. {failure.sentence}{again}"
    if outcome.error is not None:
        yield outcome.error
