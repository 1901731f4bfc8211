"""New heads on the backbone of a release: trained alone, each on the features that the backbone's file gives.

The file gives what a device will give the head, with the rounding of its rung; the float backbone would give other
numbers. Features of a row are computed once, so that a workload's `augment` does not change rows here.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, fx

from deployments.answers import AskedRows, answers_of
from deployments.rungs import Train
from deployments.workload import SplitName, Workload, soft_labels_of
from edge_runtime.files import sha256_of
from edge_runtime.model_files import model_digest
from model_compression.families import (
    backbone_and_heads,
    backbone_history,
    refitted_head,
    save_program,
    with_heads,
)
from model_compression.intake import load_program, rebuild
from model_compression.pruning import History
from model_compression.quantization import train_quantized
from model_compression.training import FineTuning, SoftLabelLoss, fine_tune, predict, soft_label_loss
from tasks.compression.distillation_targets import row_weights
from tasks.compression.family_files import features_of
from tasks.compression.float_models import KEEPING, LOADING, PROGRAM, Snapshot, UpdatedFamily, keep_float_model
from tasks.compression.structures import FamilyParts, ParentForm
from tasks.job import Job
from tasks.progress import as_task, steps
from tasks.upstream import Context, OnnxParent, stored_outputs

CODE = (
    *LOADING, *KEEPING, backbone_and_heads, backbone_history, refitted_head, with_heads, save_program, fine_tune,
    row_weights, stored_outputs, __name__,
)  # fmt: skip


@dataclass(frozen=True)
class DeployedFamily:
    """The parts of a family's release that the next one starts from: its float model as a program, and its file.

    `parts` say what its backbone and its heads were made from, `removed` what was removed from its model, which had a
    parent of this form.
    """

    release: int
    parts: FamilyParts
    parent: ParentForm
    removed: History
    program: Path
    file: Path

    def model(self) -> fx.GraphModule:
        """Return the joined float model that the release's file was made of. Raises IntakeError for another file."""
        return rebuild(load_program(self.program)).eval()

    def history(self, context: Context, heads: Collection[str] = ()) -> History:
        """Return what its backbone lost, as the version's own backbone can lose it.

        With `heads`, also what these lost, where the version's parent has the form of the release's, so that names mean
        the same.
        """
        parent, tasks = context.torch_parent, context.job.tasks
        joined = cast(fx.GraphModule, parent.build())
        of = () if heads and self.parent.difference(ParentForm.of(parent)) else heads
        return backbone_history(self.removed, joined, tasks, of)


def may_lose_alike(context: Context, deployed: DeployedFamily, new: Sequence[str]) -> bool:
    """Tell whether new heads can be made smaller by what the former ones lost."""
    return deployed.history(context, new) != deployed.history(context)


def update_family(
    context: Context, deployed: DeployedFamily, origins: Mapping[str, str], new: Sequence[str], *, alike: bool = False
) -> UpdatedFamily:
    """Return a release's model with new heads for some tasks, each fitted to the backbone and trained on its features.

    `origins` are the identities of the members' versions, by task. With `alike`, each head first loses what the former
    one lost. Raises FamilyError where a head does not fit the backbone, and TrainingError.
    """
    job = context.job
    heads = {task: _new_head(context, deployed, task, alike=alike) for task in new}
    history = deployed.history(context, [task for task in job.tasks if alike or task not in new])

    def produce(folder: Path) -> dict[str, Any]:
        trained = {task: rebuild(load_program(path)).eval() for task, path in heads.items()}
        model = with_heads(deployed.model(), job.tasks, trained)
        save_program(model, context.torch_parent.example, folder / PROGRAM)
        return keep_float_model(job, folder, model, history)

    inputs = {
        "program": sha256_of(deployed.program),
        "heads": {task: sha256_of(path) for task, path in heads.items()},
        "tasks": list(job.tasks),
        "removed": history,
        **job.digests("validation"),
    }
    stage = context.store.run("family-update", inputs, CODE, produce)
    snapshot = Snapshot.of(stage, len(history), deployed.release)
    made_from = {task: origins[task] if task in new else former for task, former in deployed.parts.heads.items()}
    shared = {each.name: getattr(snapshot, each.name) for each in fields(Snapshot)}
    return UpdatedFamily(**shared, kept=deployed.file, new=tuple(new), alike=alike, origins=made_from)


