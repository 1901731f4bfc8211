"""Publication: the bundle first, complete and synced; the registry's aliases last."""

import logging
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from deployments.device import DeviceProfile
from edge_runtime.bundle import read_bundle, write_bundle
from edge_runtime.files import sha256_of
from edge_runtime.session import EdgeModel
from quality_gates.verdict import Verdict
from tasks.errors import PublishError
from tasks.job import Job
from tasks.measure import session_settings
from tasks.registry import EdgeModels, EdgeVersion

logger = logging.getLogger("edgewright")
ENTRY = "model.onnx"


@task(name="publish", cache_policy=NO_CACHE)
def publish(job: Job, device: DeviceProfile, verdict: Verdict, file: Path, edge: EdgeVersion) -> Path:
    """Write the bundle into the target and move the aliases; returns the bundle's folder.

    Raises PublishError unless the verdict passed and the file is the one that was registered with it. Safe to repeat:
    the same bundle is verified and left as it is.
    """
    if not verdict.passed:
        raise PublishError(
            f"{job.model} version {job.version} on {device.name}: expected a passing verdict, got {verdict.outcome}: "
            f"{verdict.headline} Nothing was published; see the gate report for what would have to change"
        )
    _check_file(file, edge)
    settings = session_settings(device)
    model = EdgeModel.load(file, settings)
    bundle = write_bundle(
        job.workspace.target,
        model=job.model,
        version=job.version,
        device=device.name,
        entry=ENTRY,
        inputs=model.inputs,
        outputs=model.outputs,
        session=settings,
        lineage=lineage(job, verdict),
        files={ENTRY: file},
    )
    read_bundle(bundle)  # what a device will do, before anything names it
    EdgeModels(job.workspace.tracking_uri, job.model).deploy(edge, device.name)
    logger.info("%s: published version %s as %s", device.name, job.version, bundle.name[:12])
    return bundle


def _check_file(file: Path, edge: EdgeVersion) -> None:
    found = sha256_of(file)
    if found != edge.file_sha256:
        raise PublishError(
            f"{edge.name} version {edge.version}: expected the file that was judged and registered, with sha256 "
            f"{edge.file_sha256}, got {found}; nothing was published: compress the version again"
        )


def lineage(job: Job, verdict: Verdict) -> dict[str, str]:
    """Where a bundle came from, as text."""
    return {
        "source_model": job.model,
        "source_version": job.version,
        "recipe": job.recipe.name,
        "recipe_digest": job.recipe.digest,
        "run_key": job.run_key,
        "verdict": verdict.outcome,
    }
