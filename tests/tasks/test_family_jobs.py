"""Families as jobs: each gate of a member decides in the family as it does on the member's own rows."""

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from deployments.answers import asked_rows
from deployments.recipe import FamilyRecipe, Recipe
from deployments.workload import read_splits
from quality_gates.evidence import Evidence, ModelEvidence, in_slice
from quality_gates.gates import GatePolicy, decide
from quality_gates.verdict import GateResult
from tasks.job import Job, UserCode, known_classes, labelled_rows
from tasks.measurement import answer_rows
from tasks.workspace import Workspace
from tests.deployments.families.different_tasks import outputs_for
from tests.tasks import family_jobs, tiny
from tests.tasks.family_jobs import GATES, of_task

FIGURES = {
    "outcome",
    "estimate",
    "lower",
    "upper",
    "n",
    "candidate_value",
    "reference_value",
    "gained",
    "lost",
    "floor",
}
NAMES = [(task, gate["name"]) for task, gates in GATES.items() for gate in gates]


def near(outputs: np.ndarray, right: np.ndarray, seed: int) -> np.ndarray:
    """Return outputs of classes that are mostly right."""
    found = outputs.copy()
    wrong = np.random.default_rng(seed).random(len(right)) < 0.2
    found[:, :3] = np.eye(3)[np.where(wrong, (right + 1) % 3, right)] * 2 + 0.1 * outputs[:, :3]
    return found


def outputs_of(job: Job, split: Any, seed: int) -> np.ndarray:
    targets = job.splits[split].targets
    right = np.where(np.isnan(targets[:, 0]), 0, targets[:, 0]).astype(int)
    return near(outputs_for(len(targets), seed), right, seed)


def evidence(job: Job, group: str | None = None) -> Evidence:
    parent, candidate = (
        ModelEvidence(answer_rows(job, "test", outputs_of(job, "test", seed)), None) for seed in (1, 2)
    )
    classes = known_classes(job.workload, job.splits)
    return Evidence(
        candidate, parent, None, functions=job.functions, classes=classes, anchor=parent, group=group, task="task"
    )


def alone(family: Job, task: str, gates: tuple[Any, ...]) -> list[GateResult]:
    """Decide a member's own gates on its own rows, by a recipe of its model alone."""
    outputs = [outputs_of(family, "test", seed) for seed in (1, 2)]
    targets = family.splits["test"].targets
    asked = [next(each for each in asked_rows(family.workload, one, targets) if each.task == task) for one in outputs]
    workload = dict(zip(GATES, family.workload.of_models, strict=True))[task]
    single: Recipe = tiny.recipe(gates=gates)
    job = Job("m", "1", single, workload, read_splits(workload), family.workspace)
    parent, candidate = (ModelEvidence(answer_rows(job, "test", each.outputs), None) for each in asked)
    seen = Evidence(candidate, parent, None, functions=job.functions, classes=job.classes, anchor=parent)
    return list(decide(GatePolicy(gates=gates), seen).gates)


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], tuple[GateResult, GateResult]]:
    """Return each gate of a member, decided in the family and alone."""
    job = family_jobs.job(Workspace.at(tmp_path_factory.mktemp("families"), "sqlite:///unused"))
    verdict = decide(GatePolicy(gates=job.recipe.gates), evidence(job))
    found = {result.name: result for result in verdict.gates}
    return {
        (member.name, result.name): (found[f"{member.name}: {result.name}"], result)
        for member in job.recipe.members
        for result in alone(job, member.name, member.gates)
    }


@pytest.mark.parametrize(("task", "gate"), NAMES)
def test_a_gate_of_a_member_decides_as_it_does_alone(decided: Any, task: str, gate: str) -> None:
    ours, own = decided[task, gate]
    assert own.n and ours.kind == own.kind
    for figure in sorted(FIGURES):
        got, expected = getattr(ours, figure), getattr(own, figure)
        drawn = 0.1 if gate == "own metric" and figure in ("lower", "upper") else 0  # in the order of row ids
        assert got == (pytest.approx(expected, abs=drawn or None) if isinstance(expected, float) else expected), figure
    assert ours.worthless == own.worthless


def test_each_kind_of_gate_decides_something(decided: Any) -> None:
    assert len(decided) == len(NAMES)
    assert {ours.outcome for ours, _ in decided.values()} >= {"pass", "inconclusive"}
    assert not [ours.sentence for ours, _ in decided.values() if "could not be decided" in ours.sentence]