def _new_head(context: Context, deployed: DeployedFamily, task: str, *, alike: bool) -> Path:
    """Return the program of a trained head for a task, which takes features and gives answers."""
    parent, tasks = context.torch_parent, context.job.tasks
    settings = context.job.recipe.prune.fine_tune.settings()
    history = deployed.history(context, [task] if alike else ())

    def produce(folder: Path) -> dict[str, Any]:
        backbone, _ = backbone_and_heads(deployed.model(), tasks)
        joined = cast(fx.GraphModule, parent.build())
        head = refitted_head(joined, tasks, task, parent.example, history, backbone)
        rows = HeadRows(context, deployed.file, task)
        with steps(f"fine-tuning the new head of {task}") as progress:
            fine_tune(
                head, (rows.features,), rows.targets, rows.teacher, rows.loss, settings, progress, rows.score,
                weights=rows.weights, soft_labels=rows.soft_labels,
            )  # fmt: skip
        save_program(head, (rows.example,), folder / PROGRAM)
        return {"score": rows.score(head)}

    inputs = {
        "parent": parent.digest,
        "program": sha256_of(deployed.program),
        "backbone": model_digest(deployed.file, ()),
        "removed": history,
        "task": task,
        "tasks": list(tasks),
        "settings": repr(settings),
        **context.job.digests("train", "validation"),
    }
    stage = context.store.run("new-head", inputs, CODE, as_task("new head", f"new head of {task}", produce))
    return stage.folder / PROGRAM


class HeadRows:
    """The rows that ask one task, as its head sees them: features of a backbone's file, its own parent's answers."""

    def __init__(self, context: Context, backbone: Path, task: str) -> None:
        self.context, self.backbone, self.task = context, backbone, task
        self._edge = OnnxParent(backbone, model_digest(backbone, ()))

    @cached_property
    def features(self) -> np.ndarray:
        """The features of the training rows that the task knows."""
        return _taken(self.features_of("train"), self._train.rows)

    @property
    def targets(self) -> np.ndarray:
        """The task's own targets of those rows."""
        return self._train.targets

    @cached_property
    def soft_labels(self) -> SoftLabelLoss:
        """The loss of soft labels that fits the task."""
        return self._soft_labels or soft_label_loss

    @property
    def teacher(self) -> np.ndarray | None:
        """Its parent's answers to those rows; None where no loss of soft labels fits them."""
        return None if self._soft_labels is None else self._train.outputs

    @cached_property
    def weights(self) -> np.ndarray | None:
        """The weight by which each of those rows is drawn; None for equal ones."""
        weights = row_weights(self.context.job)
        return None if weights is None else weights[self._train.rows]

    @cached_property
    def example(self) -> Tensor:
        """Features of a few rows."""
        return torch.from_numpy(self._edge.answers(tuple(each.numpy() for each in self.context.torch_parent.example)))

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the task's own loss of a batch. Raises ConfigurationError where it fails or is no scalar."""
        return self._job.loss(outputs, targets)

    def score(self, head: torch.nn.Module) -> float:
        """Return the mean score of a head on the validation rows of its task."""
        outputs = predict(head, (self._validation_features,))
        return answers_of(self._validation.workload, outputs, self._validation.targets).mean_score

    def features_of(self, split: SplitName) -> np.ndarray:
        """Return the features of all rows of a split; they are computed once, and stay on disk."""
        job = self.context.job
        found = stored_outputs(job, self._edge, job.splits[split].inputs, job.digests(split))
        features: np.ndarray = np.load(found, mmap_mode="c")
        return features

    @cached_property
    def _validation_features(self) -> np.ndarray:
        return _taken(self.features_of("validation"), self._validation.rows)

    @cached_property
    def _train(self) -> AskedRows:
        return self._asked("train")

    @cached_property
    def _validation(self) -> AskedRows:
        return self._asked("validation")

    @cached_property
    def _soft_labels(self) -> SoftLabelLoss | None:
        asked = self._validation
        return soft_labels_of(cast(Workload, asked.workload), asked.outputs, asked.targets)

    @cached_property
    def _job(self) -> Job:
        return replace(self.context.job, workload=cast(Workload, self._train.workload))

    def _asked(self, split: SplitName) -> AskedRows:
        """Return the rows of a split that ask the task, with its own parent's answers."""
        job = self.context.job
        outputs = np.load(self.context.parent_outputs(split), mmap_mode="r")
        asked = job.workload.asked(outputs, job.splits[split].targets) or ()
        return next(each for each in asked if each.task == self.task)


def _taken(features: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the features of some rows; those of all rows are not copied into memory."""
    found: np.ndarray = features if len(rows) == len(features) else features[rows]
    return found


def training_of_head(context: Context, updated: UpdatedFamily, task: str) -> Train:
    """Return the way to train a new head with fake quantization, with its own parent as the teacher."""

    def train(path: Path, settings: FineTuning, *, reduce_range: bool, in_float: Sequence[str]) -> object:
        job, rows = context.job, HeadRows(context, updated.kept, task)
        _, heads = backbone_and_heads(cast(fx.GraphModule, updated.load(context.torch_parent)), job.tasks)
        with steps(f"QAT of the new head of {task}") as progress:
            return train_quantized(
                heads[task], (rows.example,), (rows.features_of("calibration"),), (rows.features,), rows.targets,
                rows.teacher, rows.loss, settings, reduce_range=reduce_range, names=(features_of(job.tasks),),
                path=path, in_float=in_float, progress=progress, validate=rows.score, weights=rows.weights,
                soft_labels=rows.soft_labels, outputs=(task,),
            )  # fmt: skip

    return train
