"""A job: one upstream version, the recipe for it, and the data, checked before any long work."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from torch import nn

from deployments.answers import answers_of
from deployments.custom_metrics import CustomMetric, custom_metrics_digest, load_custom_metrics
from deployments.recipe import Recipe
from deployments.workload import DeploymentSample, Split, SplitName, Workload, code_digest
from model_compression.training import predict
from tasks.emulation import emulators_for
from tasks.errors import EmulatorMissing
from tasks.registry import Lineage
from tasks.store import code_digests, digest_of, libraries
from tasks.workspace import Workspace

PIPELINE = ("model_compression", "quality_gates", "edge_runtime", "deployments", "tasks")


@dataclass(frozen=True)
class Job:
    """One run of `compress`: the version, the recipe for it, and its data."""

    model: str
    version: str
    recipe: Recipe
    workload: Workload
    splits: Mapping[SplitName, Split]
    workspace: Workspace
    sample: DeploymentSample | None = None  # read where the recipe asks for it

    @cached_property
    def functions(self) -> dict[str, CustomMetric]:
        """The custom metrics that the gates name."""
        return load_custom_metrics(self.recipe.gates)

    @cached_property
    def run_key(self) -> str:
        """Digest of the version, the recipe with its devices, the workload, the pipeline's code and its libraries."""
        return run_key(self.model, self.version, self.recipe, self.workload, self.workspace.home)

    @property
    def lineage(self) -> Lineage:
        """The origin of the edge models that come of this job."""
        recipe = self.recipe
        return Lineage(self.version, self.model, recipe.name, recipe.digest, self.run_key)

    def validation_score(self, model: nn.Module) -> float:
        """Return the mean score of a module on the validation rows."""
        return self.mean_score(predict(model, self.splits["validation"].inputs))

    def mean_score(self, outputs: np.ndarray) -> float:
        """Return the mean score of outputs for the validation rows; minus infinity where a score is no number."""
        return answers_of(self.workload, outputs, self.splits["validation"].targets).mean_score

    def allowed_loss(self, share: float, score: float) -> float:
        """Return a share of loss in the unit of scores: of the error itself where scores are errors, else as it is."""
        return share * abs(score) if self.workload.scores_are_errors else share

    def digests(self, *splits: SplitName) -> dict[str, str]:
        """Return the digests that a stage which reads these splits depends on."""
        found = {name: self.splits[name].digest for name in splits} | {"workload": code_digest(self.workload)}
        if "train" in splits and self.recipe.critical_weight != 1:
            critical = [str(condition) for condition in self.recipe.critical_slices]
            found["critical"] = digest_of([self.recipe.critical_weight, *critical])
        return found


def run_key(model: str, version: str, recipe: Recipe, workload: Workload, home: Path) -> str:
    """Return the digest of everything whose change asks for a new answer, a new emulator included."""
    emulators = emulators_for(recipe.devices, home)
    return digest_of(
        {
            "model": model,
            "version": version,
            "recipe": recipe.digest,
            "workload": code_digest(workload),
            "functions": custom_metrics_digest(load_custom_metrics(recipe.gates).values()),
            "code": code_digests(PIPELINE),
            "libraries": libraries(),
            "emulators": {
                name: "missing" if isinstance(found, EmulatorMissing) else found.identity
                for name, found in emulators.items()
            },
        }
    )[:32]
