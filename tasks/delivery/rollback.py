"""Rollback: a person publishes an earlier release's file once more, as a new release, and the version left is held.

The order makes a kill at any moment harmless: first the hold, so that nothing publishes the version that is left; then
the release, under a claim as every one; last the mark that the rollback has ended. Whoever says it again goes on.
"""

import logging
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from deployments.device import DeviceProfile
from edge_runtime.backbone import load_model
from edge_runtime.errors import EdgewrightError, SessionError
from edge_runtime.model_files import check_model, heads_of
from quality_gates.approval import check_words, reinstate
from quality_gates.errors import ApprovalError
from quality_gates.report import ReportContent
from quality_gates.verdict import Verdict
from tasks.delivery.approvals import APPROVAL, read_approval
from tasks.delivery.bundle_content import Publication
from tasks.delivery.documents import documents_of
from tasks.delivery.publication import lifting, put_in_place, releases_of
from tasks.delivery.recorded_candidates import recorded_device
from tasks.delivery.releases import Releases, named
from tasks.errors import Overtaken, PublishError, RegistryError, SystemFailure, is_of_system, one_line
from tasks.measurement import Acceptance, session_settings
from tasks.outcomes import read_report
from tasks.registry import Candidate, EdgeModels, EdgeVersion, Hold, ReleasePage, Rollback, Runs, Upstream
from tasks.reporting import LONGEST_DESCRIPTION, SIGN_OFF, VERDICT
from tasks.workspace import Workspace

logger = logging.getLogger("edgewright")
ATTEMPTS = 3


@dataclass(frozen=True)
class _Target:
    """An earlier release that is to be published once more: its page, profile, verdict, report, file and data."""

    edge: EdgeVersion
    page: ReleasePage
    device: DeviceProfile
    verdict: Verdict
    report: ReportContent | None
    file: Path
    acceptance: Acceptance | None

    def publication(self, rollback: Rollback) -> Publication:
        """Return what is published: the page says first who rolled back to it."""
        said = f"{rollback.sentence[0].upper()}{rollback.sentence[1:]}\n\n{self.page.description}"
        signed = self.report.sign_off if self.report is not None and SIGN_OFF in self.page.tags else None
        return Publication(
            self.verdict, self.file, self.page.candidate, said[:LONGEST_DESCRIPTION],
            {**self.page.tags, **rollback.tags}, rollback.left, back=True, rollback=rollback, sign_off=signed,
            acceptance=self.acceptance, documents={} if self.report is None else documents_of(self.report),
        )  # fmt: skip


def roll_back(workspace: Workspace, model: str, device: str, *, to: str | None, by: str, reason: str) -> EdgeVersion:
    """Publish what was deployed before, or the newest release of the upstream version `to`; returns the new release.

    Nothing is trained or judged: the file and its verdict are those of that release. The version that is left is held.
    Raises PublishError or ApprovalError where there is nothing to go back to or it may not be published; KeysError
    where this machine cannot sign it; Overtaken where another version was published meanwhile. Safe to repeat: a
    killed one is completed.
    """
    check_words("rollback", by, reason)
    Upstream(workspace.tracking_uri).versions(model)  # a name that nobody registered is an error of its own
    models = EdgeModels(workspace.tracking_uri, model)
    releases, left = _recovered(workspace, models, device)
    if _completed(models, device, left) and to in (None, left.source_version):
        logger.warning("%s: completed the rollback that was begun before; say it again to go further back", device)
        return left
    edge = _chosen(models, device, left, to)
    with workspace.scratch(), tempfile.TemporaryDirectory(prefix="edgewright-") as folder:
        target = _target(releases, edge, Path(folder))
        releases.offers.check([target.device])
        return _publish(workspace, models, target, left, (by.strip(), reason.strip()))


def lift_hold(
    workspace: Workspace, model: str, device: str, *, version: str | None, by: str, reason: str
) -> tuple[Hold, ...]:
    """Lift the hold of an upstream version, or of all of them; returns what was lifted.

    The page of the release that was left keeps who lifted it, when and why. Raises RegistryError where none is held.
    """
    check_words("lifting", by, reason)
    models = EdgeModels(workspace.tracking_uri, model)
    lifted = tuple(hold for hold in models.holds(device) if version in (None, hold.version))
    if not lifted:
        raise RegistryError(
            f"{model} on {device}: expected {f'version {version}' if version else 'a version'} to be held, got none; "
            f"see edgewright hold show {model} --device {device}"
        )
    for hold in lifted:
        models.lift(device, hold, f"by {by.strip()} on {_now()}: {reason.strip()}")
    return lifted


def release_before(deployed: EdgeVersion, releases: Sequence[EdgeVersion], held: Sequence[str]) -> EdgeVersion | None:
    """Return the last release before the deployed one whose file nobody has left on the way to it.

    A second rollback so goes further back. Releases of versions in `held` are passed over.
    """
    known = {each.release: each for each in releases}
    files = {_file_of(each) for each in _way_to(deployed, known)}
    earlier = (each for each in releases if each.release < deployed.release and each.source_version not in held)
    return max((each for each in earlier if _file_of(each) not in files), key=lambda each: each.release, default=None)


