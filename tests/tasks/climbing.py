"""A ladder whose files, answers and figures are given, so that a test sees what is tried and chosen."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from deployments.recipe import Recipe, read_recipe
from deployments.rungs import Rung
from edge_runtime.measurement import Figures
from model_compression.errors import QuantizationError
from quality_gates.evidence import Evidence, ModelEvidence, Unanswered
from quality_gates.gates import GatePolicy, decide
from tasks.compression import Baseline, ModelFile, Snapshot, Trajectory
from tasks.job import Job
from tasks.selection import Attempt, Climb, Model, climb
from tasks.workspace import Workspace
from tests.flows.conftest import TINY
from tests.tasks import tiny
from tests.tasks.builders import on

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
    """Evidence of a file with these measured figures."""
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


@dataclass(frozen=True)
class GivenTrials:
    """Attempts whose files and answers are `made`; any other file is a KeyError. Rungs `refusing` the models raise.

    With `unanswered`, no file has answers. With `is_busy`, no two files compare. Every file has the `note`.
    """

    recipe: Recipe
    folder: Path
    made: Made
    refusing: Collection[str]
    expecting: Mapping[int, tuple[float, ...]]
    unanswered: Unanswered | None
    is_busy: bool = False
    note: str = ""

    def attempt(self, model: Model, rung: Rung) -> Attempt:
        if rung.title in self.refusing:
            raise QuantizationError(f"{rung.title} is not for this model")
        assert isinstance(model, Snapshot)
        right, size, *milliseconds = self.made[model.index, rung.title]
        path = self.folder / f"{model.index}-{rung.title}.onnx"
        path.write_bytes(b"0" * int(size))
        measured = evidence(int(right), int(size), *milliseconds)
        if self.unanswered is not None:
            measured = replace(measured, rows=None, unanswered=self.unanswered)
        verdict = decide(self.recipe.search_policy(self.recipe.devices[0]), self._beside_parent(measured))
        file = ModelFile(path, path.name, 0.5, note=self.note)
        return Attempt(model, rung, file, measured, verdict, verdict.headline)

    def float_failures(self, model: Model) -> tuple[str, ...]:
        measured = ModelEvidence(answers(int(str(model.outputs))), None)
        verdict = decide(GatePolicy(gates=self.recipe.answer_gates), self._beside_parent(measured))
        return tuple(gate.name for gate in verdict.blocking if gate.outcome == "fail")

    def expected(self, model: Model) -> Figures | None:
        assert isinstance(model, Snapshot)
        size, *milliseconds = self.expecting[model.index]
        return evidence(0, int(size), *milliseconds).resources

    def in_turns(self, tried: Attempt) -> tuple[float, float] | None:
        milliseconds = [float(self.made[index(tried), title][2]) for title in (tried.rung.title, "FP32")]
        return None if self.is_busy else (milliseconds[0], milliseconds[1])

    def _beside_parent(self, measured: ModelEvidence) -> Evidence:
        return Evidence(measured, evidence(PARENT_RIGHT, 10), None)


def index(attempt: Attempt) -> int:
    """Return the round of the snapshot that a rung was tried on."""
    assert isinstance(attempt.snapshot, Snapshot)
    return attempt.snapshot.index


def climbed(
    tmp_path: Path, recipe: Recipe, snapshots: Sequence[Snapshot], made: Made, refusing: Collection[str] = (),
    expecting: Mapping[int, tuple[float, ...]] | None = None, unanswered: Unanswered | None = None,
    is_busy: bool = False, note: str = "",
) -> Climb:  # fmt: skip
    """Climb over given files; `expecting` are bytes and milliseconds of each snapshot's cheapest INT8 file."""
    workload = tiny.Blobs()
    job = Job("tiny", "1", recipe, workload, {}, Workspace.at(tmp_path, "sqlite:///unused"))
    assert recipe.devices[0].budgets.size_bytes == BUDGET
    whole = Snapshot.original("0" * 64, 1, 1, 0.9, tmp_path)
    baseline, trajectory = Baseline(whole, tmp_path, GRAPH), Trajectory(tuple(snapshots), (), "done", ())
    trials = GivenTrials(recipe, tmp_path, made, refusing, expecting or {}, unanswered, is_busy, note)
    return climb.fn(on(job), trials, baseline, trajectory)
