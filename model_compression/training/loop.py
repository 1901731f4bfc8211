"""The training loop, with distillation from the parent and early stopping."""

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from model_compression.errors import DivergedError, TrainingError
from model_compression.settings import FineTuning
from model_compression.training.batching import (
    Arrays,
    MicroBatches,
    channels_last,
    device_of,
    gpu_numbers,
    spread,
    tensors,
)
from model_compression.training.hardware import autocasts, torch_device
from model_compression.training.soft_labels import SoftLabelLoss, soft_label_loss

LossFunction = Callable[[Tensor, Tensor], Tensor]
Progress = Callable[[int, int, float, float | None], None]
"""A function that is called after each step with (step, steps, loss, validation score of the last full epoch)."""
Validate = Callable[[nn.Module], float]
Teacher = np.ndarray | nn.Module
"""The parent's answers to the training rows, or the parent itself, which answers augmented rows too."""
Augment = Callable[[tuple[Tensor, ...], torch.Generator], tuple[Tensor, ...]]
"""A function that turns a batch's inputs into other rows of the same meaning."""


@dataclass(frozen=True)
class TrainingResult:
    """The last epoch's mean loss, the number of epochs, and the validation score of the kept weights."""

    loss: float
    epochs: int
    score: float | None
    micro_batch: int  # the largest number of rows in one pass, at the end of the training


def fine_tune(
    model: nn.Module,
    inputs: Arrays,
    targets: np.ndarray,
    teacher: Teacher | None,
    loss: LossFunction,
    settings: FineTuning,
    progress: Progress | None = None,
    validate: Validate | None = None,
    augment: Augment | None = None,
    weights: np.ndarray | None = None,
    soft_labels: SoftLabelLoss = soft_label_loss,
) -> TrainingResult:
    """Train in place on the ground truth and on the parent's answers to the same rows.

    `teacher` is the parent's answers, computed once by the caller, shape (rows, ...), or the parent itself, which
    `augment` needs because no answers are known to rows that are new in every epoch. None trains on the ground truth
    alone. `soft_labels` compares the model's answers with the parent's and must fit the outputs. `weights`, shape
    (rows,), is how often each row is drawn compared with others; an epoch keeps its number of rows. `validate` scores
    the model after each epoch; higher is better. The optimizer is AdamW with one cosine decay. The model is left in
    evaluation mode on its own device, the global random state unchanged.

    Raises DivergedError when the loss is not finite (the weights are then those before that step), and TrainingError
    for fewer than 2 rows, for arrays of different lengths, when a GPU is missing, and when memory is too small for two
    rows.
    """
    _check(inputs, targets, teacher, settings, validate, augment, weights)
    home, device = device_of(model), torch_device(settings)
    with _training(model, settings.seed, device), channels_last(model):
        try:
            loop = _Loop(model.to(device), inputs, targets, teacher, loss, settings, augment, weights, soft_labels)
            return loop.run(progress, validate)
        finally:
            model.to(home)


class _Loop:
    """The state of one training."""

    def __init__(
        self, model: nn.Module, inputs: Arrays, targets: np.ndarray, teacher: Teacher | None, loss: LossFunction,
        settings: FineTuning, augment: Augment | None, weights: np.ndarray | None, soft_labels: SoftLabelLoss,
    ) -> None:  # fmt: skip
        self.model, self.loss, self.settings, self.soft_labels = model, loss, settings, soft_labels
        _restart_averages(model)
        self.device = device_of(model)
        self.forward = spread(model, gpu_numbers(self.device, settings.gpus))
        self.rows, (self.labels,) = tensors(inputs), tensors((targets,))
        self.autocasts = autocasts(settings, model, self.device, self.rows[0].shape[1:])
        self.teacher = tensors((teacher,))[0] if isinstance(teacher, np.ndarray) else teacher
        if isinstance(self.teacher, nn.Module):
            self.teacher = self.teacher.eval().to(self.device)
        self.augment, self.generator = augment, torch.Generator().manual_seed(settings.seed)
        self.epochs = _orders(len(targets), settings, weights)
        self.optimizer = torch.optim.AdamW(
            model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, foreach=True
        )
        self.steps = sum(len(epoch) for epoch in self.epochs)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, T_max=self.steps)
        self.micro_batches = MicroBatches(settings.batch_size)
        self.step = 0

    def run(self, progress: Progress | None, validate: Validate | None) -> TrainingResult:
        """Train epoch by epoch; stop early where the settings say so."""
        stopping = EarlyStopping(self.settings.patience)
        score: float | None = None
        done = 0
        for epoch in self.epochs:
            losses = []
            for batch in epoch:
                losses.append(self._step(batch))
                if progress is not None:
                    progress(self.step, self.steps, losses[-1], score)
            score = None if validate is None else self._score(validate)
            done += 1
            if stopping.seen(score, self.model):
                break
        stopping.restore(self.model)
        kept = stopping.best if self.settings.patience is not None else score
        return TrainingResult(float(np.mean(losses)), done, kept, self.micro_batches.size)

    def _step(self, batch: Tensor) -> float:
        self.step += 1
        value = self.micro_batches.accumulate(
            batch, lambda: self.optimizer.zero_grad(set_to_none=True), lambda part: self._backward(part, len(batch))
        )
        self.optimizer.step()
        self.schedule.step()
        return value

    def _backward(self, part: Tensor, rows: int) -> float:
        inputs = tuple(row[part] for row in self.rows)
        inputs = inputs if self.augment is None else self.augment(inputs, self.generator)
        inputs = tuple(each.to(self.device) for each in inputs)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocasts):
            outputs = self.forward(*inputs)
            outputs = outputs.float() if outputs.dtype is torch.bfloat16 else outputs  # the loss needs float32's digits
            teacher = self._answers(inputs, part)
            value = self._value(outputs, self._take(self.labels, part), teacher)
        number = float(value.detach())
        if not math.isfinite(number):
            raise DivergedError(
                f"expected a finite loss, got {number} at step {self.step}; lower `learning_rate` in the recipe or "
                "look for NaN and infinite values in the train split"
            )
        share = len(part) / rows
        (value if share == 1 else value * share).backward()
        return number * share

    def _answers(self, inputs: tuple[Tensor, ...], part: Tensor) -> Tensor | None:
        """Return the parent's answers: looked up, or computed where the parent itself is the teacher."""
        if isinstance(self.teacher, nn.Module):
            with torch.no_grad():
                answers: Tensor = self.teacher(*inputs)
            return answers.float()
        return None if self.teacher is None else self._take(self.teacher, part)

    def _value(self, outputs: Tensor, labels: Tensor, teacher: Tensor | None) -> Tensor:
        share = 0.0 if teacher is None else self.settings.distillation_weight
        truth = self.loss(outputs, labels) if share < 1 else outputs.new_zeros(())
        if teacher is None or not share:
            return truth
        return share * self.soft_labels(outputs, teacher, self.settings.temperature) + (1 - share) * truth

    def _take(self, rows: Tensor, indices: Tensor) -> Tensor:
        return rows[indices].to(self.device)

    def _score(self, validate: Validate) -> float:
        self.model.eval()
        try:
            return validate(self.model)
        finally:
            self.model.train()