def _way_to(release: EdgeVersion, known: dict[int, EdgeVersion]) -> Iterator[EdgeVersion]:
    """Yield a release, and those that rollbacks left or restored to come to it."""
    yield release
    if release.rollback is not None:
        for number in (release.rollback.left, release.rollback.restored):
            if number in known and number < release.release:  # tags that a person changed must not lead in a circle
                yield from _way_to(known[number], known)


def _file_of(release: EdgeVersion) -> tuple[str, str]:
    return release.run_key, release.file_sha256


def _recovered(workspace: Workspace, models: EdgeModels, device: str) -> tuple[Releases, EdgeVersion]:
    """Complete what others began; return the releases and the one that is deployed."""
    _deployed(models, device)
    releases = releases_of(workspace, _newest_profile(models, device), models)
    releases.recover()
    deployed = _deployed(models, device)
    if deployed.release not in {claim.release for claim in releases.destination.claims(models.model, device)}:
        raise PublishError(
            f"{models.model} on {device}: expected the target that {named(deployed.release)} was published to, got "
            f"{workspace.published}, which never had it; set EDGEWRIGHT_TARGET and EDGEWRIGHT_HOME to those of the "
            "worker"
        )
    return releases, deployed


def _newest_profile(models: EdgeModels, device: str) -> DeviceProfile:
    """Return the newest profile of a device class that can be read: what is left may have lost its records."""
    runs, first = Runs(models.tracking_uri, models.model), None
    for edge in sorted(models.releases(device), key=lambda each: each.release, reverse=True):
        try:
            return recorded_device(runs, models.page(edge).candidate, device)
        except (RegistryError, ApprovalError) as error:
            first = first or error
    raise first or RegistryError(
        f"{models.model} on {device}: expected a release with its recipe, got none; compress it"
    )


def _deployed(models: EdgeModels, device: str) -> EdgeVersion:
    deployed = models.deployed(device)
    if deployed is None:
        raise PublishError(
            f"{models.model} on {device}: expected a release to go back from, got nothing deployed; check the name of "
            f"the device with edgewright history {models.model}"
        )
    return deployed


def _completed(models: EdgeModels, device: str, deployed: EdgeVersion) -> bool:
    """Mark the rollback to the deployed release as ended; return whether it was not yet."""
    rollback = deployed.rollback
    begun = [] if rollback is None else [hold for hold in models.holds(device) if hold.release == rollback.left]
    if rollback is None or all(hold.is_left for hold in begun):
        return False
    _end(models, device, deployed, begun[0].version)
    return True


def _end(models: EdgeModels, device: str, edge: EdgeVersion, left: str) -> None:
    """Say that a rollback has ended: the version that it left stays held."""
    rollback = edge.rollback
    if rollback is None:
        return
    for hold in models.holds(device):
        if hold.version == edge.source_version != left:
            models.lift(device, hold, rollback.sentence)
    models.hold(device, Hold(left, rollback.left, rollback.by, rollback.when, rollback.reason, is_left=True))


def _chosen(models: EdgeModels, device: str, left: EdgeVersion, to: str | None) -> EdgeVersion:
    """Return the release to go back to. Raises PublishError where there is none, or where it is deployed."""
    what, known = f"{models.model} on {device}", models.releases(device)
    if to is None:
        others = [hold.version for hold in models.holds(device) if hold.release != left.release]
        found = release_before(left, known, others)
        if found is None:
            raise PublishError(
                f"{what}: expected a release before {named(left.release)} that nobody has left or holds, got none; "
                "name a version with --to, or register a newer one"
            )
        return found
    made = [each for each in known if each.source_version == to]
    if not made:
        there = ", ".join(sorted({each.source_version for each in known}, key=int))
        raise PublishError(
            f"{what}: expected a version that was released there, got {to}; choose one of {there}, or publish {to} "
            f"with edgewright compress {models.model} {to} --recipe RECIPE"
        )
    newest = max(made, key=lambda each: each.release)
    if newest == left or _file_of(newest) == _file_of(left):
        raise PublishError(
            f"{what}: expected another version than the deployed one, got {to}, which is deployed as "
            f"{named(left.release)}; see edgewright history {models.model}"
        )
    return newest


def _target(releases: Releases, edge: EdgeVersion, folder: Path) -> _Target:
    """Fetch everything that a release was published from; raises before anything is changed."""
    models = releases.models
    runs = Runs(models.tracking_uri, models.model)
    page = models.page(models.origin(releases.device, edge))
    device = recorded_device(runs, page.candidate, releases.device)
    verdict = _verdict(runs, edge, page)
    file, candidate = _file(releases, runs, edge, page.candidate, device, folder)
    accepted = Acceptance.read(file.parent)
    return _Target(edge, replace(page, candidate=candidate), device, verdict, _report(runs, page), file, accepted)


