"""Structures taken on by another version: replayed, trained and kept once, or refused with the reason."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from deployments.recipe import Recipe
from deployments.rungs import PostTraining
from deployments.techniques import Distil
from model_compression.errors import StudentError
from model_compression.pruning import load_snapshot
from tasks.compression import (
    Baseline,
    ReleaseStructure,
    Snapshot,
    Student,
    distil,
    kept_structure,
    prune,
    rung_of,
    structure_of,
    take_on,
)
from tasks.compression.distillation_targets import fine_tune_with_parent
from tasks.compression.structures import shapes_of
from tasks.errors import StructureLost
from tasks.upstream import Context
from tasks.workspace import Workspace
from tests.tasks import tiny
from tests.tasks.builders import on
from tests.tasks.compression.structured import pruned_job, register, started

MINMAX = PostTraining(kind="ptq", calibration="minmax")
SIGNALS: dict[str, Any] = {"family": "signal_net", "widths": (4, 8), "depths": (1,)}


def students(**changes: Any) -> Distil:
    return Distil(**{**SIGNALS, "fine_tune": tiny.recipe().prune.fine_tune, **changes})


def retrained() -> nn.Module:
    """The network of version 1 after some more steps."""
    model = tiny.network()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.01 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    return model


def wider() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 10), nn.ReLU(), nn.Linear(10, 3))


def otherwise_activated() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.Linear(8, 3))


NETWORKS = (tiny.network, retrained, wider, otherwise_activated)


class Versions:
    """Versions of a model of its own: the first has a structure, the others take it on."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.numbers = {network: register(workspace, "kept", network()) for network in NETWORKS}

    def begun(self, network: Callable[[], nn.Module] = retrained, **changes: Any) -> tuple[Context, Baseline]:
        return started(pruned_job(self.workspace, "kept", self.numbers[network], **changes))

    def structure(self, snapshot: int = -1) -> ReleaseStructure:
        """The structure of a snapshot of the first version."""
        begun, baseline = self.begun(tiny.network)
        found = structure_of(begun, prune.fn(begun, baseline).snapshots[snapshot], MINMAX)
        assert found is not None
        return found


