"""The trial of a workload's functions on one batch of a registered model's answers, before any long work."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from deployments.answers import finite_rows, reference_of
from deployments.errors import ConfigurationError
from deployments.user_calls import call_user_code
from deployments.workload import Workload
from model_compression.training import tensors

_NUMBERS = "biuf"


@dataclass(frozen=True)
class TriedFunctions:
    """The figures of a workload's functions for one batch; no loss where nothing is trained."""

    rows: int
    loss: float | None
    score: float
    prediction: object

    def __str__(self) -> str:
        """Write the figures as a part of a sentence."""
        loss = "" if self.loss is None else f"a loss of {self.loss:.4g}, "
        return (
            f"{loss}a mean score of {self.score:.4g} and predictions such as {self.prediction!r} for {self.rows} rows"
        )


def try_functions(workload: Workload, outputs: np.ndarray, targets: np.ndarray, *, trains: bool) -> TriedFunctions:
    """Call `loss`, `predictions` and `score` on outputs (rows, ...) and targets (rows, ...) of real rows.

    The loss is tried where the model `trains`. Raises ConfigurationError that names the method, what it was called with
    and what it returned.
    """
    finite = finite_rows(outputs)
    outputs, targets = outputs[finite], targets[finite]
    if not len(outputs):
        return TriedFunctions(0, None, float("nan"), None)
    given = f"for outputs {_described(outputs)} and targets {_described(targets)}"
    loss = _loss(workload, outputs, targets, given) if trains else None
    predictions = _per_row(workload, "predictions", workload.predictions, (outputs,), given)
    scores = _per_row(workload, "score", workload.score, (outputs, targets), given)
    if scores.dtype.kind not in _NUMBERS or not np.isfinite(scores.astype(float)).all():
        raise _wrong(workload, "score", "one finite number for each row", given, _described(scores))
    return TriedFunctions(len(outputs), loss, float(scores.astype(float).mean()), predictions.tolist()[0])


def _loss(workload: Workload, outputs: np.ndarray, targets: np.ndarray, given: str) -> float:
    learnt, truth = tensors((outputs, targets))
    answers = learnt.clone().requires_grad_(learnt.is_floating_point())
    expected = "one scalar tensor of a finite loss that follows from the outputs"
    value: object = _called(workload, "loss", expected, given, lambda: workload.loss(answers, truth))
    if not isinstance(value, Tensor):
        raise _wrong(workload, "loss", expected, given, f"{type(value).__name__} {value!r:.80}")
    if value.numel() != 1 or not torch.isfinite(value).all():
        got = f"a tensor of shape {tuple(value.shape)}; take its mean" if value.numel() != 1 else f"{value.item()}"
        raise _wrong(workload, "loss", expected, given, got)
    if answers.requires_grad and not value.requires_grad:
        raise _wrong(workload, "loss", expected, given, "a number without a gradient, from which nothing is learnt")
    return float(value.detach())


def _per_row(
    workload: Workload, name: str, method: Callable[..., object], rows: tuple[np.ndarray, ...], given: str
) -> np.ndarray:
    expected = "one value for each row"
    value = _called(workload, name, expected, given, lambda: method(*rows))
    found = np.asarray(value)
    if found.shape != (len(rows[0]),):
        raise _wrong(workload, name, expected, given, f"{type(value).__name__} of shape {found.shape}")
    return found


def _called(workload: Workload, name: str, expected: str, given: str, call: Callable[[], object]) -> object:
    said = f"workload `{reference_of(workload)}`: {name}(): expected {expected} {given}"
    return call_user_code(call, said, f"correct Workload.{name}")


def _wrong(workload: Workload, name: str, expected: str, given: str, got: str) -> ConfigurationError:
    return ConfigurationError(
        f"workload `{reference_of(workload)}`: {name}(): expected {expected} {given}, got {got}; correct "
        f"Workload.{name}"
    )


def _described(array: np.ndarray) -> str:
    return f"(rows{''.join(f', {size}' for size in array.shape[1:])}) of {array.dtype}"