def _verdict(runs: Runs, edge: EdgeVersion, page: ReleasePage) -> Verdict:
    """Return the verdict that a release was published with. Raises ApprovalError where its approval has ended."""
    run, what = page.candidate.run, f"{edge.name} release {edge.release}"
    try:
        verdict = Verdict.model_validate_json(runs.read_text(run, VERDICT))
    except ValidationError as error:
        raise RegistryError(
            f"{what}: expected its verdict in {VERDICT} of run {run}, got another form ({error.error_count()} "
            "differences); choose another version with --to, or compress it again"
        ) from error
    if page.tags.get("edgewright.verdict_sha256") != verdict.sha256:
        raise ApprovalError(
            f"{what}: expected the verdict that it was released with, got one that differs from its page; one of them "
            "was changed: choose another version with --to, or compress it again"
        )
    if edge.passed:
        return verdict
    approval = read_approval(runs.read_text(run, APPROVAL))
    today = datetime.now(UTC).date()
    return reinstate(verdict, approval, run_key=edge.run_key, file=edge.file_sha256, on=today)


def _report(runs: Runs, page: ReleasePage) -> ReportContent | None:
    """Return the report that a release was published with; None, with a warning, where nobody can read it."""
    try:
        return read_report(runs, page.candidate.run)
    except RegistryError as error:
        logger.warning("its bundle will have no documents, and not name who signed: %s", error)
        return None


def _file(
    releases: Releases, runs: Runs, edge: EdgeVersion, candidate: Candidate, device: DeviceProfile, folder: Path
) -> tuple[Path, Candidate]:
    """Return the file of a release: as it is kept with its run, else from its bundle, which is then kept again."""
    models = releases.models
    try:
        return models.fetch(edge, folder / "kept"), candidate
    except SystemFailure as lost:
        file = releases.destination.fetch(models.model, releases.device, edge.release, folder / "bundle")
        try:
            if file is None:
                raise lost
            check_model(file, edge.file_sha256)
        except SessionError as error:
            raise SystemFailure(f"{lost} Its bundle has another one: {one_line(error)}") from error
        model = load_model(file, session_settings(device), heads_of(file))
        tensors, accepted = (model.inputs, model.outputs), Acceptance.read(file.parent)
        beside = {} if accepted is None else accepted.files(folder)
        kept = models.keep(runs, candidate.run, file, candidate.lineage, edge.file_sha256, tensors, beside)
        logger.warning("%s: the file of release %d was lost in MLflow and is kept again, from its bundle",
                       releases.device, edge.release)  # fmt: skip
        return file, replace(candidate, folder=kept.folder)


def _publish(
    workspace: Workspace, models: EdgeModels, target: _Target, left: EdgeVersion, said: tuple[str, str]
) -> EdgeVersion:
    """Hold the version that is left, publish the target, and say that it has ended.

    Where the version that is left was published once more meanwhile, that release is left in its place.
    """
    device, by, reason = target.device.name, *said
    for _ in range(ATTEMPTS):
        rollback = Rollback(left.release, target.edge.release, by, _now(), reason)
        hold = Hold(left.source_version, left.release, by, rollback.when, reason)
        models.hold(device, hold)
        logger.info("%s: %s", device, hold.sentence)
        try:
            edge = put_in_place(workspace, target.device, target.publication(rollback))
        except Overtaken as error:
            left = _still_left(models, device, left, error)
        except Exception as error:
            if not is_of_system(error):
                raise
            raise _unfinished(models, device, left, error) from error
        else:
            _end(models, device, edge, left.source_version)
            logger.info("%s: release %d was %s", device, edge.release, rollback.sentence)
            return edge
    raise Overtaken(
        f"{models.model} on {device}: expected {named(left.release)} to be deployed still, got another release in each "
        f"of {ATTEMPTS} attempts; run again"
    )


def _unfinished(models: EdgeModels, device: str, left: EdgeVersion, error: Exception) -> SystemFailure:
    """Return the error of a rollback that the system kept from publishing, with what stands and what to do then."""
    try:
        stays = models.deployed(device) == left
    except EdgewrightError:
        stays = False
    what = f"version {left.source_version} is held on {device}{' and still deployed' if stays else ''}"
    return SystemFailure(
        f"{models.model} on {device}: expected to publish an earlier release once more, got: "
        f"{one_line(error).rstrip('.')}. By now {what}: say the same rollback again once the cause is cured, or lift "
        f"the hold with {lifting(models.model, device)}"
    )


def _still_left(models: EdgeModels, device: str, left: EdgeVersion, error: Overtaken) -> EdgeVersion:
    """Return what is deployed where it is of the version that is left; raises Overtaken for another one."""
    now = _deployed(models, device)
    if now.source_version == left.source_version and now.rollback is None:
        return now
    _completed(models, device, now)  # another rollback came first, and what it left is held in its name
    raise Overtaken(
        f"{models.model} on {device}: expected {named(left.release)} to be deployed still, got {named(now.release)} of "
        f"version {now.source_version}; see edgewright history {models.model}, and roll back again to leave that one"
    ) from error


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
