"""Approvals: a person answers for a refused candidate, which is published with an overridden verdict."""

import json
import logging
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from pydantic import ValidationError

from deployments.device import DeviceProfile
from deployments.recipe import Recipe
from edge_runtime.model_files import model_digest
from quality_gates.approval import approve, reinstate
from quality_gates.errors import ApprovalError
from quality_gates.report import ReportContent, render_html
from quality_gates.verdict import Approval, Verdict
from tasks.delivery.publication import put_in_place
from tasks.errors import RegistryError
from tasks.registry import EdgeModels, EdgeVersion, Runs, Upstream
from tasks.reporting import (
    CONTENT,
    REPORT,
    DeviceOutcome,
    Outcome,
    decision,
    decision_tags,
    description,
    read_report,
    record_answer,
    recorded_outcomes,
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
    run_key: str
    outcome: Outcome
    line: DeviceOutcome
    content: ReportContent
    edge: EdgeVersion

    @property
    def run(self) -> str:
        """Id of the device's run."""
        return self.line.run_id


def approve_version(
    workspace: Workspace, model: str, version: str, device: str, *, name: str, reason: str, until: date
) -> DeviceOutcome:
    """Record an approval and publish the candidate that the gates refused; returns what came of it.

    The approval counts for this very verdict and file. Raises ApprovalError or RegistryError, and publishes nothing,
    where the gates could not be decided, where a record was changed, or where another model is deployed than the
    candidate was held against. Safe to repeat: a killed one is completed.
    """
    Upstream(workspace.tracking_uri).versions(model)  # a name that nobody registered is an error of its own
    with workspace.exclusive(model):
        recorded = _recorded(workspace, model, version, device)
        _check_untouched(recorded)
        today = datetime.now(UTC).date()
        verdict = approve(
            recorded.content.verdict, name=name, reason=reason, given=today, until=until, run_key=recorded.run_key,
            file=recorded.edge.file_sha256,
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
    found = context.runs.find_text(context.device_run, APPROVAL)
    if found is None:
        return verdict
    try:
        _check_approved_is_deployed(context)
        today = datetime.now(UTC).date()
        return reinstate(verdict, _read_approval(found), run_key=job.run_key, file=model_digest(file), on=today)
    except ApprovalError as error:
        logger.warning("%s: version %s was approved before, which does not count: %s", device.name, job.version, error)
        return verdict


def _publish(workspace: Workspace, recorded: Recorded, verdict: Verdict) -> DeviceOutcome:
    recipe, line = _recipe(recorded), recorded.line
    file = recorded.models.fetch(recorded.edge)
    _record_approval(recorded.runs, recorded.run, verdict)
    put_in_place(workspace, _device(recipe, recorded), verdict, file, recorded.edge)
    _tell(workspace, recorded, verdict)
    logger.warning("%s: version %s was published against its gates. %s", line.device, line.version, verdict.headline)
    return line.approved(verdict)


def _tell(workspace: Workspace, recorded: Recorded, verdict: Verdict) -> None:
    """Record in the report, the run, the model version and the answer that the verdict was overridden, and by whom."""
    runs, content = recorded.runs, _approved(recorded, verdict)
    runs.text(recorded.run, REPORT, render_html(content))
    runs.text(recorded.run, CONTENT, content.model_dump_json())
    runs.log(recorded.run, tags=decision_tags(content))
    recorded.models.describe(recorded.edge, description(content, runs, recorded.run), decision_tags(content))
    devices = tuple(
        line.approved(verdict) if line.device == recorded.line.device else line for line in recorded.outcome.devices
    )
    changed = {"devices": devices, "answer": Outcome.answer_of(devices)}
    outcome = recorded.outcome.model_copy(update=changed)
    record_answer(workspace.tracking_uri, runs, outcome.run_id, outcome)


def _approved(recorded: Recorded, verdict: Verdict) -> ReportContent:
    content, line = recorded.content, recorded.line
    changed: dict[str, object] = {
        "verdict": verdict,
        "published": True,
        "decision": decision(verdict, line.deployed_version),
    }
    if content.history:
        this = {"published": True, "overridden": True, "now": "deployed", "why": why(line.approved(verdict))}
        changed["history"] = until_now(content.history[:-1], content.history[-1].model_copy(update=this))
    return content.model_copy(update=changed)


def _recorded(workspace: Workspace, model: str, version: str, device: str) -> Recorded:
    runs, models = Runs(workspace.tracking_uri, model), EdgeModels(workspace.tracking_uri, model)
    found = None
    for _, run_key, outcome in recorded_outcomes(runs):
        line = next((line for line in outcome.devices if line.device == device), None)
        if outcome.version == version and line is not None and line.edge_version is not None:
            found = run_key, outcome, line, line.edge_version
    if found is None:
        raise RegistryError(
            f"model {model}: expected an answer for version {version} on {device}, got none; see edgewright history "
            f"{model} for what can be approved"
        )
    run_key, outcome, line, edge_version = found
    content = read_report(runs, line.run_id)
    return Recorded(runs, models, run_key, outcome, line, content, models.version(device, edge_version))


def _check_untouched(recorded: Recorded) -> None:
    """Raise ApprovalError unless the run's file, the report and the registry hold the verdict that was recorded."""
    stored = Verdict.model_validate_json(recorded.runs.read_text(recorded.run, "verdict.json"))
    tags = recorded.runs.tags(recorded.run)
    digests = {stored.sha256, recorded.content.verdict.sha256, tags.get("edgewright.verdict_sha256")}
    if len(digests) != 1 or recorded.edge.run_key != recorded.run_key:
        line = recorded.line
        raise ApprovalError(
            f"{line.model} version {line.version} on {line.device}: expected the verdict that was recorded with the "
            f"candidate, got records that differ; one of them was changed: {COMPRESS_AGAIN}"
        )


def _check_still_deployed(recorded: Recorded) -> None:
    line, now = recorded.line, recorded.models.deployed(recorded.line.device)
    if now is not None and now.version == recorded.edge.version:
        return  # a killed approval had got as far as the alias
    if (None if now is None else now.version) != line.held_against:
        raise ApprovalError(
            f"{line.model} version {line.version} on {line.device}: expected what it was held against to be deployed "
            f"still ({_named(line.deployed_version)}), got {_named(now.source_version if now else None)}; "
            f"{COMPRESS_AGAIN}, so that its gates see what it would replace"
        )


def _named(version: str | None) -> str:
    return f"a model of version {version}" if version else "nothing"


def _recipe(recorded: Recorded) -> Recipe:
    try:
        recipe = Recipe.model_validate_json(recorded.runs.read_text(recorded.outcome.run_id, "recipe.json"))
    except ValidationError as error:
        raise RegistryError(
            f"run {recorded.outcome.run_id}: expected a recipe.json of this release of Edgewright, got another form "
            f"({error.error_count()} differences); {COMPRESS_AGAIN}"
        ) from error
    if recipe.digest != recorded.outcome.recipe_digest:
        raise ApprovalError(
            f"run {recorded.outcome.run_id}: expected the recipe with digest {recorded.outcome.recipe_digest}, got "
            f"{recipe.digest}; its recipe.json was changed: {COMPRESS_AGAIN}"
        )
    return recipe


def _device(recipe: Recipe, recorded: Recorded) -> DeviceProfile:
    return next(device for device in recipe.devices if device.name == recorded.line.device)


def _record_approval(runs: Runs, run: str, verdict: Verdict) -> None:
    """Keep the approval of an overridden verdict with the device's run."""
    runs.text(run, APPROVAL, verdict.model_dump_json(include={"approval"}, indent=2))


def _read_approval(text: str) -> Approval:
    try:
        return Approval.model_validate(json.loads(text)["approval"])
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise ApprovalError(
            f"expected an approval in {APPROVAL}, got {type(error).__name__}; approve the version again"
        ) from error


def _check_approved_is_deployed(context: DeviceContext) -> None:
    """Raise ApprovalError unless the candidate that was approved is still deployed."""
    now = context.edge_models.deployed(context.device.name)
    if now is None or now.run_key != context.job.run_key:
        raise ApprovalError(
            f"expected what was approved to be deployed still, got "
            f"{f'a model of version {now.source_version}' if now else 'nothing'}; approve the version again"
        )
