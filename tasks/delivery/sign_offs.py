"""Sign-offs: persons let a candidate that passed its gates be published, long after its run has ended.

Each decision is an artifact of the device's run, one file for each name, so that two who sign at the same time both
count. The files are the truth: tags, report and answer are written from them, and `settle_sign_offs` brings up to date
what a kill left behind, what has expired, and what has to be judged again.
"""

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError

from deployments.recipe import Recipe
from edge_runtime.errors import EdgewrightError
from quality_gates.errors import ApprovalError, SignOffError
from quality_gates.sign_off import SignOff, SignOffChoice, SignOffs, SignOffSubject, check_person, folded
from quality_gates.signatures import public_key, sign
from quality_gates.verdict import Verdict
from tasks.delivery.publication import check_signed, put_in_place
from tasks.delivery.recorded_candidates import COMPRESS_AGAIN, RecordedCandidate
from tasks.errors import AnchorLost, Held, Overtaken, RegistryError, SystemFailure, is_of_system, one_line, says_nothing
from tasks.registry import WAITING, Answers, EdgeModels, RecordedAnswer, Runs, Upstream
from tasks.reporting import DeviceOutcome, device_answers, read_line, record_line
from tasks.upstream import DeviceContext
from tasks.workspace import Workspace

logger = logging.getLogger("edgewright")
FOLDER = "sign-offs"
Standing: TypeAlias = Literal["stands", "overtaken", "decided"]


@dataclass(frozen=True)
class Person:
    """A person who decides: a name, a reason, and the key that proves the name where the recipe lists one."""

    name: str
    reason: str
    key: Ed25519PrivateKey | None = None


def sign_off_version(
    workspace: Workspace, model: str, version: str, device: str | None, person: Person, *,
    refuse: bool = False, run: str | None = None,
) -> DeviceOutcome:  # fmt: skip
    """Record a person's decision on a candidate that waits for it, and publish it when enough have signed.

    Without a device, the only one that waits is meant; `run` is that of the version or the device, where one was named.
    Raises SignOffError, ApprovalError or RegistryError, and publishes nothing, where the decision does not count, a
    record was changed, or another model is deployed than the gates saw. Safe to repeat: a killed one is completed.
    """
    check_person(person.name, person.reason)
    Upstream(workspace.tracking_uri).versions(model)  # a name that nobody registered is an error of its own
    recorded = RecordedCandidate.of(workspace, _waiting_line(workspace, model, version, device, run))
    recorded.check_untouched()
    recorded.check_still_deployed()
    _record(recorded, person, "refuse" if refuse else "publish")
    with workspace.scratch(), workspace.exclusive(model):  # what was recorded counts, also where this wait is ended
        line = _answer_by_now(workspace, recorded.line)
        return _settle(RecordedCandidate.of(workspace, line)) if line.waits else line


def signed_before(context: DeviceContext, outcome: DeviceOutcome, verdict: Verdict) -> DeviceOutcome:
    """Return the outcome, published again where the release that is deployed is this very file and was signed.

    Its bundle was lost, or a person asked again: who signed has signed for this file under this key.
    """
    now = context.edge_models.deployed(context.device.name)
    if not outcome.waits or now is None or (now.run_key, now.file_sha256) != (context.key, verdict.file_sha256):
        return outcome
    signed = context.edge_models.origin(context.device.name, now).release  # where a rollback has restored it
    for _, line in reversed(list(device_answers(context.runs))):
        if line.device == outcome.device and line.release == signed and line.sign_off is not None:
            return outcome.model_copy(update={"sign_off": line.sign_off, "published": True})
    return outcome


