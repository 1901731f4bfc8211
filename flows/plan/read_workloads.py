"""Workloads as a plan reads them: each once with its data, whatever number of recipes, versions and devices ask.

A plan of new versions alone reads none; torch is imported with the first workload.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING

from deployments.device import DeviceProfile
from deployments.recipe import Recipe
from deployments.rows import DeploymentSample, Split, SplitName
from tasks.answer_parts import AnswerKeys
from tasks.registry import RegistryView
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from deployments.custom_metrics import CustomMetric
    from deployments.workload import Workload
    from tasks.job import Job, UserCode


@dataclass(frozen=True)
class _Data:
    workload: "Workload"
    splits: Mapping[SplitName, Split]

    @cached_property
    def sample(self) -> DeploymentSample | None:
        from deployments.workload import read_sample

        return read_sample(self.workload, self.splits)


class ReadWorkloads:
    """The workloads of recipes, read when a recipe asks for one."""

    def __init__(self, view: RegistryView, workspace: Workspace) -> None:
        self.view, self.workspace = view, workspace
        self._data: dict[str, _Data] = {}
        self._code = cache(self._read_code)

    def of(self, recipe: Recipe) -> "RecipeDepths":
        """Return what is known of a recipe beyond the registry; nothing is read before it is asked for."""
        return RecipeDepths(self, recipe)

    def job(self, recipe: Recipe, version: str) -> "Job":
        """Return the job that a run would have. Raises ConfigurationError for a workload that cannot be read."""
        from deployments.custom_metrics import load_custom_metrics
        from tasks.job import Job

        data = self._read(recipe)
        sample = data.sample if recipe.representativeness else None
        metrics = load_custom_metrics(recipe.gates)
        return Job(
            recipe.model, version, recipe, data.workload, data.splits, self.workspace, sample,
            self.view.identities.get((recipe.model, version), ""),
            code=self._code(recipe.workloads_key, recipe.workload, tuple(metrics.items())),
        )  # fmt: skip

    def _read(self, recipe: Recipe) -> _Data:
        from deployments.workload import read_splits

        if recipe.workloads_key not in self._data:
            loaded = recipe.load_workload()
            self._data[recipe.workloads_key] = _Data(loaded, read_splits(loaded))
        return self._data[recipe.workloads_key]

    def _read_code(self, key: str, workload: str, metrics: tuple[tuple[str, "CustomMetric"], ...]) -> "UserCode":
        from tasks.job import UserCode

        return UserCode.of(self._data[key].workload, workload, dict(metrics))


class RecipeDepths:
    """The knowledge of one recipe that the workload and the destination give."""

    def __init__(self, read: ReadWorkloads, recipe: Recipe) -> None:
        self._recipe, self._workspace = recipe, read.workspace
        self._job = cache(lambda version: read.job(recipe, version))

    def keys(self, version: str) -> Mapping[str, AnswerKeys]:
        """Return the keys that answers to a version would have now, by device."""
        return self._job(version).keys

    def answer_key(self, version: str) -> str:
        """Return the key that the answers of all devices share."""
        return self._job(version).answer_key

    def is_there(self, device: DeviceProfile, release: int) -> bool:
        """Tell whether the destination holds the whole bundle of a release."""
        from tasks.delivery import is_in_place

        return is_in_place(self._workspace, device, self._recipe.model, release)

    def looks_are_left(self, version: str, device: DeviceProfile) -> bool:
        """Tell whether gates that were withheld may look at the test rows by now."""
        from tasks.selection import next_look, withheld

        job = self._job(version)
        return withheld(next_look(job, job.question_key(device))) is None

    def still_waits(self, version: str, device: DeviceProfile) -> bool:
        """Tell whether an answer that waits for sign-off stands."""
        from tasks.delivery import still_waits

        return still_waits(self._job(version), device)
