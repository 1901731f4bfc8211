"""How the ladder is climbed: which snapshot, which rung, when it stops and what it says."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tasks.ladder
from deployments.recipe import Recipe, read_recipe
from quality_gates.evidence import Evidence, ModelEvidence, Resources, Unanswered
from tasks.export import ModelFile
from tasks.ladder import Climb
from tasks.prune import Trajectory
from tasks.snapshots import Snapshot
from tests.flows.conftest import TINY
from tests.flows.test_compress import QAT

ROWS = 300
PARENT_RIGHT = 290
BUDGET = 9_000
GRAPH = 1_000


def answers(right: int) -> pd.DataFrame:
    score = (np.arange(ROWS) < right).astype(float)
    return pd.DataFrame({"row_id": np.arange(ROWS), "prediction": score, "score": score, "label": 0})


def evidence(right: int, size: int) -> ModelEvidence:
    figures = {"load_ms": 1.0, "peak_rss_mb": 1.0, "latency_p50_ms": 1.0, "latency_p99_ms": 1.0}
    return ModelEvidence(answers(right), Resources(size_bytes=size, **figures))


def snapshot(index: int, weight_bytes: int, float_right: int) -> Snapshot:
    return Snapshot(index, f"digest {index}", None, 100, weight_bytes, float_right / ROWS, Path(f"{float_right}"), 0.0)


@pytest.fixture
def recipe() -> Recipe:
    tiny = read_recipe(TINY / "recipes" / "tiny.yaml")
    rungs = [{"kind": "ptq", "calibration": "minmax"}, QAT]
    gates = [tiny.gates[0].model_copy(update={"margin": 0.05})]
    return Recipe.model_validate(tiny.model_dump() | {"ladder": rungs, "gates": [gate.model_dump() for gate in gates]})


def climb(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    recipe: Recipe,
    snapshots: list[Snapshot],
    made: Mapping[tuple[int, str], tuple[int, int]],
) -> Climb:
    """Climb over files whose right answers and sizes are given by (snapshot, rung)."""

    def make(_: Any, __: Any, of: Snapshot, rung: Any) -> ModelFile:
        right, size = made[of.index, rung.kind]
        path = tmp_path / f"{of.index}-{rung.kind}-{right}.onnx"
        path.write_bytes(b"0" * size)
        return ModelFile(path, path.name, 0.5)

    def measure(_: Any, __: Any, ___: Any, file: Path, ____: str) -> ModelEvidence:
        return evidence(int(file.stem.rsplit("-", 1)[1]), file.stat().st_size)

    monkeypatch.setattr(tasks.ladder, "_make", make)
    monkeypatch.setattr(tasks.ladder, "measure_for", measure)
    monkeypatch.setattr(tasks.ladder, "answer_rows", lambda _, __, right: answers(right))
    monkeypatch.setattr(Snapshot, "validation_outputs", property(lambda self: int(str(self.outputs))))
    device = recipe.devices[0]
    assert device.budgets.size_bytes == BUDGET
    references = SimpleNamespace(
        job=SimpleNamespace(recipe=recipe),
        device=device,
        parent=None,
        beside=lambda candidate, _: Evidence(candidate, evidence(PARENT_RIGHT, 10), None),
    )
    baseline = SimpleNamespace(graph_bytes=GRAPH)
    trajectory = Trajectory(tuple(snapshots), None, "done", ())
    return tasks.ladder.climb.fn(references, baseline, trajectory)  # type: ignore[arg-type]


def test_the_first_rung_that_holds_ends_the_climb(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, recipe: Recipe
) -> None:
    snapshots = [snapshot(0, 20_000, 290), snapshot(1, 7_000, 290), snapshot(2, 3_000, 290)]
    found = climb(monkeypatch, tmp_path, recipe, snapshots, {(1, "ptq"): (288, 8_000)})
    assert found.held
    assert [(a.snapshot.index, a.rung) for a in found.attempts] == [(1, "PTQ minmax")]


def test_qat_is_tried_where_quantization_is_the_cause(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, recipe: Recipe
) -> None:
    made = {(1, "ptq"): (240, 8_000), (1, "qat"): (289, 8_000)}
    found = climb(monkeypatch, tmp_path, recipe, [snapshot(1, 7_000, 290)], made)
    assert found.held and found.chosen.rung == "QAT"
    assert found.attempts[0].reason.endswith("Next rung: QAT.")


def test_no_dearer_rung_is_tried_where_the_float_snapshot_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, recipe: Recipe
) -> None:
    found = climb(monkeypatch, tmp_path, recipe, [snapshot(1, 7_000, 240)], {(1, "ptq"): (240, 8_000)})
    assert not found.held and len(found.attempts) == 1
    assert "quantization is not the cause" in found.chosen.reason


def test_a_smaller_snapshot_is_tried_where_only_a_budget_is_missed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, recipe: Recipe
) -> None:
    made = {(1, "ptq"): (290, 9_500), (2, "ptq"): (288, 5_000)}
    found = climb(monkeypatch, tmp_path, recipe, [snapshot(1, 7_000, 290), snapshot(2, 3_000, 290)], made)
    assert found.held and found.chosen.snapshot.index == 2
    assert [attempt.snapshot.index for attempt in found.attempts] == [1, 2]
    assert found.attempts[0].reason.endswith("a dearer rung makes none smaller, so none is tried.")


def test_a_dearer_rung_is_tried_where_accuracy_is_missed_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, recipe: Recipe
) -> None:
    made = {(1, "ptq"): (240, 9_500), (1, "qat"): (289, 9_500)}
    found = climb(monkeypatch, tmp_path, recipe, [snapshot(1, 7_000, 290)], made)
    assert [attempt.rung for attempt in found.attempts] == ["PTQ minmax", "QAT"]


def test_where_nothing_holds_the_best_attempt_goes_to_the_gates(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, recipe: Recipe
) -> None:
    made = {(1, "ptq"): (240, 8_000), (1, "qat"): (250, 8_000)}
    found = climb(monkeypatch, tmp_path, recipe, [snapshot(1, 7_000, 290)], made)
    assert not found.held
    assert found.chosen.rung == "QAT" and found.chosen.accuracy == pytest.approx(250 / ROWS)


def test_without_answers_neither_a_dearer_rung_nor_a_smaller_snapshot_is_tried(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, recipe: Recipe
) -> None:
    missing = Unanswered("expected an emulator, got none.", "Install it.")
    monkeypatch.setattr(
        f"{__name__}.evidence",
        lambda right, size, known=evidence: (
            known(right, size) if size == 10 else replace(known(right, size), rows=None, unanswered=missing)
        ),
    )
    made = {(1, "ptq"): (290, 9_500)}
    found = climb(monkeypatch, tmp_path, recipe, [snapshot(1, 7_000, 290), snapshot(2, 3_000, 290)], made)
    assert not found.held and len(found.attempts) == 1
    assert found.chosen.verdict.outcome == "fail"  # the size budget is decided all the same
    assert found.chosen.reason.endswith("Answers cannot be taken on the device's CPU, which no dearer rung would mend.")


def test_the_smallest_snapshot_is_tried_where_none_fits(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, recipe: Recipe
) -> None:
    made = {(2, "ptq"): (290, 12_000), (2, "qat"): (290, 12_500)}
    found = climb(monkeypatch, tmp_path, recipe, [snapshot(1, 20_000, 290), snapshot(2, 11_000, 290)], made)
    assert not found.held and {attempt.snapshot.index for attempt in found.attempts} == {2}
    assert found.chosen.misses_resources_only
