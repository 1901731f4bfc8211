"""Publication of a candidate: the bundle first, complete and synced; the registry's aliases last."""

import logging
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from deployments.device import DeviceProfile
from edge_runtime.bundle import RuntimeRange
from edge_runtime.errors import SessionError
from edge_runtime.model_files import MODEL, check_model, model_files
from edge_runtime.session import EdgeModel
from quality_gates.approval import check_release
from quality_gates.errors import ApprovalError
from quality_gates.verdict import Verdict
from tasks.delivery.destinations import BundleContent, FolderDestination
from tasks.errors import PublishError
from tasks.measurement import session_settings
from tasks.registry import EdgeModels, EdgeVersion
from tasks.upstream import DeviceContext
from tasks.workspace import Workspace

logger = logging.getLogger("edgewright")


@task(name="publish", cache_policy=NO_CACHE)
def publish(context: DeviceContext, verdict: Verdict, file: Path, edge: EdgeVersion) -> str:
    """Write the bundle into the destination and move the aliases; returns the bundle's address.

    Raises PublishError unless the verdict lets it through and the file is the one that was registered with it. Safe to
    repeat: the same bundle is verified and left as it is.
    """
    return put_in_place(context.job.workspace, context.device, verdict, file, edge)


def put_in_place(workspace: Workspace, device: DeviceProfile, verdict: Verdict, file: Path, edge: EdgeVersion) -> str:
    """Publish a registered candidate for a device class; as `publish`.

    Each model file has exactly one published bundle: one with another decision, such as a newer approval, replaces it.
    """
    origin, destination = edge.lineage, FolderDestination(workspace.target)
    _check_verdict(f"{origin.source_model} version {origin.source_version} on {device.name}", verdict, edge)
    _check_file(file, edge)
    bundle = destination.write(_content(device, verdict, file, edge))  # whole, before anything names it
    EdgeModels(workspace.tracking_uri, origin.source_model).deploy(edge, device.name)
    destination.supersede(bundle)
    logger.info("%s: published version %s as %s", device.name, origin.source_version, Path(bundle).name[:12])
    return bundle


def _content(device: DeviceProfile, verdict: Verdict, file: Path, edge: EdgeVersion) -> BundleContent:
    settings = session_settings(device)
    session = EdgeModel.load(file, settings)
    return BundleContent(
        model=edge.lineage.source_model,
        version=edge.lineage.source_version,
        device=device.name,
        entry=MODEL,
        inputs=session.inputs,
        outputs=session.outputs,
        session=settings,
        onnxruntime=_runtimes(edge),
        lineage=asdict(edge.lineage) | decision_of(verdict),
        files=model_files(file),
    )


def _runtimes(edge: EdgeVersion) -> RuntimeRange:
    if edge.onnxruntime is None:
        raise PublishError(
            f"{edge.name} version {edge.version}: expected the ONNX Runtime that measured it among its tags, got none; "
            "an older release of Edgewright registered it: compress the version again"
        )
    return RuntimeRange.measured_with(edge.onnxruntime)


def _check_verdict(what: str, verdict: Verdict, edge: EdgeVersion) -> None:
    try:
        check_release(verdict, edge.file_sha256, datetime.now(UTC).date())
    except ApprovalError as error:
        raise PublishError(
            f"{what}: {error} Nothing was published; see the gate report for what would have to change"
        ) from error


def _check_file(file: Path, edge: EdgeVersion) -> None:
    try:
        check_model(file, edge.file_sha256)
    except SessionError as error:
        raise PublishError(
            f"{edge.name} version {edge.version}: expected the model that was judged and registered. {error} "
            "Nothing was published: compress the version again"
        ) from error


def decision_of(verdict: Verdict) -> dict[str, str]:
    """Return the verdict as text, and its approval where it was overridden, under the manifest's keys."""
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
