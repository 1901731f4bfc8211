"""Publication of a candidate: the bundle first, complete and synced; the registry's aliases last."""

import logging
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from deployments.device import DeviceProfile
from deployments.recipe import Recipe
from edge_runtime.bundle import Manifest, encode_manifest
from edge_runtime.errors import SessionError
from edge_runtime.model_files import check_model
from quality_gates.approval import check_release
from quality_gates.errors import ApprovalError
from tasks.delivery.bundle_content import Publication, bundle_content, numbered
from tasks.delivery.bundle_deltas import with_deltas
from tasks.delivery.destinations import Destination, destination_at
from tasks.delivery.offers import offers_of
from tasks.delivery.releases import Releases, named
from tasks.errors import AnchorLost, Held, Overtaken, PublishError
from tasks.registry import (
    AGAIN_S,
    EdgeModels,
    EdgeVersion,
    Hold,
    was_away,
)
from tasks.upstream import DeviceContext
from tasks.workspace import Workspace

logger = logging.getLogger("edgewright")


@task(
    name="publish", task_run_name="publish {context.device.name}", cache_policy=NO_CACHE, retries=2,
    retry_delay_seconds=AGAIN_S, retry_condition_fn=was_away,
)  # fmt: skip
def publish(context: DeviceContext, publication: Publication) -> EdgeVersion:
    """Write the bundle into the destination and move the aliases; returns the release.

    Raises PublishError unless the verdict lets it through and the file is the one that was judged; Overtaken where
    another release or a newer version is deployed by now, or the anchor was moved; Held where a person holds the
    version back. Safe to repeat.
    """
    check_signed(context.job.recipe, publication)
    return put_in_place(context.job.workspace, context.device, publication)


def check_signed(recipe: Recipe, publication: Publication) -> None:
    """Raise PublishError where the recipe asks for persons, and what passed was not signed by enough of them."""
    asked, signed, origin = recipe.sign_off, publication.sign_off, publication.candidate.lineage
    if asked is None or not publication.verdict.passed:
        return
    if signed is None or signed.state != "complete" or signed.persons != asked:
        raise PublishError(
            f"{origin.source_model}: expected {asked} sign-offs before it is published, got "
            f"{'none' if signed is None else signed.count}; sign with edgewright sign-off "
            f"{origin.source_model}/{origin.source_version} --name NAME --reason WHY"
        )


def put_in_place(workspace: Workspace, device: DeviceProfile, publication: Publication) -> EdgeVersion:
    """Publish a judged candidate for a device class; as `publish`.

    Each release has exactly one published bundle: one with another decision, such as a newer approval, replaces it.
    Everything that takes long comes before the claim of a number, which keeps others waiting.
    """
    origin = publication.candidate.lineage
    _check(f"{origin.source_model} version {origin.source_version} on {device.name}", publication)
    releases = releases_of(workspace, device, EdgeModels(workspace.tracking_uri, origin.source_model))
    releases.offers.check([device])
    releases.models.reserve(device.name)  # before anything is at the destination: another model may have the name
    releases.recover()
    publication = _as_deployed(publication, releases.models.deployed(device.name))
    with tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
        manifest, files = _content(releases, device, publication, Path(folder))
        number = _number(releases, publication)
        with releases.given_up_on_error(number):
            _check_hold(releases, publication)  # under the claim, which a rollback waits for
            manifest = numbered(manifest, number)
            bundle = releases.destination.write(manifest, files)  # whole, before anything names it
            edge = releases.finish(publication, number, encode_manifest(manifest))
    if not releases.offers.has_other(manifest.model, device.name, number, encode_manifest(manifest)):
        releases.destination.supersede(bundle)
    if publication.rollback is None:
        _lift_older(releases, edge)
    logger.info(
        "%s: published version %s as release %d, %s", device.name, origin.source_version, number, Path(bundle).name[:12]
    )
    if not releases.offers.are_signed:
        logger.warning(
            "%s: nobody has signed it, so no device will take it; begin with edgewright keys init", device.name
        )
    return edge


def _content(
    releases: Releases, device: DeviceProfile, publication: Publication, scratch: Path
) -> tuple[Manifest, dict[str, Path]]:
    """Return the manifest of a publication without its number, and all files, those of deltas too.

    A rollback gets no deltas: devices have kept what they ran before, and it must not wait.
    """
    signed = releases.offers.signed(device.name, publication.documents)
    manifest, files = bundle_content(device, replace(publication, documents=signed), scratch)
    if publication.rollback is not None:
        return manifest, files
    before = releases.model_before(_own_number(releases, publication), scratch / "before")
    return with_deltas(manifest, files, before, scratch)


def recover(context: DeviceContext) -> None:
    """Complete or clear away what a killed publication left on a device class."""
    releases_of(context.job.workspace, context.device, context.edge_models).recover()


def is_in_place(workspace: Workspace, device: DeviceProfile, model: str, release: int) -> bool:
    """Tell whether the destination holds the whole bundle of a model's release for a device class, signed if need be.

    It is not in place where a repository was begun, and devices are offered neither this release nor a later one.
    """
    is_there = _destination(workspace).holds(model, device.name, release)
    return is_there and offers_of(workspace).reaches(model, device.name, release)


