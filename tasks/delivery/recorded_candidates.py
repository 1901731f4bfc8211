"""Recorded candidates: what a run kept of a device's decision, from which it can be published later.

A person decides hours or days after the gates did. So everything that a publication needs is read from the registry
and checked: the records are those that the run wrote, and what it was held against is still deployed.
"""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from pydantic import ValidationError

from deployments.device import DeviceProfile
from deployments.recipe import Recipe, recorded_recipe
from quality_gates.errors import ApprovalError
from quality_gates.report import ReportContent
from quality_gates.verdict import Verdict
from tasks.delivery.bundle_content import Publication
from tasks.delivery.documents import documents_of
from tasks.errors import RegistryError
from tasks.measurement import Acceptance
from tasks.outcomes import history_row
from tasks.registry import Candidate, EdgeModels, Runs
from tasks.reporting import (
    RECIPE,
    VERDICT,
    DeviceOutcome,
    Outcome,
    decision,
    description,
    read_report,
    record_answer,
    record_line,
    record_report,
    release_tags,
    until_now,
)
from tasks.workspace import Workspace

logger = logging.getLogger("edgewright")
COMPRESS_AGAIN = "compress the version again"
OF_A_DECISION = ("published", "overridden", "undecided", "waits", "signed_off", "why")


@dataclass(frozen=True)
class RecordedCandidate:
    """The records of one device's decision in the registry: the answer, its report and the candidate."""

    workspace: Workspace
    line: DeviceOutcome
    candidate: Candidate
    content: ReportContent

    @classmethod
    def of(cls, workspace: Workspace, line: DeviceOutcome) -> "RecordedCandidate":
        """Read the records of an answer. Raises RegistryError where its candidate or its report is not there."""
        if line.candidate is None:
            raise RegistryError(
                f"run {line.run_id}: expected the candidate of version {line.version} on {line.device}, got none; "
                f"{COMPRESS_AGAIN}"
            )
        content = read_report(Runs(workspace.tracking_uri, line.model), line.run_id)
        return cls(workspace, line, line.candidate, content)

    @cached_property
    def runs(self) -> Runs:
        """The runs of the upstream model."""
        return Runs(self.workspace.tracking_uri, self.line.model)

    @cached_property
    def models(self) -> EdgeModels:
        """The releases of the upstream model."""
        return EdgeModels(self.workspace.tracking_uri, self.line.model)

    @property
    def run(self) -> str:
        """Id of the device's run."""
        return self.line.run_id

    @property
    def what(self) -> str:
        """The version and the device in words."""
        return f"{self.line.model} version {self.line.version} on {self.line.device}"

    def check_untouched(self) -> None:
        """Raise ApprovalError unless the run's file, the report and the registry hold the verdict that was recorded."""
        try:
            stored = Verdict.model_validate_json(self.runs.read_text(self.run, VERDICT)).sha256
        except ValidationError:
            stored = "of another form"
        tags = self.runs.tags(self.run)
        digests = {stored, self.content.verdict.sha256, tags.get("edgewright.verdict_sha256")}
        if len(digests) != 1 or self.candidate.file_sha256 != self.content.verdict.file_sha256:
            raise ApprovalError(
                f"{self.what}: expected the verdict that was recorded with the candidate, got records that differ; one "
                f"of them was changed: {COMPRESS_AGAIN}"
            )

    @property
    def is_deployed(self) -> bool:
        """True where the candidate is what is deployed: a publication was killed after it had moved the alias."""
        now = self.models.deployed(self.line.device)
        return now is not None and now.is_of(self.candidate)

    def check_still_deployed(self) -> None:
        """Raise ApprovalError unless what the gates held it against is deployed still, or the candidate itself is."""
        line, now = self.line, self.models.deployed(self.line.device)
        if now is not None and now.is_of(self.candidate):
            return
        if (None if now is None else now.release) != line.held_against:
            raise ApprovalError(
                f"{self.what}: expected what it was held against to be deployed still "
                f"({_named(line.deployed_version)}), got {_named(now.source_version if now else None)}; "
                f"{COMPRESS_AGAIN}, so that its gates see what it would replace"
            )

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe that the gates were of. Raises RegistryError or ApprovalError where it is another one."""
        return _recorded_recipe(self.runs, self.candidate)

    def device(self) -> DeviceProfile:
        """Return the profile of the device that it was made for; raises as `recipe`."""
        return recorded_device(self.runs, self.candidate, self.line.device)

    @contextmanager
    def publication(self, content: ReportContent) -> Iterator[Publication]:
        """Fetch the candidate's file, and describe it by a report, until the block ends."""
        with tempfile.TemporaryDirectory(prefix="edgewright-") as scratch:
            file = self.models.fetch_candidate(self.candidate, Path(scratch))
            yield Publication(
                content.verdict,
                file,
                self.candidate,
                description(content, self.runs, self.run),
                release_tags(content, self.run),
                self.line.held_against,
                back=self.line.goes_back,
                anchor=self.line.anchor,
                sign_off=content.sign_off,
                acceptance=Acceptance.read(file.parent),
                documents=documents_of(content),
            )

    def content_after(self, after: DeviceOutcome, verdict: Verdict) -> ReportContent:
        """Return the report as it is with the outcome that a person's decision gives."""
        content, now = self.content, datetime.now(UTC)
        changed: dict[str, object] = {
            "verdict": verdict,
            "published": after.published,
            "sign_off": after.sign_off,
            "decision": decision(after),
        }
        if content.history:
            row = history_row(after, now, "deployed" if after.published else "")
            told = {name: getattr(row, name) for name in (*OF_A_DECISION, "now")}
            changed["history"] = until_now(content.history[:-1], content.history[-1].model_copy(update=told))
        return content.model_copy(update=changed)

    def tell(self, content: ReportContent, after: DeviceOutcome) -> None:
        """Record in the report, the run and the answers what a person has decided."""
        record_report(self.runs, self.run, content)
        record_line(self.runs, after)
        whole = self._version_outcome()
        if whole is not None:
            devices = tuple(after if line.device == after.device else line for line in whole.devices)
            changed = {"devices": devices, "answer": Outcome.answer_of(devices, whole.failures)}
            record_answer(self.workspace.tracking_uri, self.runs, whole.model_copy(update=changed))

    def _version_outcome(self) -> Outcome | None:
        """Return the answer of the whole version; None, with a warning, where its record cannot be read."""
        try:
            return Outcome.model_validate_json(self.runs.read_text(self.line.version_run_id, "outcome.json"))
        except (RegistryError, ValidationError) as error:
            logger.warning("run %s: its outcome cannot be read (%s)", self.line.version_run_id, type(error).__name__)
            return None


def recorded_device(runs: Runs, candidate: Candidate, device: str) -> DeviceProfile:
    """Return the device profile that a candidate was judged under, from the recipe that is kept with its run.

    Raises RegistryError or ApprovalError where the recipe has another form, or is another one.
    """
    profiles = _recorded_recipe(runs, candidate).devices
    found = next((profile for profile in profiles if profile.name == device), None)
    if found is None:
        raise RegistryError(
            f"run {candidate.run}: expected the profile of {device} in its recipe.json, got those of "
            f"{', '.join(profile.name for profile in profiles)}; {COMPRESS_AGAIN}"
        )
    return found


def _recorded_recipe(runs: Runs, candidate: Candidate) -> Recipe:
    run, expected = candidate.run, candidate.lineage.recipe_digest
    try:
        recipe = recorded_recipe(runs.read_text(run, RECIPE))
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
    return recipe


def _named(version: str | None) -> str:
    return f"a model of version {version}" if version else "nothing"
