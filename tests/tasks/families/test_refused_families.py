"""Families that are refused before anything is registered, each in one sentence with the member's name."""

from pathlib import Path
from typing import Any

import mlflow
import pytest
import torch
from torch import Tensor, nn

from edge_runtime.errors import EdgewrightError
from tasks.errors import PreflightError, RegistryError
from tasks.families import compose
from tasks.registry import Upstream, register_upstream
from tasks.workspace import Workspace
from tests.deployments.yaml_cases import HERE
from tests.model_compression.graphs import graph
from tests.tasks.families.tiny_families import HEADS, WIDTH, Sum, members, model, recipe, register, trunk
from tests.tasks.registry.versions import add_version
from tests.tasks.tiny import FEATURES, example

pytestmark = pytest.mark.usefixtures("registered_members")
Members = list[dict[str, Any]]


def refused(folder: Path, workspace: Workspace, written: Members, chosen: dict[str, str] | None = None) -> str:
    """Return the sentence for a family, of which nothing was registered."""
    with pytest.raises(EdgewrightError) as caught:
        compose(recipe(folder, "refused", written), workspace, chosen)
    with pytest.raises(RegistryError, match="no model of that name"):
        Upstream(workspace.tracking_uri).versions("refused")
    said = str(caught.value)
    assert "\n" not in said and "expected" in said
    return said


def with_site(tracking_uri: str, name: str, module: nn.Module, outputs: int = 2) -> Members:
    """Members of which `site` is a model of its own, registered here."""
    register(tracking_uri, name, module)
    kind, site = members()
    return [kind, {**site, "model": name, "outputs": [outputs]}]


def test_a_member_that_nobody_registered(tmp_path: Path, workspace: Workspace) -> None:
    kind, site = members()
    said = refused(tmp_path, workspace, [kind, {**site, "model": "ghost"}])
    assert said.startswith("member `site`: model `ghost`: expected it in the registry")


def test_a_version_that_a_member_does_not_have(tmp_path: Path, workspace: Workspace) -> None:
    said = refused(tmp_path, workspace, members(), {"site": "7"})
    assert said.startswith("member `site`: model `tiny-site` version 7: expected a registered version, got versions 1")


def test_a_version_of_a_member_that_is_none(tmp_path: Path, workspace: Workspace) -> None:
    said = refused(tmp_path, workspace, members(), {"colour": "1"})
    assert said.startswith("--member colour=1: expected a member of tiny (kind, site), got `colour`")


def test_rows_that_were_prepared_in_another_way(tmp_path: Path, workspace: Workspace) -> None:
    assert "preprocessing" in refused(tmp_path, workspace, members(site="Scaled"))


def test_a_task_without_a_test_split(tmp_path: Path, workspace: Workspace) -> None:
    said = refused(tmp_path, workspace, members(site="WithoutTest"))
    assert "test.csv" in said and "site" in said


def test_members_of_one_name(tmp_path: Path, workspace: Workspace) -> None:
    kind, site = members()
    assert "expected members of different names" in refused(tmp_path, workspace, [kind, {**site, "name": "kind"}])


def test_outputs_of_another_shape(tmp_path: Path, workspace: Workspace) -> None:
    kind, site = members()
    said = refused(tmp_path, workspace, [kind, {**site, "outputs": [4]}])
    assert said.startswith("member `site`: key `outputs`: expected [2], the shape of the model's output for one row")


class DoubleAnswers(nn.Module):
    """A head whose answers are float64."""

    def __init__(self) -> None:
        super().__init__()
        self.whole = model(2)

    def forward(self, points: Tensor) -> Tensor:
        return self.whole(points).double()


def test_answers_of_another_type(tmp_path: Path, workspace: Workspace, tracking_uri: str) -> None:
    said = refused(tmp_path, workspace, with_site(tracking_uri, "doubles", DoubleAnswers().eval()))
    assert said.startswith("member `site`: expected answers as float32") and "got float64" in said


