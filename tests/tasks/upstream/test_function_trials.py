"""The trial of a workload's functions: each wrong one is named with what it returned."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from deployments.errors import ConfigurationError
from deployments.workload import Split, Workload
from tasks.upstream.function_trials import try_functions

OUTPUTS = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
TARGETS = np.arange(6) % 3


class Good(Workload):
    def split(self, _name: str) -> Split:
        return Split((OUTPUTS,), TARGETS, pd.DataFrame(index=range(6)))

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs, targets)


def returning(**methods: Any) -> Workload:
    """Return a workload whose methods return these values, or call these functions."""
    bodies = {
        name: lambda _self, *args, value=value: value(*args) if callable(value) else value
        for name, value in methods.items()
    }
    made: Workload = type("Wrong", (Good,), bodies)()
    return made


def test_good_functions_are_told_in_figures() -> None:
    tried = try_functions(Good(), OUTPUTS, TARGETS, trains=True)
    assert tried.loss == pytest.approx(float(F.cross_entropy(torch.from_numpy(OUTPUTS), torch.from_numpy(TARGETS))))
    assert tried.score == np.mean(OUTPUTS.argmax(axis=1) == TARGETS)
    assert str(tried).endswith(f"predictions such as {OUTPUTS[0].argmax()} for 6 rows")


@pytest.mark.parametrize(
    ("method", "value", "got"),
    [
        ("loss", None, "got NoneType None"),
        ("loss", 0.5, "got float 0.5"),
        (
            "loss",
            lambda outputs, targets: F.cross_entropy(outputs, targets, reduction="none"),
            r"shape \(6,\); take its",
        ),
        ("loss", lambda outputs, _: (outputs * float("nan")).mean(), "got nan"),
        ("loss", lambda outputs, _: outputs.detach().mean(), "without a gradient"),
        ("loss", lambda outputs, targets: F.cross_entropy(outputs, targets.float()), "got RuntimeError"),
        ("score", 0.5, r"got float of shape \(\)"),
        ("score", np.ones((6, 3)), r"got ndarray of shape \(6, 3\)"),
        ("score", np.array(["right"] * 6), r"got \(rows\) of <U5"),
        ("score", np.full(6, np.nan), r"got \(rows\) of float64"),
        ("predictions", None, r"got NoneType of shape \(\)"),
        ("predictions", lambda outputs: outputs.argmax(), r"shape \(\)"),
        ("predictions", lambda outputs: outputs["class"], "got IndexError"),
    ],
)
def test_a_wrong_function_is_named_with_what_it_returned(method: str, value: Any, got: str) -> None:
    with pytest.raises(
        ConfigurationError, match=rf"{method}\(\): expected .* for outputs .*{got}.*correct Workload.{method}"
    ):
        try_functions(returning(**{method: value}), OUTPUTS, TARGETS, trains=True)


def test_the_loss_of_a_model_that_is_never_trained_is_not_tried() -> None:
    assert try_functions(returning(loss=None), OUTPUTS, TARGETS, trains=False).loss is None


def test_rows_whose_answers_are_no_numbers_are_left_out() -> None:
    outputs = OUTPUTS.copy()
    outputs[:2] = np.nan
    assert try_functions(Good(), outputs, TARGETS, trains=True).rows == 4