@pytest.fixture(scope="module")
def versions(tracking_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Versions:
    return Versions(Workspace.at(tmp_path_factory.mktemp("kept"), tracking_uri))


def test_the_next_version_takes_on_the_structure_of_a_release(versions: Versions) -> None:
    structure = versions.structure()
    begun, baseline = versions.begun()
    kept = take_on(begun, baseline, structure, 7)
    assert isinstance(kept, Snapshot) and kept.title == "structure of release 7"
    model = kept.load(begun.torch_parent)
    assert shapes_of(model) == structure.shapes and kept.history == structure.history
    again = structure_of(begun, kept, MINMAX)
    assert again is not None and (again.removed, again.shapes) == (structure.removed, structure.shapes)
    assert kept.parameters < baseline.snapshot.parameters and kept.weight_bytes < baseline.snapshot.weight_bytes


def test_it_is_trained_from_the_new_parents_weights(
    versions: Versions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    structure = versions.structure()
    fresh = Workspace.at(tmp_path, versions.workspace.tracking_uri)
    begun, baseline = started(pruned_job(fresh, "kept", versions.numbers[retrained]))
    seen: list[Tensor] = []

    def watched(context: Context, model: nn.Module, settings: Any, description: str) -> None:
        seen.append(model.state_dict()["0.weight"].clone())
        fine_tune_with_parent(context, model, settings, description)

    monkeypatch.setattr(kept_structure, "fine_tune_with_parent", watched)
    trained = take_on(begun, baseline, structure, 7).load(begun.torch_parent)
    rows = list(range(8))
    for removed in structure.history:
        rows = [row for index, row in enumerate(rows) if index not in removed["channels"]["0"]]
    assert torch.equal(seen[0], begun.torch_parent.build().state_dict()["0.weight"][rows])
    assert not torch.equal(trained.state_dict()["0.weight"], seen[0])


def test_it_is_computed_once_and_anew_for_other_removals(
    versions: Versions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    smaller, larger = versions.structure(2), versions.structure(1)
    fresh = Workspace.at(tmp_path, versions.workspace.tracking_uri)
    begun, baseline = started(pruned_job(fresh, "kept", versions.numbers[retrained]))
    trained: list[str] = []

    def counted(context: Context, model: nn.Module, settings: Any, description: str) -> None:
        trained.append(description)
        fine_tune_with_parent(context, model, settings, description)

    monkeypatch.setattr(kept_structure, "fine_tune_with_parent", counted)
    first, second, other = (take_on(begun, baseline, each, 7) for each in (smaller, smaller, larger))
    assert first == second and first.digest != other.digest
    assert len(trained) == 2
    assert isinstance(first, Snapshot) and first.folder is not None
    Path(first.folder / "weights.safetensors").unlink()  # as a kill in the middle leaves no stage
    assert take_on(begun, baseline, smaller, 7).digest == first.digest and len(trained) == 3
    load_snapshot(first.folder, begun.torch_parent.build, begun.torch_parent.example)


def test_where_nothing_was_removed_the_parent_is_taken_as_it_is(versions: Versions) -> None:
    structure = versions.structure(0)
    begun, baseline = versions.begun()
    assert take_on(begun, baseline, structure, 7) is baseline.snapshot


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (wider, "version 3 has another architecture (0.weight was 8 x 6 and is 10 x 6)"),
        (otherwise_activated, "another architecture (its weights have the same shapes, and its operators are others)"),
    ],
)
def test_another_architecture_does_not_take_it_on(versions: Versions, network: Any, said: str) -> None:
    structure = versions.structure()
    with pytest.raises(StructureLost) as caught:
        take_on(*versions.begun(network), structure, 7)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"round_to": 2}, "the recipe's `round_to` of `prune` changed"),
        ({"at_most": {"channels": 0.1}, "units": ("heads",)}, "the recipe's `at_most` and `units` of `prune` changed"),
    ],
    ids=["widths", "units"],
)
def test_a_recipe_that_allows_other_structures_asks_for_a_new_one(
    versions: Versions, change: dict[str, Any], said: str
) -> None:
    structure = versions.structure()
    changed = tiny.recipe().prune.model_copy(update={"round_to": 1, "accuracy_floor": 1.0, **change})
    with pytest.raises(StructureLost) as caught:
        take_on(*versions.begun(prune=changed), structure, 7)
    assert str(caught.value) == said


def test_other_ways_of_finding_a_structure_keep_it(versions: Versions) -> None:
    structure = versions.structure()
    changes = {"round_to": 1, "accuracy_floor": 1.0, "ratio": 0.5, "max_rounds": 1, "importance": "magnitude"}
    begun, baseline = versions.begun(prune=tiny.recipe().prune.model_copy(update=changes))
    assert take_on(begun, baseline, structure, 7).title == "structure of release 7"


def test_one_below_the_floor_is_not_taken_on(versions: Versions, monkeypatch: pytest.MonkeyPatch) -> None:
    structure = versions.structure()
    monkeypatch.setattr(kept_structure, "broken_floor", lambda *_: "structure of release 7 fell to 0.1")
    with pytest.raises(StructureLost, match=r"the structure of release 7 fell to 0\.1"):
        take_on(*versions.begun(), structure, 7)


@pytest.mark.parametrize(
    ("removed", "said"),
    [
        ({"channels": {"absent": [1]}}, "its removals could not be replayed: AttributeError"),
        ({"channels": {"0": [1, 99]}}, "its removals could not be replayed: ValueError"),
        ({"channels": {"0": [1]}}, "the same removals left another shape of 0.weight"),
    ],
)
def test_a_record_that_does_not_fit_is_said_before_any_training(
    versions: Versions, monkeypatch: pytest.MonkeyPatch, removed: dict[str, Any], said: str
) -> None:
    record = versions.structure().model_dump(mode="json") | {"removed": [removed]}
    begun, baseline = versions.begun()
    monkeypatch.setattr(kept_structure, "fine_tune_with_parent", lambda *_: pytest.fail("it was trained"))
    with pytest.raises(StructureLost) as caught:
        take_on(begun, baseline, ReleaseStructure.model_validate(record), 7)
    assert str(caught.value).startswith(said)