def settle_sign_offs(workspace: Workspace, model: str) -> list[DeviceOutcome]:
    """Bring every answer of a model that waits up to date, and return what was decided by persons or by time.

    Who calls it holds the model's lock. What enough persons have signed is published, if a kill came before; what was
    refused or has expired is refused, and what was overtaken is marked to be judged again. One that cannot be settled
    never keeps others waiting.
    """
    runs, decided = Runs(workspace.tracking_uri, model), list[DeviceOutcome]()
    for recorded, line in _waiting(runs):
        try:
            newest = Answers(runs).newest_run(line.version, line.device)
            if newest != recorded.run:
                record_line(runs, line.overtaken(f"It was judged again while it waited, in run {newest}."))
            elif not (after := _settle(RecordedCandidate.of(workspace, line))).waits:
                decided.append(after)
        except EdgewrightError as error:
            logger.warning("%s: version %s waits for sign-off: %s", line.device, line.version, error)
            if not says_nothing(error):
                _give_up(workspace, line, str(error))
    return decided


def standing_of(workspace: Workspace, line: DeviceOutcome, recipe: Recipe) -> Standing:
    """Tell whether a waiting answer stands, was overtaken, or was decided by persons and is not settled yet."""
    if line.candidate is None or line.sign_off is None:
        return "overtaken"
    runs = Runs(workspace.tracking_uri, line.model)
    subject = _subject(line, runs.tags(line.run_id).get("edgewright.verdict_sha256", ""))
    if line.sign_off.counting(_found(runs, line.run_id), subject, recipe.signers).state != "waiting":
        return "decided"
    now = EdgeModels(workspace.tracking_uri, line.model).deployed(line.device)
    moved = (None if now is None else now.release) != line.held_against and not (now and now.is_of(line.candidate))
    return "overtaken" if moved or _anchor_moved(workspace, line, recipe) else "stands"


def _anchor_moved(workspace: Workspace, line: DeviceOutcome, recipe: Recipe) -> bool:
    if not recipe.asks_for_anchor:
        return False
    try:
        anchor = EdgeModels(workspace.tracking_uri, line.model).anchor(line.device)
    except AnchorLost:
        return True
    return (None if anchor is None else anchor.edge.release) != line.anchor


def _waiting(runs: Runs) -> Iterator[tuple[RecordedAnswer, DeviceOutcome]]:
    """Yield the answers that are recorded as waiting, as they were recorded."""
    for recorded in Answers(runs).of_devices({"edgewright.answer": WAITING}):
        line = read_line(recorded, as_recorded=True)
        if line is not None:
            yield recorded, line


def _answer_by_now(workspace: Workspace, line: DeviceOutcome) -> DeviceOutcome:
    """Return the answer of a run once its model's lock is held: another person may have come first."""
    found = [each for _, each in device_answers(Runs(workspace.tracking_uri, line.model)) if each.run_id == line.run_id]
    if not found or found[-1].undecided:
        raise SignOffError(
            f"{line.model} version {line.version} on {line.device}: expected a version that waits for sign-off, got "
            "one that is judged again; look at its new report, then sign"
        )
    return found[-1]


def _waiting_line(workspace: Workspace, model: str, version: str, device: str | None, run: str | None) -> DeviceOutcome:
    """Return the newest answer on the device that is meant. Raises RegistryError or SignOffError where none waits."""
    lines = [line for _, line in device_answers(Runs(workspace.tracking_uri, model)) if line.version == version]
    newest = {line.device: line for line in lines}
    asked = [line for line in lines if line.sign_off is not None and device in (None, line.device)]
    of_run = {line.device for line in asked if run in (None, line.run_id, line.version_run_id)}
    meant = [newest[name] for name in sorted(of_run)]
    waiting = [line for line in meant if line.waits]
    if run is not None and any(run not in (line.run_id, line.version_run_id) for line in waiting):
        raise SignOffError(f"run {run}: expected a run that waits for sign-off, got one that was judged again since")
    if len(waiting) == 1:
        return waiting[0]
    if waiting:
        names = ", ".join(line.device for line in waiting)
        raise SignOffError(f"{model} version {version}: expected one device, got {names} that wait; say --device")
    if meant:
        raise SignOffError(f"{model} version {version} on {meant[0].device}: {_why_not(meant[0])}")
    raise RegistryError(
        f"model {model}: expected an answer for version {version}{f' on {device}' if device else ''} that waits for "
        f"sign-off, got none; see edgewright history {model} for what waits"
    )


