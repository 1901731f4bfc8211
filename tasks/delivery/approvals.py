"""Approvals: a person answers for a refused candidate, which is published with an overridden verdict."""

import json
import logging
from datetime import UTC, date, datetime
from pathlib import Path

from pydantic import ValidationError

from edge_runtime.model_files import model_digest
from quality_gates.approval import approve, reinstate
from quality_gates.errors import ApprovalError
from quality_gates.verdict import Approval, Verdict
from tasks.delivery.offers import check_keys
from tasks.delivery.publication import put_in_place
from tasks.delivery.recorded_candidates import RecordedCandidate
from tasks.errors import RegistryError
from tasks.registry import Answers, Runs, Upstream
from tasks.reporting import DeviceOutcome, device_answers
from tasks.upstream import DeviceContext
from tasks.workspace import Workspace

logger = logging.getLogger("edgewright")
APPROVAL = "approval.json"


def approve_version(
    workspace: Workspace, model: str, version: str, device: str, *, name: str, reason: str, until: date
) -> DeviceOutcome:
    """Record an approval and publish the candidate that the gates refused; returns what came of it.

    The approval counts for this very verdict and file. Raises ApprovalError or RegistryError, and publishes nothing,
    where the gates could not be decided, where a record was changed, or where another model is deployed than the
    candidate was held against; KeysError where this machine cannot sign it. Safe to repeat: a killed one is completed.
    """
    Upstream(workspace.tracking_uri).versions(model)  # a name that nobody registered is an error of its own
    with workspace.scratch(), workspace.exclusive(model):
        recorded = _recorded(workspace, model, version, device)
        recorded.check_untouched()
        today = datetime.now(UTC).date()
        verdict = approve(
            recorded.content.verdict, name=name, reason=reason, given=today, until=until,
            run_key=recorded.candidate.lineage.run_key, file=recorded.candidate.file_sha256,
        )  # fmt: skip
        recorded.check_still_deployed()
        return _publish(recorded, verdict)


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


def _publish(recorded: RecordedCandidate, verdict: Verdict) -> DeviceOutcome:
    line, device = recorded.line, recorded.device()
    approved = {"approval": verdict.approval, "published": True, "undecided": False}
    content = recorded.content_after(line.model_copy(update=approved), verdict)
    check_keys(recorded.workspace, [device])
    with recorded.publication(content) as publication:
        _record_approval(recorded.runs, recorded.run, verdict)
        edge = put_in_place(recorded.workspace, device, publication)
    after = line.approved(verdict, edge.release)
    recorded.tell(content, after)
    logger.warning("%s: version %s was published against its gates. %s", line.device, line.version, verdict.headline)
    return after


def _recorded(workspace: Workspace, model: str, version: str, device: str) -> RecordedCandidate:
    lines = [line for _, line in device_answers(Runs(workspace.tracking_uri, model))]
    of_device = [line for line in lines if (line.version, line.device) == (version, device)]
    found = next((line for line in reversed(of_device) if line.candidate is not None), None)
    if found is None:
        raise RegistryError(
            f"model {model}: expected an answer for version {version} on {device}, got none; see edgewright history "
            f"{model} for what can be approved"
        )
    return RecordedCandidate.of(workspace, found)


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
