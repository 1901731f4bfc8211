"""A counter of releases: versions of one model with judged candidates, which tests publish one after the other."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from edge_runtime.bundle import read_bundle
from edge_runtime.files import sha256_of
from quality_gates.verdict import GateOutcome
from tasks.delivery import Publication, publish
from tasks.delivery.destinations import destination_at
from tasks.job import Job
from tasks.registry import ANSWERS, EdgeModels, EdgeVersion, Runs
from tests.edge_runtime.models import linear_model
from tests.tasks.builders import on, verdict
from tests.tasks.tiny import FEATURES, job


class Counter:
    """A version with a judged candidate, ready to be published."""

    def __init__(self, job: Job, file: Path) -> None:
        self.job, self.file, self.context = job, file, on(job)
        self.models = EdgeModels(job.workspace.tracking_uri, job.model)
        self.destination = destination_at(job.workspace.published)
        runs = Runs(job.workspace.tracking_uri, job.model)
        run = runs.parent(job.version, job.run_key, f"m v{job.version}", {})
        self.candidate = self.models.keep(runs, run, file, self.context.lineage, sha256_of(file))

    def keep_records(self, outcome: GateOutcome = "pass") -> None:
        """Keep with the run what a rollback reads: the recipe, and the verdict of the gates."""
        runs, run = Runs(self.job.workspace.tracking_uri, self.job.model), self.candidate.run
        runs.text(run, "recipe.json", self.job.recipe.model_dump_json())
        runs.text(run, "verdict.json", verdict(outcome, self.candidate.file_sha256).model_dump_json())

    def publication(self, outcome: GateOutcome = "pass", **changes: Any) -> Publication:
        judged = verdict(outcome, self.candidate.file_sha256)
        now = self.deployed()
        tags = {"edgewright.verdict": outcome, ANSWERS: "avx2", "edgewright.verdict_sha256": judged.sha256}
        against = None if now is None else now.release
        return replace(Publication(judged, self.file, self.candidate, "words", tags, against), **changes)

    def publish(self, outcome: GateOutcome = "pass", **changes: Any) -> EdgeVersion:
        return publish.fn(self.context, self.publication(outcome, **changes))

    def deployed(self) -> EdgeVersion | None:
        return self.models.deployed("bench")

    def bundles(self) -> list[Path]:
        return [Path(address) for address in self.destination.bundles(self.job.model, "bench")]

    def versions(self) -> list[str]:
        return sorted(read_bundle(bundle).manifest.version for bundle in self.bundles())

    def other(self, version: str, target: Path | None = None) -> "Counter":
        """Another version of the same model, with another file; `target` makes it another installation's."""
        workspace = self.job.workspace if target is None else self.job.workspace.model_copy(update={"target": target})
        file = linear_model(self.file.parent / f"v{version}.onnx", FEATURES, 10 + int(version))
        return Counter(job(workspace, self.job.model, version), file)