def _why_not(line: DeviceOutcome) -> str:
    """Return why an answer cannot be signed any more."""
    got = "expected a version that waits for sign-off, got"
    if line.sign_off is None or line.undecided:
        return f"{got} one that was judged again since, and is {line.answer}; look at its new report"
    if line.published:
        return f"{got} release {line.release}; it is published already"
    command = f"edgewright compress {line.model} {line.version} --recipe RECIPE --again"
    return f"{got} one that does not: {line.refusal} Ask again with {command}"


def _record(recorded: RecordedCandidate, person: Person, choice: SignOffChoice) -> None:
    """Keep a decision with the run, unless the same person has given the same one before and it only was not settled.

    Raises SignOffError for a second decision of one name, and for a name that the recipe's signers do not allow.
    """
    name, recipe, now = person.name.strip(), recorded.recipe, datetime.now(UTC).replace(microsecond=0)
    so_far = _state(recorded, recipe)
    before = next((each for each in so_far.given if folded(each.name) == folded(name)), None)
    if before is not None:
        if so_far.state != "waiting" and before.choice == choice:
            return
        raise SignOffError(
            f"{recorded.what}: expected a person who has not decided yet, got {before.name}, who did on "
            f"{before.given:%Y-%m-%d}; one name signs once, so another person has to"
        )
    decided = SignOff(subject=_subject_of(recorded), name=name, reason=person.reason.strip(), choice=choice, given=now)
    signature = _signature(decided, person.key, recipe)
    signed = decided if signature is None else decided.with_signature(signature)
    file = hashlib.sha256(folded(name).encode()).hexdigest()[:16]
    recorded.runs.text(recorded.run, f"{FOLDER}/{file}.json", signed.model_dump_json(indent=2))


def _signature(decided: SignOff, key: Ed25519PrivateKey | None, recipe: Recipe) -> str | None:
    """Sign a decision; None where the recipe lists no signers. Raises SignOffError for a key that does not count."""
    if not recipe.signers:
        if key is not None:
            raise SignOffError(
                f"recipe {recipe.name}: expected no key, as it lists no `signers`, got one; list its public key there, "
                "or sign without --key"
            )
        return None
    listed = {folded(name): text for name, text in recipe.signers.items()}
    own = listed.get(folded(decided.name))
    if own is None:
        raise SignOffError(
            f"recipe {recipe.name}: expected one of its signers ({', '.join(recipe.signers)}), got {decided.name}; "
            "sign with a name that it lists"
        )
    if key is None:
        raise SignOffError(
            f"recipe {recipe.name}: expected a signature with the key of {decided.name}, as it lists signers, got a "
            "bare name; sign with edgewright sign-off MODEL/VERSION --name NAME --reason WHY --key FILE"
        )
    if public_key(own) != key.public_key():
        raise SignOffError(
            f"recipe {recipe.name}: expected the key that it lists for {decided.name}, got another one; sign with the "
            "own key of that person"
        )
    return sign(decided.statement, key)


def _settle(recorded: RecordedCandidate) -> DeviceOutcome:
    """Do what the persons have decided so far; returns what came of it.

    Raises ApprovalError where the candidate may not be published any more; it is then marked to be judged again.
    """
    line, recipe = recorded.line, recorded.recipe
    state = _state(recorded, recipe)
    if state.state == "complete" and recorded.is_deployed:  # a kill came before it was told
        return _publish(recorded, recipe, state)
    now = state.at(datetime.now(UTC))
    if now.state in ("waiting", "complete"):
        try:
            recorded.check_untouched()
            recorded.check_still_deployed()
            if now.state == "complete":
                _tell_state(recorded, now)  # before it is tried: a full disk must hide no signature
                return _publish(recorded, recipe, now)
        except (ApprovalError, Overtaken) as error:
            _give_up(recorded.workspace, line, str(error))
            raise
    return _tell_state(recorded, now)


