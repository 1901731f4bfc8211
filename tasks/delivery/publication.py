"""Publication: the bundle first, complete and synced; the registry's aliases last."""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from deployments.device import DeviceProfile
from edge_runtime.bundle import read_bundle, write_bundle
from edge_runtime.files import sha256_of
from edge_runtime.session import EdgeModel
from quality_gates.approval import check_release
from quality_gates.errors import ApprovalError
from quality_gates.verdict import Verdict
from tasks.delivery.destinations import supersede
from tasks.errors import PublishError
from tasks.job import Job
from tasks.measurement import session_settings
from tasks.registry import EdgeModels, EdgeVersion
from tasks.workspace import Workspace

logger = logging.getLogger("edgewright")
ENTRY = "model.onnx"


@task(name="publish", cache_policy=NO_CACHE)
def publish(job: Job, device: DeviceProfile, verdict: Verdict, file: Path, edge: EdgeVersion) -> Path:
    """Write the bundle into the target and move the aliases; returns the bundle's folder.

    Raises PublishError unless the verdict lets it through and the file is the one that was registered with it. Safe to
    repeat: the same bundle is verified and left as it is.
    """
    return put_in_place(job.workspace, job.model, device, verdict, file, edge, lineage(job, verdict))


def put_in_place(
    workspace: Workspace, model: str, device: DeviceProfile, verdict: Verdict, file: Path, edge: EdgeVersion,
    origin: Mapping[str, str],
) -> Path:  # fmt: skip
    """Publish a registered candidate with what is known of its origin; as `publish`.

    Published again with another decision, such as a newer approval, it is the one bundle of its content.
    """
    _check_verdict(f"{model} version {edge.source_version} on {device.name}", verdict, edge)
    _check_file(file, edge)
    settings = session_settings(device)
    session = EdgeModel.load(file, settings)
    bundle = write_bundle(
        workspace.target,
        model=model,
        version=edge.source_version,
        device=device.name,
        entry=ENTRY,
        inputs=session.inputs,
        outputs=session.outputs,
        session=settings,
        lineage=origin,
        files={ENTRY: file},
    )
    read_bundle(bundle)  # what a device will do, before anything names it
    EdgeModels(workspace.tracking_uri, model).deploy(edge, device.name)
    supersede(bundle)
    logger.info("%s: published version %s as %s", device.name, edge.source_version, bundle.name[:12])
    return bundle


def _check_verdict(what: str, verdict: Verdict, edge: EdgeVersion) -> None:
    try:
        check_release(verdict, edge.file_sha256, datetime.now(UTC).date())
    except ApprovalError as error:
        raise PublishError(
            f"{what}: {error} Nothing was published; see the gate report for what would have to change"
        ) from error


def _check_file(file: Path, edge: EdgeVersion) -> None:
    found = sha256_of(file)
    if found != edge.file_sha256:
        raise PublishError(
            f"{edge.name} version {edge.version}: expected the file that was judged and registered, with sha256 "
            f"{edge.file_sha256}, got {found}; nothing was published: compress the version again"
        )


def lineage(job: Job, verdict: Verdict) -> dict[str, str]:
    """Where a bundle came from and what the gates said, as text."""
    return {
        "source_model": job.model,
        "source_version": job.version,
        "recipe": job.recipe.name,
        "recipe_digest": job.recipe.digest,
        "run_key": job.run_key,
        **decision_of(verdict),
    }


def decision_of(verdict: Verdict) -> dict[str, str]:
    """The verdict as text, and who answers for it where it was overridden; the keys are the manifest's."""
    if verdict.approval is None:
        return {"verdict": verdict.outcome}
    approval = verdict.approval
    return {
        "verdict": verdict.outcome,
        "approved_by": approval.name,
        "approval_reason": approval.reason,
        "approved_until": str(approval.until),
        "approved_verdict": approval.verdict_sha256,
    }