def releases_of(workspace: Workspace, device: DeviceProfile, models: EdgeModels) -> Releases:
    """Return the releases of a model for a device class, at the place that its devices take bundles from."""
    return Releases(_destination(workspace), models, device.name, offers_of(workspace))


def _destination(workspace: Workspace) -> Destination:
    """Return the place that devices take bundles from."""
    return destination_at(workspace.published)


def _as_deployed(publication: Publication, deployed: EdgeVersion | None) -> Publication:
    """Return the publication with the rollback by which its candidate is deployed already, so that it stays that."""
    if deployed is None or publication.rollback is not None or not deployed.is_of(publication.candidate):
        return publication
    return replace(publication, rollback=deployed.rollback)


def _number(releases: Releases, publication: Publication) -> int:
    """Return the number to publish under: the candidate's own where it is deployed already, else the next one."""
    own, deployed = _own_number(releases, publication), releases.models.deployed(releases.device)
    if own is not None:
        return own if releases.keep(publication.holder, own) else releases.take(publication.holder, own)
    if publication.rollback is None:
        _check_newer(publication, deployed)
        _check_anchor(releases, publication, deployed)
    return releases.take(publication.holder, publication.against)


def _own_number(releases: Releases, publication: Publication) -> int | None:
    """Return the number of the release by which the candidate is deployed already; None where it is not."""
    now = releases.models.deployed(releases.device)
    is_own = now is not None and now.is_of(publication.candidate) and now.rollback == publication.rollback
    return now.release if now is not None and is_own else None


def _check_hold(releases: Releases, publication: Publication) -> None:
    """Raise Held where a person holds the version back; only a person's rollback publishes what is held."""
    origin = publication.candidate.lineage
    hold = None if publication.rollback else releases.models.hold_on(releases.device, origin.source_version)
    if hold is not None:
        raise Held(held(origin.source_model, releases.device, hold))


def held(model: str, device: str, hold: Hold) -> str:
    """Return the sentence about a version that a person holds back."""
    return (
        f"{model} version {hold.version} on {device}: expected a version that nobody holds back, got one that "
        f"{hold.by} holds since {hold.when} ({hold.reason}); register a newer version, or lift it with "
        f"{lifting(model, device)}"
    )


def lifting(model: str, device: str) -> str:
    """Return the command that lifts the holds on a device class, as a person types it."""
    return f"edgewright hold lift {model} --device {device} --by NAME --reason WHY"


def _lift_older(releases: Releases, edge: EdgeVersion) -> None:
    """Remove the holds of versions older than the one that was published, as they count no more."""
    for hold in releases.models.holds(releases.device):
        if int(hold.version) < int(edge.source_version):
            said = f"version {edge.source_version} came as release {edge.release}"
            releases.models.lift(releases.device, hold, said)
            logger.info("%s: version %s is held no more: %s", releases.device, hold.version, said)


def _check_newer(publication: Publication, deployed: EdgeVersion | None) -> None:
    version = publication.candidate.lineage.source_version
    if deployed is not None and is_older(version, deployed) and not publication.back:
        raise Overtaken(older_than(publication.candidate.lineage.source_model, version, deployed))


def _check_anchor(releases: Releases, publication: Publication, deployed: EdgeVersion | None) -> None:
    """Raise Overtaken where the gates held the candidate against another anchor than the registry names by now."""
    if not any(gate.against == "anchor" for gate in publication.verdict.gates):
        return
    is_own = deployed is not None and deployed.run_key == publication.candidate.lineage.run_key
    try:
        found = releases.models.anchor(releases.device, without=deployed.release if deployed and is_own else None)
    except AnchorLost as error:
        raise Overtaken(
            f"{error} The gates had seen {named(publication.anchor)}: compress the version again"
        ) from error
    release = None if found is None else found.edge.release
    if release != publication.anchor:
        raise Overtaken(
            f"{releases.models.model} on {releases.device}: expected {named(publication.anchor)} to be the anchor "
            f"still, as the gates had seen, got {named(release)}; compress the version again, so that they see that one"
        )


def older_than(model: str, version: str, deployed: EdgeVersion) -> str:
    """Return the sentence about a version that is older than the deployed one."""
    return (
        f"{model} version {version}: expected a version that is not older than the deployed one, got "
        f"{deployed.source_version} deployed; say edgewright compress {model} {version} --recipe RECIPE --back to "
        "go back to it as a new release"
    )


def is_older(version: str, deployed: EdgeVersion) -> bool:
    """Tell whether an upstream version is older than that of a release."""
    return int(version) < int(deployed.source_version)


def _check(what: str, publication: Publication) -> None:
    """Raise PublishError unless the verdict releases the candidate, and both are of the very file."""
    judged, kept = publication.verdict.file_sha256, publication.candidate.file_sha256
    try:
        check_release(publication.verdict, publication.candidate.file_sha256, datetime.now(UTC).date())
    except ApprovalError as error:
        raise PublishError(
            f"{what}: {error} Nothing was published; see the gate report for what would have to change"
        ) from error
    try:
        if judged != kept:
            raise SessionError(f"The verdict is about the model with sha256 {judged}, the kept one has {kept}.")
        check_model(publication.file, kept)
    except SessionError as error:
        raise PublishError(
            f"{what}: expected the file that was measured and judged. {error} Nothing was published: compress the "
            "version again"
        ) from error
