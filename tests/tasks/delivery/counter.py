"""A counter of releases: versions of one model with judged candidates, which tests publish one after the other."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.bundle import QUANTILES, Golden, Measured, Spread, read_bundle
from edge_runtime.model_files import model_digest
from edge_runtime.session import EdgeModel
from edge_runtime.settings import SessionSettings
from quality_gates.verdict import GateOutcome
from tasks.delivery import Publication, publish
from tasks.delivery.destinations import destination_at
from tasks.job import Job
from tasks.measurement import GOLDEN, Acceptance
from tasks.registry import ANSWERS, Candidate, EdgeModels, EdgeVersion, Runs
from tasks.workspace import Workspace
from tests.edge_runtime.models import linear_model
from tests.tasks.builders import on, verdict
from tests.tasks.tiny import FEATURES, job


class Counter:
    """A version with a judged candidate, ready to be published; with its acceptance data, where it has some."""

    def __init__(self, job: Job, file: Path, accepted: Acceptance | None = None) -> None:
        self.job, self.file, self.context, self.accepted = job, file, on(job), accepted
        self.models = EdgeModels(job.workspace.tracking_uri, job.model)
        self.destination = destination_at(job.workspace.published)
        self.candidate = self.keep(model_digest(file))

    def keep(self, digest: str) -> Candidate:
        """Keep the file with the run of its version, as that of the model that was measured."""
        runs = Runs(self.job.workspace.tracking_uri, self.job.model)
        run = runs.parent(self.job.version, self.job.run_key, f"m v{self.job.version}", {})
        beside = {} if self.accepted is None else self.accepted.files(self.accepted.golden_file.parent)
        return self.models.keep(runs, run, self.file, self.context.lineage, digest, beside=beside)

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
        made = Publication(judged, self.file, self.candidate, "words", tags, against, acceptance=self.accepted)
        return replace(made, **changes)

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
        return Counter(job(workspace, self.job.model, version), file, self.accepted and acceptance(file))


def acceptance(file: Path) -> Acceptance:
    """Acceptance data of a linear model, kept in a folder of its own."""
    folder = file.with_suffix(".accepted")
    folder.mkdir()
    rows = np.ones((3, FEATURES), np.float32)
    (answers,) = EdgeModel.load(file, SessionSettings(threads=1)).predict({"x": rows})
    vectors: dict[str, Any] = {"in.x": rows, "out.y": answers}
    np.savez(folder / GOLDEN, **vectors)
    spread = Spread("x", 3, 1.0, 0.0, (1.0,) * len(QUANTILES))
    made = Acceptance(
        folder / GOLDEN, Golden(GOLDEN, 3, 1, {"y": 1e-3}), (spread,), Measured({"load_ms": 2.5}, {"1": 0.5})
    )
    made.describe(folder)
    return made


def register(workspace: Workspace, model: str) -> None:
    """Register the upstream model, which a rollback asks for by its name."""
    client = EdgeModels(workspace.tracking_uri, model).client
    client.create_registered_model(model)
    client.create_model_version(model, "/nowhere")


def kept_folders(counter: Counter, *, lose: bool = False) -> list[Path]:
    """The folders in which a candidate is kept with its run; `lose` removes them."""
    root = Path(counter.job.workspace.tracking_uri.removeprefix("sqlite:///")).parent
    runs = root.rglob(counter.candidate.run)
    found = [path for run in runs for path in run.rglob(counter.candidate.folder)]
    for folder in found if lose else ():
        shutil.rmtree(folder)
    return found
