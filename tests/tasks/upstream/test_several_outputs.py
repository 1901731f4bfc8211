"""Models with several outputs: the one that the workload names becomes the parent, whatever form the model has."""

from pathlib import Path

import mlflow
import numpy as np
import onnx
import pytest
import torch
from onnx import helper
from torch import Tensor, nn

from model_compression.errors import IntakeError
from tasks.registry import register_upstream
from tasks.upstream import OnnxParent, TorchParent, resolve
from tasks.workspace import Workspace
from tests.model_compression.graphs import PRODUCT, WEIGHTS, graph
from tests.tasks.registry.versions import add_version
from tests.tasks.tiny import LABELS, Blobs, example, job, network


class Several(nn.Module):
    """The tiny network, which gives two other numbers for each class as well."""

    def __init__(self) -> None:
        super().__init__()
        self.network = network()
        self.other = nn.Linear(len(LABELS), len(LABELS))

    def forward(self, rows: Tensor) -> dict[str, Tensor]:
        logits = self.network(rows)
        return {"others": self.other(logits), "logits": logits}


class Named(Blobs):
    """Blobs that are scored by one of several outputs."""

    def __init__(self, output: str = "logits") -> None:
        self.output = output


@pytest.fixture(scope="module")
def several(tracking_uri: str) -> str:
    register_upstream(tracking_uri, "several", Several().eval(), example(), {})
    return "several"


def test_the_named_output_becomes_the_parents_and_the_rest_is_left_out(workspace: Workspace, several: str) -> None:
    asked = job(workspace, several, workload=Named())
    parent = resolve.fn(asked)
    assert isinstance(parent, TorchParent)
    rows = asked.splits["test"].inputs[0]
    np.testing.assert_allclose(parent.answers((rows,)), network()(torch.from_numpy(rows)).detach().numpy(), rtol=1e-5)
    assert not any("other" in name for name, _ in parent.build().named_parameters())
    assert resolve.fn(job(workspace, several, workload=Named("others"))).digest != parent.digest


def test_without_a_name_the_outputs_are_listed(workspace: Workspace, several: str) -> None:
    with pytest.raises(IntakeError, match=r"got 2: others, logits; name the one that is scored as `output`"):
        resolve.fn(job(workspace, several))


def test_a_name_that_no_output_has_is_refused(workspace: Workspace, several: str) -> None:
    with pytest.raises(IntakeError, match=r"expected an output of others, logits, got `scores`"):
        resolve.fn(job(workspace, several, workload=Named("scores")))


def test_an_output_of_a_pickled_module_is_named_alike(workspace: Workspace, tmp_path: Path) -> None:
    mlflow.pytorch.save_model(
        Several().eval(), tmp_path / "pickled", serialization_format="pickle", pip_requirements=["torch"]
    )
    version = add_version(workspace.tracking_uri, "pickled", tmp_path / "pickled")
    parent = resolve.fn(job(workspace, "pickled", version, workload=Named(), trust_pickled_modules=True))
    assert isinstance(parent, TorchParent) and len(list(parent.build().parameters())) == 4
    with pytest.raises(IntakeError, match="got `scores`"):
        resolve.fn(job(workspace, "pickled", version, workload=Named("scores"), trust_pickled_modules=True))


def test_an_output_of_an_onnx_file_is_named_alike(workspace: Workspace, tmp_path: Path) -> None:
    model = graph([PRODUCT, helper.make_node("Neg", ["y"], ["z"])], outputs=("y", "z"))
    onnx.save_model(model, tmp_path / "model.onnx")
    described = "flavors: {onnx: {data: model.onnx}}\nmodel_uuid: 00000000000000000000000000000000\n"
    (tmp_path / "MLmodel").write_text(described)
    asked = job(workspace, "graph", add_version(workspace.tracking_uri, "graph", tmp_path), workload=Named("z"))
    parent = resolve.fn(asked)
    rows = asked.splits["test"].inputs[0]
    assert isinstance(parent, OnnxParent)
    np.testing.assert_allclose(parent.answers((rows,)), -rows @ WEIGHTS, rtol=1e-4)