def _restart_averages(model: nn.Module) -> None:
    """Start the statistics of batch norms without a momentum anew, in place.

    They average all batches ever seen, so that after a long training of the parent the batches of a pruned model would
    hardly count.
    """
    for part in model.modules():
        if isinstance(part, _BatchNorm) and part.momentum is None and part.num_batches_tracked is not None:
            part.num_batches_tracked.zero_()


@contextmanager
def _training(model: nn.Module, seed: int, device: torch.device) -> Iterator[None]:
    """Set training mode, with random numbers that are separate and as repeatable as the device allows."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), _deterministic(device):
        torch.manual_seed(seed)  # dropout draws from the global generator
        model.train()
        try:
            yield
        finally:
            model.eval()


@contextmanager
def _deterministic(device: torch.device) -> Iterator[None]:
    """Choose deterministic kernels on a GPU; operators that have none warn.

    All kernels of a processor are deterministic.
    """
    if device.type != "cuda":
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])


def _check(
    inputs: Arrays, targets: np.ndarray, teacher: Teacher | None, settings: FineTuning, validate: Validate | None,
    augment: Augment | None, weights: np.ndarray | None,
) -> None:  # fmt: skip
    if len(targets) < 2:
        raise TrainingError(f"expected at least 2 training rows, got {len(targets)}; give the workload a train split")
    if settings.patience is not None and validate is None:
        raise TrainingError("expected a validation score for `patience`, got none; pass `validate` or drop `patience`")
    if augment is not None and isinstance(teacher, np.ndarray):
        raise TrainingError(
            "expected the parent itself as the teacher of augmented rows, got its answers to the rows as they are; "
            "pass the module"
        )
    lengths = {f"input {index}": len(array) for index, array in enumerate(inputs)}
    if isinstance(teacher, np.ndarray):
        lengths["the parent's outputs"] = len(teacher)
    if weights is not None:
        lengths["the weights"] = len(weights)
    for name, length in lengths.items():
        if length != len(targets):
            raise TrainingError(
                f"expected {len(targets)} rows as there are targets, got {length} in {name}; "
                "make Workload.split return arrays of one length"
            )


def _orders(rows: int, settings: FineTuning, weights: np.ndarray | None) -> list[list[Tensor]]:
    """Shuffle the row indices of every step of every epoch.

    A last batch of one row is dropped, because batch norm needs two.
    """
    generator = torch.Generator().manual_seed(settings.seed)
    orders = [_order(rows, weights, generator) for _ in range(settings.epochs)]
    epochs = [order.split(settings.batch_size) for order in orders]
    return [[batch for batch in epoch if len(batch) > 1] for epoch in epochs]


def _order(rows: int, weights: np.ndarray | None, generator: torch.Generator) -> Tensor:
    """Draw `rows` row indices for one epoch, each as often as its weight says to within one.

    The method is systematic sampling.
    """
    shuffled = torch.randperm(rows, generator=generator)
    if weights is None:
        return shuffled
    expected = torch.from_numpy(weights).double()[shuffled]
    ends = (expected.cumsum(0) * (rows / expected.sum()) + torch.rand(1, generator=generator)).floor()
    ends[-1] = rows  # exact, whatever the rounding of the sums
    drawn = torch.repeat_interleave(shuffled, ends.diff(prepend=ends.new_zeros(1)).long())
    return drawn[torch.randperm(rows, generator=generator)]


@dataclass
class EarlyStopping:
    """The best score over epochs and its weights. Without `patience` it never stops and keeps no weights."""

    patience: int | None
    best: float | None = None
    _waited: int = 0
    _weights: dict[str, Tensor] = field(default_factory=dict)

    def seen(self, score: float | None, model: nn.Module) -> bool:
        """Record an epoch's score; returns whether to stop."""
        if score is None:
            return False
        if self.best is None or score > self.best:
            self.best, self._waited = score, 0
            if self.patience is not None:
                self._weights = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
            return False
        self._waited += 1
        return self.patience is not None and self._waited >= self.patience

    def restore(self, model: nn.Module) -> None:
        """Load the best epoch's weights, where they were kept."""
        if self._weights:
            model.load_state_dict(self._weights)