def test_answers_have_the_words_of_each_task(workspace: Workspace) -> None:
    job = family_jobs.job(workspace)
    rows = answer_rows(job, "test", outputs_of(job, "test", 1))
    assert rows["row_id"].tolist() == list(range(52))
    bright, mean, masks = (rows[in_slice(rows, of_task(name))] for name in GATES)
    assert set(bright["target"]) == {"left", "right", "none"} and set(bright["prediction"]) <= set(bright["target"])
    assert all(isinstance(value, float) for value in mean["target"]) and masks["target"].isna().all()
    assert bright["both(left)"].eq(0).all() and masks["both(left)"].gt(0).any()
    assert mean["brier"].eq(2).all() and bright["brier"].lt(2).all()
    assert not rows.drop(columns=["target", "label", "site", "size"]).isna().any().any()


def test_training_rows_of_a_family_are_labelled_for_each_task(workspace: Workspace) -> None:
    job = family_jobs.job(workspace)
    rows = labelled_rows(job.workload, job.splits["train"])
    assert rows[rows["task"] == "bright"]["target"].value_counts().to_dict() == {"left": 8, "right": 8, "none": 8}
    on_left = next(gate for gate in job.recipe.gates if gate.name == "bright: on left")
    known = job.classes.on(getattr(on_left, "slice", None))
    assert known == {"left": 8}


def test_the_code_of_a_family_is_that_of_all_members(workspace: Workspace) -> None:
    first = family_jobs.job(workspace)
    heavier = [member.model_copy(update={"weight": 3}) for member in first.recipe.members]
    second = family_jobs.job(workspace, members=heavier)
    assert first.user_code == family_jobs.job(workspace).user_code
    assert first.user_code.workload != second.user_code.workload and first.run_key != second.run_key
    assert first.user_code.metrics == second.user_code.metrics
    ours = UserCode.of(first.workload, first.recipe.workload, {})
    assert ours.question != UserCode.of(first.workload.of_models[0], "x:Y", {}).question


def test_a_family_of_other_gates_has_the_same_workload(workspace: Workspace) -> None:
    first = family_jobs.job(workspace)
    assert isinstance(first.recipe, FamilyRecipe)
    fewer = [member.model_copy(update={"gates": member.gates[:1]}) for member in first.recipe.members]
    second = family_jobs.job(workspace, members=fewer)
    assert first.user_code.workload == second.user_code.workload and first.run_key != second.run_key
    assert first.user_code.question == second.user_code.question


def test_each_task_has_a_floor_of_its_own(workspace: Workspace) -> None:
    from tasks.compression.floors import broken_floor

    job = family_jobs.job(workspace)
    before = outputs_of(job, "validation", 1)
    right = (job.splits["validation"].targets[:, 2:] == 1) * 2.0 - 1
    before[:, 4:] = np.concatenate([-right, right], axis=1)
    for task, columns, said in (
        ("bright", slice(0, 3), "on the validation rows of bright, below the floor of"),
        ("mean", slice(3, 4), "on the validation rows of mean, below the floor of -"),
        ("masks", slice(4, None), "on the validation rows of masks, below the floor of"),
    ):
        worse = before.copy()
        worse[:, columns] = -before[:, columns] * 3
        broken = broken_floor(job, snapshot(job, before), snapshot(job, worse))
        assert broken is not None and said in broken, task
    assert broken_floor(job, snapshot(job, before), snapshot(job, before)) is None


def snapshot(job: Job, outputs: np.ndarray) -> Any:
    from tasks.compression import Snapshot

    job.workspace.home.mkdir(exist_ok=True)
    path = job.workspace.home / f"{hashlib.sha256(outputs.tobytes()).hexdigest()}.npy"
    np.save(path, outputs)
    return replace(Snapshot.original("d", 1, 1, job.mean_score(outputs), path), index=1)


def test_critical_rows_of_one_task_are_trained_on_more_often(workspace: Workspace) -> None:
    from tasks.compression.distillation_targets import row_weights

    job = family_jobs.job(workspace, critical_weight=4)
    weights = row_weights(job)
    assert weights is not None and len(weights) == len(job.splits["train"])
    left = labelled_rows(job.workload, job.splits["train"])
    heavy = set(left.index[(left["task"] == "bright") & left["target"].isin(["left", "right"])])
    assert set(np.flatnonzero(weights == 4)) == heavy
    assert isinstance(left, pd.DataFrame)
