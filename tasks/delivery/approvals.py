"""Approvals: a person answers for a refused candidate, which is published with an overridden verdict."""

import json
import logging
import tempfile
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from pydantic import ValidationError

from deployments.device import DeviceProfile
from deployments.recipe import Recipe
from edge_runtime.model_files import model_digest
from quality_gates.approval import approve, reinstate
from quality_gates.errors import ApprovalError
from quality_gates.report import ReportContent
from quality_gates.verdict import Approval, Verdict
from tasks.delivery.publication import Publication, put_in_place
from tasks.errors import RegistryError
from tasks.registry import Answers, Candidate, EdgeModels, Runs, Upstream
from tasks.reporting import (
    RECIPE,
    VERDICT,
    DeviceOutcome,
    Outcome,
    decision,
    description,
    device_answers,
    read_report,
    record_answer,
    record_line,
    record_report,
    release_tags,
    until_now,
    why,
)
from tasks.upstream import DeviceContext
from tasks.workspace import Workspace

logger = logging.getLogger("edgewright")
COMPRESS_AGAIN = "compress the version again"
APPROVAL = "approval.json"


@dataclass(frozen=True)
class Recorded:
    """The records of one device's decision in the registry: the answer, its report and the candidate."""

    runs: Runs
    models: EdgeModels
    line: DeviceOutcome
    candidate: Candidate
    content: ReportContent

    @property
    def run(self) -> str:
        """Id of the device's run."""
        return self.line.run_id

    @property
    def what(self) -> str:
        """The version and the device in words."""
        return f"{self.line.model} version {self.line.version} on {self.line.device}"


def approve_version(
    workspace: Workspace, model: str, version: str, device: str, *, name: str, reason: str, until: date
) -> DeviceOutcome:
    """Record an approval and publish the candidate that the gates refused; returns what came of it.

    The approval counts for this very verdict and file. Raises ApprovalError or RegistryError, and publishes nothing,
    where the gates could not be decided, where a record was changed, or where another model is deployed than the
    candidate was held against. Safe to repeat: a killed one is completed.
    """
    Upstream(workspace.tracking_uri).versions(model)  # a name that nobody registered is an error of its own
    with workspace.scratch(), workspace.exclusive(model):
        recorded = _recorded(workspace, model, version, device)
        _check_untouched(recorded)
        today = datetime.now(UTC).date()
        verdict = approve(
            recorded.content.verdict, name=name, reason=reason, given=today, until=until,
            run_key=recorded.candidate.lineage.run_key, file=recorded.candidate.file_sha256,
        )  # fmt: skip
        _check_still_deployed(recorded)
        return _publish(workspace, recorded, verdict)


def with_recorded_approval(context: DeviceContext, file: Path, verdict: Verdict) -> Verdict:
    """Return the verdict, overridden again where a person has approved exactly this verdict and this file.

    Where the approval has ended, is for another verdict, or another model was deployed since, the verdict stays as the
    gates decided it, and a warning says why.
    """
    if verdict.passed:
        return verdict
    job, device = context.job, context.device
    found = Answers(context.runs).find_child_text(job.version, context.key, APPROVAL)
    if found is None:
        return verdict
    try:
        _check_approved_is_deployed(context)
        today = datetime.now(UTC).date()
        again = reinstate(verdict, read_approval(found), run_key=context.key, file=model_digest(file), on=today)
    except ApprovalError as error:
        logger.warning("%s: version %s was approved before, which does not count: %s", device.name, job.version, error)
        return verdict
    _record_approval(context.runs, context.device_run, again)
    return again


def _publish(workspace: Workspace, recorded: Recorded, verdict: Verdict) -> DeviceOutcome:
    line, runs = recorded.line, recorded.runs
    device = recorded_device(runs, recorded.candidate, line.device)
    content = _approved(recorded, verdict)
    with tempfile.TemporaryDirectory(prefix="edgewright-") as scratch:
        publication = Publication(
            verdict,
            recorded.models.fetch_candidate(recorded.candidate, Path(scratch)),
            recorded.candidate,
            description(content, runs, recorded.run),
            release_tags(content, recorded.run),
            line.held_against,
            anchor=line.anchor,
        )
        _record_approval(runs, recorded.run, verdict)
        edge = put_in_place(workspace, device, publication)
    after = line.approved(verdict, edge.release)
    _tell(workspace, recorded, content, after)
    logger.warning("%s: version %s was published against its gates. %s", line.device, line.version, verdict.headline)
    return after


def _tell(workspace: Workspace, recorded: Recorded, content: ReportContent, after: DeviceOutcome) -> None:
    """Record in the report, the run and the answers that the verdict was overridden, and by whom."""
    runs = recorded.runs
    record_report(runs, recorded.run, content)
    record_line(runs, after)
    whole = _version_outcome(recorded)
    if whole is not None:
        devices = tuple(after if line.device == after.device else line for line in whole.devices)
        changed = {"devices": devices, "answer": Outcome.answer_of(devices, whole.failures)}
        record_answer(workspace.tracking_uri, runs, whole.model_copy(update=changed))


