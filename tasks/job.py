"""A job: one upstream version, the recipe for it, and the data, checked before any long work."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from torch import nn

from deployments.custom_metrics import CustomMetric, custom_metrics_digest, load_custom_metrics
from deployments.errors import ConfigurationError
from deployments.recipe import Recipe
from deployments.workload import DeploymentSample, Split, SplitName, Workload, code_digest
from model_compression.training import predict
from quality_gates.evidence import KnownClasses
from tasks.emulation import emulators_for
from tasks.errors import EmulatorMissing, one_line
from tasks.registry import Lineage
from tasks.store import code_digests, digest_of, libraries
from tasks.workspace import Workspace

KNOWN_FROM: tuple[SplitName, ...] = ("train", "calibration", "validation")
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
    def classes(self) -> KnownClasses:
        """The classes that a metric of classes must not look away from."""
        return known_classes(self.workload, self.splits)

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
        rows = self.splits["validation"]
        return float(self.workload.score(predict(model, rows.inputs), rows.targets).mean())

    def digests(self, *splits: SplitName) -> dict[str, str]:
        """Return the digests that a stage which reads these splits depends on."""
        found = {name: self.splits[name].digest for name in splits} | {"workload": code_digest(self.workload)}
        if "train" in splits and self.recipe.critical_weight != 1:
            critical = [str(condition) for condition in self.recipe.critical_slices]
            found["critical"] = digest_of([self.recipe.critical_weight, *critical])
        return found


def known_classes(workload: Workload, splits: Mapping[SplitName, Split]) -> KnownClasses:
    """Return the classes that all splits but test name; raises ConfigurationError where right answers fail."""
    seen = [labelled_rows(workload, splits[name]) for name in KNOWN_FROM]
    return KnownClasses(tuple(rows for rows in seen if "target" in rows.columns))


def labelled_rows(workload: Workload, split: Split) -> pd.DataFrame:
    """Return the slice columns of a split, and `target` where the workload says one right answer for each row.

    Raises ConfigurationError where right answers fail.
    """
    rows, labels = split.slices.reset_index(drop=True), right_answers(workload, split)
    if labels is None or np.shape(labels) != (len(rows),):
        return rows
    return pd.concat([rows, pd.Series(labels, name="target")], axis=1)


def right_answers(workload: Workload, split: Split) -> np.ndarray | None:
    """Return the right answers of a split's rows, None where there are none.

    Raises ConfigurationError where Workload.right_answers fails.
    """
    try:
        return workload.right_answers(split.targets)
    except Exception as error:  # user code
        raise ConfigurationError(
            f"expected right answers for targets of shape {split.targets.shape}, got {one_line(error)}; correct "
            "Workload.right_answers"
        ) from error


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
