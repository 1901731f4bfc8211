"""A job: one upstream version, the recipe for it, and the data, checked before any long work."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import pandas as pd
from torch import Generator, Tensor, nn

from deployments.answers import answers_in_parts, answers_of, reference_of
from deployments.custom_metrics import (
    CustomMetric,
    custom_metrics_digest,
    load_custom_metrics,
    written_metrics_digest,
)
from deployments.device import DeviceProfile
from deployments.families import JointWorkload
from deployments.leaks import RowSketch, SharedRows, shared_rows, sketch_of
from deployments.mapped import outputs_in_parts
from deployments.recipe import WHEN, Recipe
from deployments.user_calls import call_user_code
from deployments.user_code import code_digest, package_of, question_digest
from deployments.workload import DeploymentSample, Split, SplitName, Workload, loss_of
from deployments.yaml_file import stated
from model_compression.training import predict
from quality_gates.evidence import KnownClasses
from tasks.answer_parts import SHORT, AnswerKeys, cpu_parts, profile_parts, recipe_parts
from tasks.store import code_digests, digest_of, libraries
from tasks.workspace import Workspace

KNOWN_FROM: tuple[SplitName, ...] = ("train", "calibration", "validation")
PIPELINE = ("model_compression", "quality_gates", "edge_runtime", "deployments", "tasks")


@dataclass(frozen=True)
class UserCode:
    """The digests of a workload and of custom metrics: with all that they import, and of what people wrote alone."""

    workload: str
    question: str
    metrics: str
    written_metrics: str

    @classmethod
    def of(cls, workload: Workload, reference: str, metrics: Mapping[str, CustomMetric]) -> "UserCode":
        """Read the source files; `reference` is the workload as recipes name it.

        The code of a family is that of all members, with their weights, and of what makes one workload of them.
        """
        if isinstance(workload, JointWorkload):
            return cls._of_family(workload, metrics)
        return cls(
            code_digest(workload, reference),
            question_digest(workload, reference),
            custom_metrics_digest(metrics),
            written_metrics_digest(metrics, package_of(reference)),
        )

    @classmethod
    def _of_family(cls, family: JointWorkload, metrics: Mapping[str, CustomMetric]) -> "UserCode":
        own = [cls.of(each.workload, each.reference, metrics) for each in family.tasks]
        said = [[each.name, each.weight, list(each.outputs)] for each in family.tasks]
        joining = code_digest(family, reference_of(family))
        return cls(
            digest_of([said, joining, *(each.workload for each in own)]),
            digest_of([said, *(each.question for each in own)]),
            own[0].metrics,
            digest_of([each.written_metrics for each in own]),
        )


@dataclass(frozen=True)
class Job:
    """One run of `compress`: the version, the recipe for it, and its data.

    `identity` is what the registry holds under the version's number. `asked` are the devices that want an answer: all
    of the recipe, or those that have none yet. `again` is set where a person asks whatever was answered before, or goes
    back to an older version.
    """

    model: str
    version: str
    recipe: Recipe
    workload: Workload
    splits: Mapping[SplitName, Split]
    workspace: Workspace
    sample: DeploymentSample | None = None  # read where the recipe asks for it
    identity: str = ""
    asked: tuple[DeviceProfile, ...] | None = None
    again: bool = False
    cause: str = ""  # why the run was started, in words
    code: "UserCode | None" = None  # where it was read before

    @property
    def devices(self) -> tuple[DeviceProfile, ...]:
        """The devices that want an answer."""
        return self.recipe.devices if self.asked is None else self.asked

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks of a family, each of which has a head, in their order; none where the model is no family."""
        return tuple(member.name for member in self.recipe.members)

    @cached_property
    def functions(self) -> dict[str, CustomMetric]:
        """The custom metrics that the gates name."""
        return load_custom_metrics(self.recipe.gates)

    @cached_property
    def classes(self) -> KnownClasses:
        """The classes that a metric of classes must not look away from."""
        return known_classes(self.workload, self.splits)

    @cached_property
    def shared_rows(self) -> tuple[SharedRows, ...]:
        """The rows that two splits share, where one of them judges the other; the workload says why there are any."""
        return tuple(each for each in shared_rows(self.splits) if each.is_leak)

    @cached_property
    def test_rows(self) -> RowSketch:
        """The sketch of the test rows by which the ledger of looks knows them."""
        return sketch_of(self.splits["test"])

    @cached_property
    def data(self) -> dict[str, str]:
        """The version of the data: the workload's own text for it, or the digest of every split and of the sample."""
        version = call_user_code(
            self.workload.data_version,
            f"workload `{self.recipe.workload}`: expected a text or None as the version of the data",
            "correct Workload.data_version",
        )
        if version is not None:
            return {"data_version": str(version)}
        read: dict[str, str] = {name: split.digest for name, split in self.splits.items()}
        return read if self.sample is None else read | {"deployment": self.sample.digest}

    @cached_property
    def run_key(self) -> str:
        """Digest of everything whose change asks for a new answer on every device.

        That is the registered model, the recipe without its devices, the workload with what it imports, its data, the
        custom metrics, the pipeline's code and its libraries.
        """
        below = {
            "workload": self.user_code.workload,
            "functions": self.user_code.metrics,
            "code": code_digests(PIPELINE),
            "libraries": libraries(),
        }
        return digest_of({"question": self._question, "below": below})[:32]

    def device_key(self, device: DeviceProfile) -> str:
        """Return the digest of a run key, a device's profile, and the CPU and the emulator that answer for it here."""
        return self._key(device, cpu_parts(device, self.workspace.home))

    def _key(self, device: DeviceProfile, cpu: Mapping[str, str]) -> str:
        return digest_of({"shared": self.run_key, "device": device.model_dump(mode="json"), **cpu})[:32]

    def question_key(self, device: DeviceProfile) -> str:
        """Return the digest of what people decide on for one device: model, recipe, workload, data and profile.

        Code of Edgewright and of libraries, CPU and emulator do not count, so that a new toolchain is no second chance.
        Nor does a key that a new release adds with a default.
        """
        return digest_of({"shared": self._question, "device": stated(device)})[:32]

    @cached_property
    def _question(self) -> dict[str, Any]:
        """The parts that people decide on, on every device; keys that only say when to run are no part of it."""
        keys = {name: value for name, value in stated(self.recipe).items() if name not in {"devices", *WHEN}}
        return {
            "identity": self.identity,
            "recipe": keys,
            "workload": self.user_code.question,
            "data": dict(self.data),
            "functions": self.user_code.written_metrics,
        }

    @cached_property
    def user_code(self) -> "UserCode":
        """The digests of what the recipe names of the user's code."""
        return self.code or UserCode.of(self.workload, self.recipe.workload, self.functions)

    @cached_property
    def parts(self) -> dict[str, str]:
        """The parts of the key that all devices share, by name."""
        named = "data_version" in self.data
        rows = {f"rows/{name}": value[:SHORT] for name, value in self.data.items()}
        return {
            "model": digest_of(self.identity)[:SHORT],
            **recipe_parts(self.recipe),
            "workload": self.user_code.workload[:SHORT],
            **({"data version": digest_of(self.data)[:SHORT]} if named else rows),
            "metrics": self.user_code.metrics[:SHORT],
            "edgewright": digest_of(code_digests(PIPELINE))[:SHORT],
            **{f"library/{name}": version for name, version in libraries().items()},
        }

    @cached_property
    def keys(self) -> dict[str, AnswerKeys]:
        """The keys of each device's answer, by the device's name."""
        return {device.name: self._keys(device) for device in self.recipe.devices}

    def _keys(self, device: DeviceProfile) -> AnswerKeys:
        cpu = cpu_parts(device, self.workspace.home)
        parts = {**self.parts, **profile_parts(device), **cpu}
        return AnswerKeys(self._key(device, cpu), self.question_key(device), parts)

    @cached_property
    def answer_key(self) -> str:
        """Digest of everything that the answers of all the recipe's devices depend on."""
        return digest_of([keys.key for keys in self.keys.values()])[:32]

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the workload's loss of a batch. Raises ConfigurationError where it fails or is no scalar."""
        return loss_of(self.workload, f"workload `{self.recipe.workload}`", outputs, targets)

    def augment(self, inputs: tuple[Tensor, ...], generator: Generator) -> tuple[Tensor, ...]:
        """Return changed rows of the same meaning for a training step. Raises ConfigurationError where that fails."""
        return call_user_code(
            lambda: self.workload.augment(inputs, generator),
            f"workload `{self.recipe.workload}`: expected changed rows for training",
            "correct Workload.augment",
        )

    def validation_score(self, model: nn.Module) -> float:
        """Return the mean score of a module on the validation rows."""
        validation = self.splits["validation"]
        outputs = outputs_in_parts(partial(predict, model), validation.inputs)
        return answers_in_parts(self.workload, outputs, validation.targets).mean_score

    def mean_score(self, outputs: np.ndarray) -> float:
        """Return the mean score of outputs for the validation rows; minus infinity where a score is no number."""
        return answers_of(self.workload, outputs, self.splits["validation"].targets).mean_score

    @property
    def score_word(self) -> str:
        """The word for a mean score: accuracy where scores are 0 and 1 by default."""
        return "accuracy" if self.workload.answers_are_shares else "score"

    def allowed_loss(self, share: float, score: float) -> float:
        """Return a share of loss in the unit of scores: of the error itself where scores are errors, else as it is."""
        return share * abs(score) if self.workload.scores_are_errors else share

    def digests(self, *splits: SplitName) -> dict[str, str]:
        """Return the digests that a stage which reads these splits depends on."""
        found: dict[str, str] = {name: self.splits[name].digest for name in splits}
        found["workload"] = self.user_code.workload
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

    The index holds the number of each row; a training row of a family has a line for each task that knows it.
    Raises ConfigurationError where right answers fail.
    """
    rows, targets = workload.questions(split)
    labels = right_answers(workload, targets)
    if labels is None or np.shape(labels) != (len(rows),):
        return rows
    return rows.assign(target=labels)


def right_answers(workload: Workload, targets: np.ndarray) -> np.ndarray | None:
    """Return the right answers of rows with these targets, None where there are none.

    Raises ConfigurationError where Workload.right_answers fails.
    """
    return call_user_code(
        lambda: workload.right_answers(targets),
        f"expected right answers for targets of shape {targets.shape}",
        "correct Workload.right_answers",
    )