def _version_outcome(recorded: Recorded) -> Outcome | None:
    """Return the answer of the whole version; None, with a warning, where its record cannot be read."""
    try:
        return Outcome.model_validate_json(recorded.runs.read_text(recorded.line.version_run_id, "outcome.json"))
    except (RegistryError, ValidationError) as error:
        logger.warning("run %s: its outcome cannot be read (%s)", recorded.line.version_run_id, type(error).__name__)
        return None


def _approved(recorded: Recorded, verdict: Verdict) -> ReportContent:
    content, line = recorded.content, recorded.line
    changed: dict[str, object] = {
        "verdict": verdict,
        "published": True,
        "decision": decision(verdict, line.deployed_version),
    }
    if content.history:
        approved = line.model_copy(update={"approval": verdict.approval})
        this = {"published": True, "overridden": True, "now": "deployed", "why": why(approved)}
        changed["history"] = until_now(content.history[:-1], content.history[-1].model_copy(update=this))
    return content.model_copy(update=changed)


def _recorded(workspace: Workspace, model: str, version: str, device: str) -> Recorded:
    runs, models = Runs(workspace.tracking_uri, model), EdgeModels(workspace.tracking_uri, model)
    lines = [line for _, line in device_answers(runs) if (line.version, line.device) == (version, device)]
    found = next((line for line in reversed(lines) if line.candidate is not None), None)
    if found is None or found.candidate is None:
        raise RegistryError(
            f"model {model}: expected an answer for version {version} on {device}, got none; see edgewright history "
            f"{model} for what can be approved"
        )
    return Recorded(runs, models, found, found.candidate, read_report(runs, found.run_id))


def _check_untouched(recorded: Recorded) -> None:
    """Raise ApprovalError unless the run's file, the report and the registry hold the verdict that was recorded."""
    try:
        stored = Verdict.model_validate_json(recorded.runs.read_text(recorded.run, VERDICT)).sha256
    except ValidationError:
        stored = "of another form"
    tags = recorded.runs.tags(recorded.run)
    digests = {stored, recorded.content.verdict.sha256, tags.get("edgewright.verdict_sha256")}
    if len(digests) != 1 or recorded.candidate.file_sha256 != recorded.content.verdict.file_sha256:
        raise ApprovalError(
            f"{recorded.what}: expected the verdict that was recorded with the candidate, got records that differ; one "
            f"of them was changed: {COMPRESS_AGAIN}"
        )


def _check_still_deployed(recorded: Recorded) -> None:
    line, now = recorded.line, recorded.models.deployed(recorded.line.device)
    if now is not None and now.is_of(recorded.candidate):
        return  # a killed approval had got as far as the alias
    if (None if now is None else now.release) != line.held_against:
        raise ApprovalError(
            f"{recorded.what}: expected what it was held against to be deployed still "
            f"({_named(line.deployed_version)}), got {_named(now.source_version if now else None)}; {COMPRESS_AGAIN}, "
            "so that its gates see what it would replace"
        )


def _named(version: str | None) -> str:
    return f"a model of version {version}" if version else "nothing"


def recorded_device(runs: Runs, candidate: Candidate, device: str) -> DeviceProfile:
    """Return the device profile that a candidate was judged under, from the recipe that is kept with its run.

    Raises RegistryError or ApprovalError where the recipe has another form, or is another one.
    """
    run, expected = candidate.run, candidate.lineage.recipe_digest
    try:
        recipe = Recipe.model_validate_json(runs.read_text(run, RECIPE))
    except ValidationError as error:
        raise RegistryError(
            f"run {run}: expected a recipe.json of this release of Edgewright, got another form "
            f"({error.error_count()} differences); {COMPRESS_AGAIN}"
        ) from error
    if recipe.digest != expected:
        raise ApprovalError(
            f"run {run}: expected the recipe with digest {expected}, got {recipe.digest}; its recipe.json was changed: "
            f"{COMPRESS_AGAIN}"
        )
    return next(profile for profile in recipe.devices if profile.name == device)


def _record_approval(runs: Runs, run: str, verdict: Verdict) -> None:
    """Keep the approval of an overridden verdict with the device's run."""
    runs.text(run, APPROVAL, verdict.model_dump_json(include={"approval"}, indent=2))


def read_approval(text: str) -> Approval:
    """Read an approval as it is kept with a run. Raises ApprovalError for another form."""
    try:
        return Approval.model_validate(json.loads(text)["approval"])
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise ApprovalError(
            f"expected an approval in {APPROVAL}, got {type(error).__name__}; approve the version again"
        ) from error


def _check_approved_is_deployed(context: DeviceContext) -> None:
    """Raise ApprovalError unless the candidate that was approved is still deployed."""
    now = context.edge_models.deployed(context.device.name)
    if now is None or now.run_key != context.key:
        raise ApprovalError(
            f"expected what was approved to be deployed still, got "
            f"{f'a model of version {now.source_version}' if now else 'nothing'}; approve the version again"
        )
