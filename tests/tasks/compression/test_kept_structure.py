"""Structures taken on by another version: replayed, trained and kept once, or refused with the reason."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from deployments.device import Budgets
from deployments.recipe import Recipe
from deployments.rungs import PostTraining
from deployments.techniques import Distil, KeepStructure
from model_compression.errors import SnapshotError, StudentError
from model_compression.pruning import load_snapshot
from model_compression.training import FineTuning
from tasks.compression import (
    Baseline,
    DeployedStructure,
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
GENTLY = tiny.recipe().prune.fine_tune.model_copy(update={"learning_rate": 1e-5})
GENTLE = KeepStructure(fine_tune=GENTLY)
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

    def released(self, snapshot: int = -1) -> Snapshot:
        """A snapshot of the first version."""
        return prune.fn(*self.begun(tiny.network)).snapshots[snapshot]

    def structure(self, snapshot: int = -1) -> ReleaseStructure:
        """The structure of a snapshot of the first version."""
        found = structure_of(self.begun(tiny.network)[0], self.released(snapshot), MINMAX)
        assert found is not None
        return found


def taken(begun: tuple[Context, Baseline], record: ReleaseStructure, weights: Path | None = None) -> Snapshot | Student:
    """Let a version take on the structure of release 7."""
    return take_on(*begun, DeployedStructure(7, record, weights))


@pytest.fixture(scope="module")
def versions(tracking_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Versions:
    return Versions(Workspace.at(tmp_path_factory.mktemp("kept"), tracking_uri))


def test_the_next_version_takes_on_the_structure_of_a_release(versions: Versions) -> None:
    structure = versions.structure()
    begun, baseline = versions.begun()
    kept = taken((begun, baseline), structure)
    assert isinstance(kept, Snapshot) and kept.title == "structure of release 7"
    model = kept.load(begun.torch_parent)
    assert shapes_of(model) == structure.shapes and kept.history == structure.history
    again = structure_of(begun, kept, MINMAX)
    assert again is not None and (again.removed, again.shapes) == (structure.removed, structure.shapes)
    assert kept.parameters < baseline.snapshot.parameters and kept.weight_bytes < baseline.snapshot.weight_bytes


class Trained:
    """Trainings of kept structures: the weights and the settings that each began with, in a store of its own."""

    def __init__(self, versions: Versions, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.versions, self.workspace = versions, Workspace.at(home, versions.workspace.tracking_uri)
        self.weights: list[Tensor] = []
        self.settings: list[FineTuning] = []
        monkeypatch.setattr(kept_structure, "fine_tune_with_parent", self._seen)

    def begun(self, **changes: Any) -> tuple[Context, Baseline]:
        return started(pruned_job(self.workspace, "kept", self.versions.numbers[retrained], **changes))

    def _seen(self, context: Context, model: nn.Module, settings: FineTuning, description: str) -> None:
        self.weights.append(model.state_dict()["0.weight"].clone())
        self.settings.append(settings)
        fine_tune_with_parent(context, model, settings, description)


@pytest.fixture
def trained(versions: Versions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trained:
    return Trained(versions, tmp_path, monkeypatch)


def test_without_weights_it_is_trained_from_the_new_parents(versions: Versions, trained: Trained) -> None:
    structure = versions.structure()
    begun = trained.begun(keep_structure=GENTLE)
    kept = taken(begun, structure)
    rows = list(range(8))
    for removed in structure.history:
        rows = [row for index, row in enumerate(rows) if index not in removed["channels"]["0"]]
    parent = begun[0].torch_parent
    assert torch.equal(trained.weights[0], parent.build().state_dict()["0.weight"][rows])
    assert trained.settings == [tiny.recipe().prune.fine_tune.settings()]
    assert not torch.equal(kept.load(parent).state_dict()["0.weight"], trained.weights[0])


def test_it_is_trained_on_from_the_releases_weights(versions: Versions, trained: Trained) -> None:
    structure, released = versions.structure(), versions.released()
    assert released.folder is not None
    weights = released.folder / "weights.safetensors"
    plain, gentle = (taken(trained.begun(keep_structure=key), structure, weights) for key in (KeepStructure(), GENTLE))
    before = load_file(weights)["0.weight"]
    assert [torch.equal(start, before) for start in trained.weights] == [True, True]
    assert trained.settings == [each.settings() for each in (tiny.recipe().prune.fine_tune, GENTLY)]
    assert plain.digest != gentle.digest != taken(trained.begun(), structure).digest


def test_weights_of_another_structure_are_refused(versions: Versions, trained: Trained) -> None:
    other = versions.released(1)
    assert other.folder is not None
    with pytest.raises(SnapshotError, match="expected the weights of this structure"):
        taken(trained.begun(), versions.structure(), other.folder / "weights.safetensors")


def test_it_is_computed_once_and_anew_for_other_removals(versions: Versions, trained: Trained) -> None:
    smaller, larger = versions.structure(2), versions.structure(1)
    begun, baseline = trained.begun()
    first, second, other = (taken((begun, baseline), each) for each in (smaller, smaller, larger))
    assert first == second and first.digest != other.digest
    assert len(trained.weights) == 2
    assert isinstance(first, Snapshot) and first.folder is not None
    Path(first.folder / "weights.safetensors").unlink()  # as a kill in the middle leaves no stage
    assert taken((begun, baseline), smaller).digest == first.digest and len(trained.weights) == 3
    load_snapshot(first.folder, begun.torch_parent.build, begun.torch_parent.example)


def test_where_nothing_was_removed_the_parent_is_taken_as_it_is(versions: Versions) -> None:
    structure = versions.structure(0)
    begun, baseline = versions.begun()
    assert taken((begun, baseline), structure) is baseline.snapshot


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
        taken(versions.begun(network), structure)
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
        taken(versions.begun(prune=changed), structure)
    assert str(caught.value) == said


def test_other_ways_of_finding_a_structure_keep_it(versions: Versions) -> None:
    structure = versions.structure()
    changes = {"round_to": 1, "accuracy_floor": 1.0, "ratio": 0.5, "max_rounds": 1, "importance": "magnitude"}
    begun, baseline = versions.begun(prune=tiny.recipe().prune.model_copy(update=changes))
    assert taken((begun, baseline), structure).title == "structure of release 7"


def test_one_below_the_floor_is_not_taken_on(versions: Versions, monkeypatch: pytest.MonkeyPatch) -> None:
    structure = versions.structure()
    monkeypatch.setattr(kept_structure, "broken_floor", lambda *_: "structure of release 7 fell to 0.1")
    with pytest.raises(StructureLost, match=r"the structure of release 7 fell to 0\.1"):
        taken(versions.begun(), structure)


@pytest.mark.parametrize(
    ("removed", "said"),
    [
        ({"channels": {"absent": [1]}}, "its removals could not be replayed: ValueError"),
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
        taken((begun, baseline), ReleaseStructure.model_validate(record))
    assert str(caught.value).startswith(said)


class TestStudents:
    @pytest.fixture
    def structure(self, versions: Versions) -> ReleaseStructure:
        """The structure of version 1's student, the narrowest, as wide ones do not fit."""
        budgets = Budgets(size_kb=20)  # no time: this machine may be busy
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
        kept = taken((begun, baseline), structure)
        assert isinstance(kept, Student) and (kept.architecture.width, kept.architecture.depth) == (4, 1)
        assert shapes_of(kept.load(begun.torch_parent)) == structure.shapes
        again = structure_of(begun, kept, MINMAX)
        assert again is not None and again.student == structure.student

    def test_it_is_trained_on_from_the_releases_weights(self, versions: Versions, structure: ReleaseStructure) -> None:
        changes: dict[str, Any] = {"distil": students(), "keep_structure": GENTLE}
        fresh = taken(versions.begun(**changes), structure)
        assert isinstance(fresh, Student)
        weights = fresh.folder / "weights.safetensors"
        begun = versions.begun(wider, **changes)
        kept = taken(begun, structure, weights)
        before, after = load_file(weights), kept.load(begun[0].torch_parent).state_dict()
        moved = max(float((after[name] - before[name]).abs().max()) for name in before if "weight" in name)
        assert 0 < moved < 1e-4  # 3 steps of at most 1e-5

    @pytest.mark.parametrize(
        "settings", [None, students(family="depthwise_cnn"), students(widths=(8,)), students(depths=(2,))],
        ids=["none", "family", "widths", "depths"],
    )  # fmt: skip
    def test_a_recipe_that_has_it_no_more_asks_for_a_new_structure(
        self, versions: Versions, structure: ReleaseStructure, settings: Distil | None
    ) -> None:
        with pytest.raises(StructureLost, match="no signal_net of width 4 and depth 1 any more"):
            taken(versions.begun(distil=settings), structure)

    def test_other_outputs_make_another_student(self, versions: Versions, structure: ReleaseStructure) -> None:
        begun, baseline = versions.begun(distil=students())
        shapes = dict(structure.shapes) | {"head.weight": (9, 9)}
        with pytest.raises(StructureLost, match=r"left another shape of head\.weight"):
            taken((begun, baseline), structure.model_copy(update={"shapes": shapes}))


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
        taken((begun, baseline), ReleaseStructure.model_validate(record))