class TestStudents:
    @pytest.fixture
    def structure(self, versions: Versions) -> ReleaseStructure:
        """The structure of version 1's student, the narrowest, as wide ones do not fit."""
        budgets = tiny.device().budgets.model_copy(update={"size_kb": 20})
        begun, _ = versions.begun(tiny.network, distil=students(widths=(4,)), devices=(tiny.device(budgets=budgets),))
        student = distil.fn(begun.on(begun.job.devices[0]))
        assert student is not None
        found = structure_of(begun, student, MINMAX)
        assert found is not None
        return found

    @pytest.mark.parametrize("network", [retrained, wider])
    def test_one_of_the_same_architecture_is_distilled_from_any_parent(
        self, versions: Versions, structure: ReleaseStructure, network: Any
    ) -> None:
        begun, baseline = versions.begun(network, distil=students())
        kept = take_on(begun, baseline, structure, 7)
        assert isinstance(kept, Student) and (kept.architecture.width, kept.architecture.depth) == (4, 1)
        assert shapes_of(kept.load(begun.torch_parent)) == structure.shapes
        again = structure_of(begun, kept, MINMAX)
        assert again is not None and again.student == structure.student

    @pytest.mark.parametrize(
        "settings", [None, students(family="depthwise_cnn"), students(widths=(8,)), students(depths=(2,))],
        ids=["none", "family", "widths", "depths"],
    )  # fmt: skip
    def test_a_recipe_that_has_it_no_more_asks_for_a_new_structure(
        self, versions: Versions, structure: ReleaseStructure, settings: Distil | None
    ) -> None:
        with pytest.raises(StructureLost, match="no signal_net of width 4 and depth 1 any more"):
            take_on(*versions.begun(distil=settings), structure, 7)

    def test_other_outputs_make_another_student(self, versions: Versions, structure: ReleaseStructure) -> None:
        begun, baseline = versions.begun(distil=students())
        shapes = dict(structure.shapes) | {"head.weight": (9, 9)}
        with pytest.raises(StructureLost, match=r"left another shape of head\.weight"):
            take_on(begun, baseline, structure.model_copy(update={"shapes": shapes}), 7)


class TestRungs:
    def recipe(self, *rungs: dict[str, Any]) -> Recipe:
        return Recipe.model_validate(tiny.recipe().model_dump() | {"ladder": list(rungs)})

    def of(self, workspace: Workspace, recipe: Recipe, rung: dict[str, Any]) -> str:
        job = tiny.job(workspace, ladder=recipe.ladder)
        structure = ReleaseStructure.model_validate({"parent": {"shapes": {}, "graph": ""}, "rung": rung, "shapes": {}})
        return rung_of(on(job), structure).title

    def test_the_very_rung_is_taken_else_one_of_its_kind(self, workspace: Workspace) -> None:
        minmax, entropy = ({"kind": "ptq", "calibration": method} for method in ("minmax", "entropy"))
        recipe = self.recipe({"kind": "dynamic"}, minmax, entropy)
        assert self.of(workspace, recipe, entropy) == "PTQ entropy"
        assert self.of(workspace, recipe, {"kind": "ptq", "calibration": "percentile"}) == "PTQ minmax"

    def test_a_ladder_without_its_kind_loses_it(self, workspace: Workspace) -> None:
        recipe = self.recipe({"kind": "dynamic"})
        with pytest.raises(StructureLost, match="the ladder has no rung `ptq` for bench any more"):
            self.of(workspace, recipe, {"kind": "ptq", "calibration": "minmax"})


def test_a_parent_that_takes_no_student_is_an_error_of_its_own(versions: Versions) -> None:
    record = {"parent": {"shapes": {}, "graph": ""}, "rung": {}, "shapes": {}, "student": SIGNALS}
    record["student"] = {"family": "text_net", "width": 4, "depth": 1}
    begun, baseline = versions.begun(distil=students(family="text_net"))
    with pytest.raises(StudentError):
        take_on(begun, baseline, ReleaseStructure.model_validate(record), 7)
