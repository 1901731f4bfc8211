"""Models and data that cannot be compressed as they are: they work, or stop before training with what to do."""

from typing import Any

import mlflow
import numpy as np
import pytest
import torch
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec
from torch import Tensor, nn

import flows.compress
from deployments.errors import ConfigurationError
from deployments.workload import Split, SplitName
from edge_runtime.errors import EdgewrightError
from model_compression.training import loop
from tasks.registry import register_upstream
from tasks.workspace import Workspace
from tests.end_to_end.tiny import upstream
from tests.end_to_end.tiny.workload import Tiny
from tests.flows.conftest import Variant

EXAMPLE = np.zeros((2, 1, 8, 8), dtype=np.float32)


class Shared(nn.Module):
    """One layer called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Conv2d(1, 8, 3, padding=1), nn.Linear(512, 10)
        self.again = nn.Conv2d(8, 8, 3, padding=1)
        nn.init.normal_(self.head.weight)  # so that its answers differ from row to row

    def forward(self, images: Tensor) -> Tensor:
        return self.head(torch.relu(self.again(torch.relu(self.again(self.body(images))))).flatten(1))


class Branches(nn.Module):
    """Control flow that depends on the data."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(64, 10)

    def forward(self, images: Tensor) -> Tensor:
        rows = images.flatten(1)
        return self.head(torch.cond(rows.sum() > 0, lambda x: x * 2, lambda x: x + 1, (rows,)))


class Outputs(nn.Module):
    """Class scores beside their features, in a dictionary or a tuple."""

    def __init__(self, kind: type) -> None:
        super().__init__()
        self.body, self.head, self.kind = nn.Linear(64, 16), nn.Linear(16, 10), kind

    def forward(self, images: Tensor) -> Any:
        features = torch.relu(self.body(images.flatten(1)))
        scores = self.head(features)
        return {"scores": scores, "features": features} if self.kind is dict else (scores, features)


class OneBatchSize(nn.Module):
    """A size of two rows written into the graph."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(64, 10)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(images.reshape(2, 64))


def not_a_number() -> nn.Module:
    model = upstream.small_network().eval()
    with torch.no_grad():
        model[0].get_parameter("weight")[3] = float("nan")
    return model


def register(workspace: Workspace, model: nn.Module, example: np.ndarray = EXAMPLE) -> str:
    return register_upstream(workspace.tracking_uri, "tiny", model.eval(), example, {})


def register_by_inputs(workspace: Workspace, model: nn.Module) -> str:
    """Register a model whose outputs MLflow cannot describe: by the signature of its inputs alone."""
    mlflow.set_tracking_uri(workspace.tracking_uri)
    signature = ModelSignature(inputs=Schema([TensorSpec(np.dtype(np.float32), (-1, 1, 8, 8))]))
    with mlflow.start_run():
        info = mlflow.pytorch.log_model(
            model.eval(), name="model", signature=signature, input_example=EXAMPLE, registered_model_name="tiny"
        )
    return str(info.registered_model_version)


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop._Loop, "run", lambda *_: pytest.fail("training began"))
    monkeypatch.setattr(flows.compress, "prune", lambda *_: pytest.fail("pruning began"))


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize(
    ("model", "said"),
    [
        (Branches, "control flow"),
        (lambda: Outputs(dict), "one output"),
        (lambda: Outputs(tuple), "one output"),
        (OneBatchSize, "batch"),
        (not_a_number, "NaN"),
        (lambda: upstream.small_network().double(), "float64"),
    ],
)
def test_it_stops_before_training_with_what_to_do(world: Workspace, variant: Variant, model: Any, said: str) -> None:
    made = model()
    example = EXAMPLE.astype(np.float64) if said == "float64" else EXAMPLE
    version = register_by_inputs(world, made) if isinstance(made, Outputs) else register(world, made, example)
    with pytest.raises(EdgewrightError) as caught:
        flows.compress.compress("tiny", version, variant("bad"), world)
    assert said in str(caught.value)


@pytest.mark.parametrize("model", [Shared, lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 10))])
def test_what_cannot_be_pruned_is_quantized_all_the_same(world: Workspace, variant: Variant, model: Any) -> None:
    version = register(world, model())
    outcome = flows.compress.compress("tiny", version, variant("not-prunable"), world)
    assert outcome.answer == "published"
    assert outcome.devices[0].snapshot == "parent"


def test_an_empty_training_split(world: Workspace, variant: Variant, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Tiny.split

    def split(self: Tiny, name: SplitName) -> Split:
        rows = whole(self, name)
        if name != "train":
            return rows
        return Split((rows.inputs[0][:0],), rows.targets[:0], rows.slices[:0])

    monkeypatch.setattr(Tiny, "split", split)
    with pytest.raises(ConfigurationError, match=r"split `train`: expected at least one row"):
        flows.compress.compress("tiny", "1", variant("empty"), world)
