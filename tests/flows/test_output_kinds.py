"""Kinds of outputs, each from a registered model to its answer: noise never replaces a model that knows something."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import flows.compress
from deployments.errors import ConfigurationError
from edge_runtime.errors import EdgewrightError
from model_compression.training import loop
from tasks.errors import PreflightError
from tasks.workspace import Workspace
from tests.end_to_end.tiny.variants import QAT
from tests.flows import output_kinds as kinds
from tests.flows.conftest import Variant

COSINE = [
    {**gate, "metric": "tests.flows.output_kinds:mean_score", "better": "higher", "margin": 0.1}
    for gate in kinds.ACCURACY
]


@pytest.mark.parametrize(
    ("workload", "columns", "gates"),
    [
        (kinds.Binary, 1, kinds.ACCURACY),
        (kinds.Binary, 2, kinds.ACCURACY),
        (kinds.Labels, 3, kinds.ACCURACY),
        (kinds.Values, 1, kinds.ERROR),
        (kinds.Vectors, 3, COSINE),
    ],
)
def test_noise_does_not_replace_what_was_learnt(
    world: Workspace, variant: Variant, workload: Any, columns: int, gates: list[dict[str, Any]]
) -> None:
    name = f"{workload.__name__.lower()}-{columns}"
    learnt = kinds.trained(workload(), columns) if (workload, columns) != (kinds.Binary, 2) else two_columns()
    keys = kinds.recipe(name, workload, gates)
    first = kinds.register(world, name, learnt)
    published = flows.compress.compress(name, first, variant(name, keys), world)
    assert published.answer == "published"
    second = kinds.register(world, name, kinds.network(columns, seed=5))
    refused = flows.compress.compress(name, second, variant(name, keys), world)
    assert refused.answer == "refused"
    assert any("against the deployed model" in reason for reason in refused.devices[0].reasons)


def two_columns() -> nn.Module:
    """The trained logit as the second of two columns, the first of which is 0."""
    model = kinds.trained(kinds.Binary(), 1)
    last = nn.Linear(16, 2)
    with torch.no_grad():
        for name in ("weight", "bias"):
            value = model[2].get_parameter(name)
            last.get_parameter(name).copy_(torch.cat([torch.zeros_like(value), value]))
    model[2] = last
    return model


@pytest.mark.parametrize(("workload", "columns"), [(kinds.Binary, 1), (kinds.Labels, 3), (kinds.Values, 1)])
def test_training_with_fake_quantization_distils_it_too(
    world: Workspace, variant: Variant, workload: Any, columns: int
) -> None:
    name = f"{workload.__name__.lower()}-qat"
    gates = kinds.ERROR if workload is kinds.Values else kinds.ACCURACY
    version = kinds.register(world, name, kinds.trained(workload(), columns))
    outcome = flows.compress.compress(
        name, version, variant(name, kinds.recipe(name, workload, gates) | {"ladder": [QAT]}), world
    )
    assert outcome.answer == "published"


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop._Loop, "run", lambda *_: pytest.fail("training began"))
    monkeypatch.setattr(flows.compress, "prune", lambda *_: pytest.fail("pruning began"))


class BrokenBeyond(nn.Module):
    """A network whose answers are NaN where the first number is above 2."""

    def __init__(self) -> None:
        super().__init__()
        self.body = kinds.network(1)

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        return self.body(points) + (2 - points[:, :1]).sqrt() * 0


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize(
    ("workload", "model", "gates", "error", "said"),
    [
        (kinds.OneLogit, kinds.network(1), kinds.ACCURACY, ConfigurationError, ("two or more classes", '"binary"')),
        (kinds.LabelsOfNoTask, kinds.network(3), kinds.ACCURACY, ConfigurationError, ('"multi_label"',)),
        (kinds.ValuesOfNoTask, kinds.network(1), kinds.ACCURACY, ConfigurationError, ("class numbers", '"regression"')),
        (kinds.Labels, kinds.network(2), kinds.ACCURACY, ConfigurationError, ("a logit for each label",)),
        (kinds.Values, kinds.network(2), kinds.ERROR, ConfigurationError, ("a value for each target",)),
        (kinds.Values, kinds.network(1), kinds.ACCURACY, ConfigurationError, ("a metric that fits", "mae, rmse")),
        (kinds.Binary, kinds.network(1), kinds.ERROR, ConfigurationError, ("a metric that fits", "got mae")),
        (kinds.Shouting, kinds.network(1), kinds.ERROR, PreflightError, ("scores of 0 or less", "minus the error")),
        (kinds.Silent, kinds.network(1), kinds.ACCURACY, PreflightError, ("got 0.5 for each of 200 validation rows",)),
        (kinds.OwnWithoutTask, kinds.network(1), kinds.ACCURACY, PreflightError, ("distillation_weight: 0",)),
        (kinds.Binary, BrokenBeyond(), kinds.ACCURACY, EdgewrightError, ("NaN", "rows")),
        (
            kinds.Binary, nn.Sequential(kinds.network(1), nn.Sigmoid()), kinds.ACCURACY, PreflightError,
            ("expected logits", "without its sigmoid"),
        ),
    ],
)  # fmt: skip
def test_what_can_show_nothing_ends_before_training(
    world: Workspace, variant: Variant, workload: Any, model: nn.Module, gates: Any, error: Any, said: tuple[str, ...]
) -> None:
    version = kinds.register(world, "ends", model)
    with pytest.raises(error) as caught:
        flows.compress.compress("ends", version, variant("ends", kinds.recipe("ends", workload, gates)), world)
    for words in said:
        assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_broken_rows_are_there() -> None:
    points = kinds.Binary().split("validation").inputs[0]
    broken = ~np.isfinite(BrokenBeyond()(torch.from_numpy(points)).detach().numpy())
    assert 0 < broken.sum() < len(points)
