"""The approval on record: found again when a version whose answer was lost is decided again."""

import json
import logging
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from deployments.device import DeviceProfile
from edge_runtime.files import sha256_of
from quality_gates.approval import reinstate
from quality_gates.errors import ApprovalError
from quality_gates.verdict import Approval, Verdict
from tasks.job import Job
from tasks.registry import EdgeModels, Runs

logger = logging.getLogger("edgewright")
APPROVAL = "approval.json"


def record_approval(runs: Runs, run: str, verdict: Verdict) -> None:
    """Keep the approval of an overridden verdict with the device's run."""
    runs.text(run, APPROVAL, verdict.model_dump_json(include={"approval"}, indent=2))


def with_recorded_approval(
    job: Job, runs: Runs, run: str, device: DeviceProfile, file: Path, verdict: Verdict
) -> Verdict:
    """Return the verdict, overridden again where a person has answered for exactly it and this file.

    Where the approval has ended, is of another verdict, or where another model was deployed since, the verdict stays as
    the gates decided it, and a warning says why.
    """
    if verdict.passed:
        return verdict
    found = runs.find_text(runs.child(run, device.name), APPROVAL)
    if found is None:
        return verdict
    try:
        _check_still_deployed(job, device)
        today = datetime.now(UTC).date()
        return reinstate(verdict, _read(found), run_key=job.run_key, file=sha256_of(file), on=today)
    except ApprovalError as error:
        logger.warning("%s: version %s was approved before, which does not count: %s", device.name, job.version, error)
        return verdict


def _read(text: str) -> Approval:
    try:
        return Approval.model_validate(json.loads(text)["approval"])
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise ApprovalError(
            f"expected an approval in {APPROVAL}, got {type(error).__name__}; approve the version again"
        ) from error


def _check_still_deployed(job: Job, device: DeviceProfile) -> None:
    """An approval replaces what was deployed when it was given, nothing that came later."""
    now = EdgeModels(job.workspace.tracking_uri, job.model).deployed(device.name)
    if now is None or now.run_key != job.run_key:
        raise ApprovalError(
            f"expected what was approved to be deployed still, got "
            f"{f'a model of version {now.source_version}' if now else 'nothing'}; approve the version again"
        )
