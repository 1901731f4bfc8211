"""A ladder whose files, answers and figures are given, so that a test sees what is tried and chosen."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tasks.selection.attempts
import tasks.selection.ladder
from deployments.recipe import Recipe, read_recipe
from edge_runtime.measurement import Figures
from model_compression.errors import QuantizationError
from quality_gates.evidence import Evidence, ModelEvidence
from tasks.compression import ModelFile, Snapshot, Trajectory
from tasks.selection import Climb
from tests.flows.conftest import TINY

ROWS = 300
PARENT_RIGHT = 290
BUDGET = 9_000
GRAPH = 1_000

Made = Mapping[tuple[int, str], tuple[float, ...]]
"""Right answers, bytes and, where not 1, milliseconds of the file of (snapshot, title of the rung)."""


def answers(right: int) -> pd.DataFrame:
    """Rows of which the first so many are right."""
    score = (np.arange(ROWS) < right).astype(float)
    return pd.DataFrame({"row_id": np.arange(ROWS), "prediction": score, "score": score, "label": 0})


def evidence(right: int, size: int, milliseconds: float = 1.0) -> ModelEvidence:
    """What is measured of a file."""
    figures = {"load_ms": 1.0, "peak_rss_mb": 1.0, "latency_p50_ms": milliseconds, "latency_p99_ms": milliseconds}
    return ModelEvidence(answers(right), Figures(size_bytes=size, **figures))


def snapshot(index: int, weight_bytes: int, float_right: int) -> Snapshot:
    """A snapshot whose float answers are right so often."""
    return Snapshot(index, f"digest {index}", None, 100, weight_bytes, float_right / ROWS, Path(f"{float_right}"), 0.0)


def recipe_of(rungs: Sequence[dict[str, Any]], **changes: Any) -> Recipe:
    """The tiny recipe with these rungs and one gate: 5 points against the parent."""
    tiny = read_recipe(TINY / "recipes" / "tiny.yaml")
    gate = tiny.gates[0].model_copy(update={"margin": 0.05}).model_dump()
    return Recipe.model_validate(tiny.model_dump() | {"ladder": list(rungs), "gates": [gate], **changes})


def climb(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, recipe: Recipe, snapshots: Sequence[Snapshot], made: Made,
    refusing: Collection[str] = (),
) -> Climb:  # fmt: skip
    """Climb over files that are `made`; any other is a KeyError, and rungs `refusing` the models raise."""
    seen: dict[Path, ModelEvidence] = {}

    def make(_: Any, __: Any, of: Snapshot, rung: Any, *, saturates: bool) -> ModelFile:
        if rung.title in refusing:
            raise QuantizationError(f"{rung.title} is not for this model")
        right, size, *milliseconds = made[of.index, rung.title]
        path = tmp_path / f"{of.index}-{rung.title}.onnx"
        path.write_bytes(b"0" * int(size))
        seen[path] = evidence(int(right), int(size), *milliseconds)
        return ModelFile(path, path.name, 0.5)

    monkeypatch.setattr(tasks.selection.attempts, "make_file", make)
    monkeypatch.setattr(tasks.selection.attempts, "measure_for", lambda _, __, ___, file, ____: seen[file])
    monkeypatch.setattr(tasks.selection.attempts, "answer_rows", lambda _, __, right: answers(right))
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
    trajectory = Trajectory(tuple(snapshots), (), "done", ())
    return tasks.selection.ladder.climb.fn(references, baseline, trajectory)  # type: ignore[arg-type]