def _publish(recorded: RecordedCandidate, recipe: Recipe, signed: SignOffs) -> DeviceOutcome:
    line = recorded.line
    content = recorded.content_after(line.model_copy(update={"sign_off": signed, "published": True}),
                                     recorded.content.verdict)  # fmt: skip
    with _said_what_stands(recorded, signed), recorded.publication(content) as publication:
        check_signed(recipe, publication)
        edge = put_in_place(recorded.workspace, recorded.device(), publication)
    after = line.decided_by(signed, edge.release)
    recorded.tell(content, after)
    return after


def _tell_state(recorded: RecordedCandidate, now: SignOffs) -> DeviceOutcome:
    """Record what persons have decided so far, where that is news; returns the answer with it."""
    after = recorded.line.decided_by(now)
    if after != recorded.line:
        recorded.tell(recorded.content_after(after, recorded.content.verdict), after)
        logger.info("%s: version %s: %s", recorded.line.device, recorded.line.version, now.sentence)
    return after


@contextmanager
def _said_what_stands(recorded: RecordedCandidate, signed: SignOffs) -> Iterator[None]:
    """Say of a failure of the system in the block that the signatures stand, and what to do once it is cured."""
    try:
        yield
    except Exception as error:
        if isinstance(error, Overtaken | Held) or not is_of_system(error):
            raise  # it says what to do itself: nothing is to be cured
        raise SystemFailure(
            f"{recorded.what}: expected to publish it, got: {one_line(error).rstrip('.')}. Every signature is recorded "
            f"({signed.count}) and counts until {signed.day}: say the same sign-off again once the cause is cured"
        ) from error


def _give_up(workspace: Workspace, line: DeviceOutcome, sentence: str) -> None:
    """Mark a waiting answer as one that is judged again. Its report may be what is broken: the answer comes first."""
    after = line.overtaken(sentence)
    record_line(Runs(workspace.tracking_uri, line.model), after)
    logger.warning("%s: version %s waits no more for sign-off: %s", line.device, line.version, sentence)
    try:
        recorded = RecordedCandidate.of(workspace, line)
        recorded.tell(recorded.content_after(after, recorded.content.verdict), after)
    except RegistryError as error:
        logger.warning("run %s: its report stays as it is: %s", line.run_id, error)


def _state(recorded: RecordedCandidate, recipe: Recipe) -> SignOffs:
    """Return the sign-off by the records of persons. Raises SignOffError where the recipe asks for another one."""
    asked = recorded.line.sign_off
    if asked is None or recipe.sign_off != asked.persons or recorded.content.sign_off is None:
        raise SignOffError(
            f"{recorded.what}: expected the sign-off that its recipe asks for, got records that differ; one of them "
            f"was changed: {COMPRESS_AGAIN}"
        )
    return asked.counting(_found(recorded.runs, recorded.run), _subject_of(recorded), recipe.signers)


def _subject_of(recorded: RecordedCandidate) -> SignOffSubject:
    return _subject(recorded.line, recorded.content.verdict.sha256)


def _subject(line: DeviceOutcome, verdict: str) -> SignOffSubject:
    file = "" if line.candidate is None else line.candidate.file_sha256
    return SignOffSubject(
        model=line.model, version=line.version, device=line.device, run=line.run_id, verdict_sha256=verdict,
        file_sha256=file,
    )  # fmt: skip


def _found(runs: Runs, run: str) -> Iterator[SignOff]:
    """Yield the decisions that are kept with a run; one that cannot be read does not count."""
    for text in runs.texts(run, FOLDER):
        try:
            yield SignOff.model_validate_json(text)
        except ValidationError as error:
            logger.warning("run %s: a sign-off in another form does not count (%d)", run, error.error_count())