def test_a_member_that_is_only_an_onnx_file(tmp_path: Path, workspace: Workspace, tracking_uri: str) -> None:
    folder = tmp_path / "onnx"
    mlflow.onnx.save_model(graph(weights=torch.randn(FEATURES, 2).numpy()), str(folder), save_as_external_data=False)
    add_version(tracking_uri, "only-onnx", folder)
    kind, site = members()
    said = refused(tmp_path, workspace, [kind, {**site, "model": "only-onnx"}])
    assert "member `site`: model `only-onnx` version 1: expected a torch program, got an ONNX file" in said


def test_members_that_share_no_backbone(tmp_path: Path, workspace: Workspace, tracking_uri: str) -> None:
    said = refused(tmp_path, workspace, with_site(tracking_uri, "apart", model(2, trunk(seed=1))))
    assert "`0.0` of `kind` and `0.0` of `site`, which differ in their weights" in said and "freeze it" in said


class SwappedSum(Sum):
    """The same, with its inputs the other way round."""

    def forward(self, right: Tensor, left: Tensor) -> Tensor:  # type: ignore[override]
        return self.head(self.trunk(right + left))


class Deep(nn.Module):
    """A trunk of two layers, whose head may read the first one too."""

    def __init__(self, outputs: int, inner: bool) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.first, self.second, self.inner = nn.Linear(FEATURES, WIDTH), nn.Linear(WIDTH, WIDTH), inner
        torch.manual_seed(outputs)
        self.head = nn.Linear(WIDTH, outputs)

    def forward(self, points: Tensor) -> Tensor:
        before = torch.relu(self.first(points))
        after = torch.relu(self.second(before))
        return self.head(after + before) if self.inner else self.head(after)


def test_a_head_that_reads_an_inner_layer(tmp_path: Path, workspace: Workspace, tracking_uri: str) -> None:
    kind, site = members()
    for name, outputs in HEADS.items():
        register(tracking_uri, f"deep-{name}", Deep(outputs, inner=name == "site").eval())
    said = refused(tmp_path, workspace, [{**kind, "model": "deep-kind"}, {**site, "model": "deep-site"}])
    assert "got the head of `site`" in said and "reads the inner layer" in said


@pytest.mark.parametrize("training", [True, False])
def test_batch_norms_that_read_the_batch(
    tmp_path: Path, workspace: Workspace, tracking_uri: str, training: bool
) -> None:
    norm = nn.BatchNorm1d(WIDTH, track_running_stats=training)
    says = "got those of the batch in `1`" if training else "to answer a row the same alone as among others"
    module = nn.Sequential(trunk(), norm, nn.Linear(WIDTH, 2)).train(training)
    said = refused(tmp_path, workspace, with_site(tracking_uri, f"norms-{training}".lower(), module))
    assert said.startswith("member `site`: ") and says in said


def test_rows_of_another_shape(tmp_path: Path, workspace: Workspace, tracking_uri: str) -> None:
    wide = nn.Sequential(nn.Linear(FEATURES + 1, WIDTH), nn.Linear(WIDTH, 2)).eval()
    register_upstream(tracking_uri, "wide", wide, example(inputs=FEATURES + 1), {})
    kind, site = members(site="Wide")
    said = refused(tmp_path, workspace, [kind, {**site, "model": "wide"}])
    assert "got input: float32 (rows, 6) of `kind` and input: float32 (rows, 7) of `site`" in said


def test_inputs_in_another_order(tmp_path: Path, workspace: Workspace, tracking_uri: str) -> None:
    written = [{**each, "model": f"pairs-{each['name']}"} for each in members(kind="Pairs", site="Pairs")]
    for (name, outputs), kind in zip(HEADS.items(), (Sum, SwappedSum), strict=True):
        register_upstream(tracking_uri, f"pairs-{name}", kind(outputs).eval(), (example(), example()), {})
    said = refused(tmp_path, workspace, written)
    assert "left: float32 (rows, 6); right: float32 (rows, 6) of `kind` and right: float32" in said


def test_the_recipe_of_one_model(workspace: Workspace) -> None:
    with pytest.raises(PreflightError, match="expected the recipe of a family, with `members`"):
        compose(HERE / "valid" / "smallest.yaml", workspace)


def test_a_model_that_is_no_family(tmp_path: Path, workspace: Workspace) -> None:
    with pytest.raises(PreflightError, match="model `tiny-kind` version 1: expected a model that families are regist"):
        compose(recipe(tmp_path, "tiny-kind", members()), workspace)
