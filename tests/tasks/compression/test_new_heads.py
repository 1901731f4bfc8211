"""New heads on the backbone of a release: trained alone, made by any rung, beside files that stay byte for byte."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import fx

from deployments.recipe import read_recipe
from deployments.rungs import AsItIs, PostTraining, QuantizationAware, Rung
from deployments.workload import read_splits
from edge_runtime.backbone import answers_of_rows, load_model
from edge_runtime.model_files import graphs_of, heads_of, model_files
from edge_runtime.settings import SessionSettings
from model_compression.errors import FamilyError
from model_compression.families import backbone_and_heads
from model_compression.pruning import History
from tasks.compression import (
    Baseline,
    DeployedFamily,
    FamilyParts,
    UpdatedFamily,
    make_file,
    may_lose_alike,
    measure_baseline,
    program_of,
    update_family,
)
from tasks.compression import new_heads as module
from tasks.compression.structures import ParentForm
from tasks.job import Job
from tasks.registry import register_upstream
from tasks.upstream import DeviceContext, resolve
from tasks.workspace import Workspace
from tests.end_to_end.tiny.family import FAMILY, write_family
from tests.end_to_end.tiny.upstream import EXAMPLE
from tests.end_to_end.tiny.variants import QAT
from tests.tasks.builders import on
from tests.tasks.joined import TASKS, trained

pytestmark = pytest.mark.timeout(1200)
RUNGS: dict[str, Rung] = {
    "float": AsItIs(kind="float"),
    "ptq": PostTraining(kind="ptq", calibration="minmax"),
    "qat": QuantizationAware.model_validate(QAT),
}
ORIGINS = {"digit": "digit 1", "odd": "odd 2"}


@dataclass(frozen=True)
class Begun:
    """A version of the family, ready for a device."""

    context: DeviceContext
    baseline: Baseline

    def deployed(self, rung: Rung, removed: History | None = None) -> DeployedFamily:
        """The parent of this version as release 3, made by a rung."""
        parts = FamilyParts(backbone="b", heads={"digit": "digit 1", "odd": "odd 1"}, profile="p", program="0" * 64)
        program = program_of(self.context, self.baseline.snapshot)
        assert program is not None
        file, parent = make_file(self.context, self.baseline.snapshot, rung).path, self.context.torch_parent
        return DeployedFamily(3, parts, ParentForm.of(parent), removed or [], program, file)


def begun(workspace: Workspace, folder: Path, model: fx.GraphModule) -> Begun:
    """Register a version of the family and begin it."""
    version = register_upstream(workspace.tracking_uri, FAMILY, model, EXAMPLE, {})
    recipe = read_recipe(Path(write_family(folder)))
    workload = recipe.load_workload()
    job = Job(FAMILY, version, recipe, workload, read_splits(workload), workspace)
    context = on(job, parent=resolve.fn(job))
    return Begun(context, measure_baseline.fn(context))


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory, tracking_uri: str) -> tuple[Begun, Begun]:
    """Two versions of one backbone; the second has other weights in the head of `odd`."""
    folder = tmp_path_factory.mktemp("versions")
    workspace = Workspace.at(folder / "home", tracking_uri)
    new = trained()
    with torch.no_grad():
        for weight in backbone_and_heads(new, TASKS)[1]["odd"].parameters():
            weight.add_(0.01 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
    return begun(workspace, folder, trained()), begun(workspace, folder, new)


def updated(versions: tuple[Begun, Begun], rung: Rung, new: tuple[str, ...] = ("odd",)) -> UpdatedFamily:
    first, second = versions
    return update_family(second.context, first.deployed(rung), ORIGINS, new)


def answers(graph: Path, rows: np.ndarray) -> np.ndarray:
    heads = heads_of(graph)
    return answers_of_rows(load_model(graph, SessionSettings(threads=1), heads).predict({"image": rows}), heads)


@pytest.mark.parametrize("name", RUNGS)
def test_all_but_the_new_head_stays_byte_for_byte(versions: tuple[Begun, Begun], name: str) -> None:
    first, second = versions
    rung = RUNGS[name]
    before, model = first.deployed(rung).file, updated(versions, rung)
    made = make_file(second.context, model, rung).path
    assert [head.name for head in heads_of(made)] == list(TASKS)
    for ours, theirs in list(zip(graphs_of(made), graphs_of(before), strict=True))[:2]:
        assert ours.read_bytes() == theirs.read_bytes()
    assert model_files(made)["head.odd.onnx"].read_bytes() != model_files(before)["head.odd.onnx"].read_bytes()
    rows, targets = second.context.job.splits["test"].inputs[0], second.context.job.splits["test"].targets
    found, was = answers(made, rows), answers(before, rows)
    np.testing.assert_array_equal(found[:, :10], was[:, :10])
    assert np.abs(found[:, 10:] - was[:, 10:]).max() > 0
    asked = ~np.isnan(targets[:, 1])
    right = (found[asked, 10:].argmax(axis=1) == targets[asked, 1]).mean()
    assert right > 0.75 and right > (was[asked, 10:].argmax(axis=1) == targets[asked, 1]).mean() - 0.1


def test_its_float_model_has_the_weights_of_the_release_and_the_trained_head(versions: tuple[Begun, Begun]) -> None:
    model = updated(versions, RUNGS["ptq"])
    assert model.title == "release 3 with the new head of odd" and model.origins == ORIGINS
    found, before, parent = (
        dict(each.named_parameters())
        for each in (
            model.load(versions[1].context.torch_parent),
            versions[0].context.torch_parent.build(),
            versions[1].context.torch_parent.build(),
        )
    )
    assert set(found) == set(before)
    for path, weight in found.items():
        is_new = path.startswith("heads.odd.")
        assert torch.equal(weight, before[path]) != is_new
        assert not is_new or 0 < (weight - parent[path]).abs().max() < 0.2


def test_it_learns_from_what_the_file_of_the_backbone_gives(
    versions: tuple[Begun, Begun], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen = []

    def noting(_: fx.GraphModule, inputs: tuple[np.ndarray, ...], *__: object, **___: object) -> None:
        seen.append(inputs[0])

    monkeypatch.setattr(module, "fine_tune", noting)
    second = versions[1].context
    job = replace(second.job, workspace=Workspace.at(tmp_path / "other", second.job.workspace.tracking_uri))
    deployed = versions[0].deployed(RUNGS["ptq"])
    update_family(replace(second, job=job), deployed, ORIGINS, ("odd",))
    (features,) = load_model(deployed.file, SessionSettings(threads=1), ()).predict(
        {"image": job.splits["train"].inputs[0]}
    )
    (learnt,) = seen
    np.testing.assert_allclose(learnt, features, rtol=1e-5, atol=1e-5)


def test_without_a_new_head_it_is_the_release(versions: tuple[Begun, Begun]) -> None:
    model, rung = updated(versions, RUNGS["ptq"], new=()), RUNGS["ptq"]
    assert model.title == "release 3 as it is" and model.origins == {"digit": "digit 1", "odd": "odd 1"}
    made = make_file(versions[1].context, model, rung).path
    before = versions[0].deployed(rung).file
    assert {name: path.read_bytes() for name, path in model_files(made).items()} == {
        name: path.read_bytes() for name, path in model_files(before).items()
    }


def test_it_is_trained_and_made_once(versions: tuple[Begun, Begun], monkeypatch: pytest.MonkeyPatch) -> None:
    rung, second = RUNGS["ptq"], versions[1].context
    first = make_file(second, updated(versions, rung), rung)
    monkeypatch.setattr(module, "fine_tune", None)
    monkeypatch.setattr("tasks.compression.rung_files.new_heads_by_rung", None)
    assert make_file(second, updated(versions, rung), rung).path == first.path


def test_removals_that_the_backbone_does_not_have_are_refused(versions: tuple[Begun, Begun]) -> None:
    first, second = versions
    deployed = first.deployed(RUNGS["ptq"], [{"channels": {"backbone.absent": [1]}}])
    with pytest.raises(FamilyError, match="the new head of `odd` to do without the features"):
        update_family(second.context, deployed, ORIGINS, ("odd",))


def test_a_head_may_lose_what_the_former_one_lost(versions: tuple[Begun, Begun]) -> None:
    first, second = versions
    layer = next(path for path, _ in second.context.torch_parent.build().named_parameters() if "heads.digit" in path)
    removed: History = [{"channels": {layer.removesuffix(".weight"): list(range(16))}}]
    deployed = first.deployed(RUNGS["ptq"], removed)
    assert [may_lose_alike(second.context, deployed, (task,)) for task in TASKS] == [True, False]
    whole, smaller = (
        update_family(second.context, deployed, ORIGINS, ("digit",), alike=alike) for alike in (False, True)
    )
    assert smaller.title == "release 3 with the new head of digit, as small as before"
    assert (whole.history, smaller.history) == ([], removed)
    assert whole.parameters - smaller.parameters == 16 * (96 + 1 + 10)
    assert whole.digest != smaller.digest
