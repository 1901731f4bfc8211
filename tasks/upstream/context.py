"""Contexts: the objects that a compression's steps share, so that none of them is passed on piece by piece."""

from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

from deployments.device import DeviceProfile
from deployments.recipe import Rung
from deployments.workload import SplitName
from edge_runtime.measurement import RESOURCES
from tasks.errors import PreflightError
from tasks.job import Job
from tasks.registry import EdgeModels, Lineage, Runs
from tasks.store import StageStore
from tasks.upstream.parents import OnnxParent, Parent, TorchParent, stored_outputs

UNTRAINABLE = "this version is an ONNX file, which has no modules and no gradients to prune or to train by"
REMEDY = "for that, register the torch model with mlflow.pytorch.log_model"


@dataclass(frozen=True)
class Context:
    """One version that is being compressed: its job, its parent, and the id of its run in MLflow."""

    job: Job
    parent: Parent
    runs: Runs
    run: str

    @property
    def store(self) -> StageStore:
        """The finished stages."""
        return self.job.workspace.store

    @property
    def trainable(self) -> bool:
        """True where the parent is a torch program, which can be pruned and trained."""
        return not isinstance(self.parent, OnnxParent)

    @property
    def torch_parent(self) -> TorchParent:
        """The parent as a torch program. Raises PreflightError for an ONNX file; ask `trainable` before."""
        if isinstance(self.parent, OnnxParent):
            raise PreflightError(f"model `{self.job.model}` version {self.job.version}: {UNTRAINABLE}; {REMEDY}")
        return self.parent

    def parent_outputs(self, split: SplitName) -> Path:
        """Return the file of the parent's outputs on a split; they are computed once."""
        return stored_outputs(self.job, self.parent, self.job.splits[split].inputs, self.job.digests(split))

    def on(self, device: DeviceProfile) -> "DeviceContext":
        """Return the context of one device class."""
        shared = {field.name: getattr(self, field.name) for field in fields(Context)}
        return DeviceContext(**shared, device=device)


@dataclass(frozen=True)
class DeviceContext(Context):
    """One version on one device class."""

    device: DeviceProfile

    @cached_property
    def key(self) -> str:
        """Digest of everything that the device's answer depends on."""
        return self.job.device_key(self.device)

    @cached_property
    def device_run(self) -> str:
        """Id of the child run that shows this device; one that gave an answer before is not taken up again."""
        question = self.job.question_key(self.device)
        return self.runs.device(self.run, self.job.version, self.device.name, self.key, question)

    @property
    def lineage(self) -> Lineage:
        """The origin of the edge model that comes of this."""
        job, recipe = self.job, self.job.recipe
        return Lineage(job.version, job.model, recipe.name, recipe.digest, self.key)

    @property
    def edge_models(self) -> EdgeModels:
        """The edge models that were registered for the upstream model."""
        return EdgeModels(self.job.workspace.tracking_uri, self.job.model)

    @property
    def rungs(self) -> list[Rung]:
        """The recipe's rungs for the device, by cost; none that trains where the parent cannot be trained."""
        rungs = self.job.recipe.rungs(self.device)
        return rungs if self.trainable else [rung for rung in rungs if not rung.trains]

    @property
    def latency_matters(self) -> bool:
        """True where the recipe asks for speed on this device: by its search's objective, or by a budget of latency.

        An objective of another resource asks for that instead, such as the smallest file that keeps the budgets.
        """
        search = self.job.recipe.search
        objective = None if search is None else RESOURCES.get(search.objective)
        return self.device.budgets.limits_latency if objective is None else objective.weighed_as == "latency"

    @property
    def left_out(self) -> tuple[str, ...]:
        """Sentences on the parts of the recipe that the parent does not allow, and why; empty for a torch program."""
        if self.trainable:
            return ()
        titles = [rung.title for rung in self.job.recipe.rungs(self.device) if rung.trains]
        parts = [
            "Nothing was pruned",
            *([] if self.job.recipe.distil is None else ["no student was taught"]),
            *([f"{' and '.join(titles)} {'were' if len(titles) > 1 else 'was'} not tried"] if titles else []),
        ]
        listed = parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
        return (f"{listed}: {UNTRAINABLE}; {REMEDY}.",)
