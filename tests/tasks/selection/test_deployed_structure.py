"""The structure of what is deployed, tried first: kept where its file holds, else said in one sentence why not."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deployments.recipe import Recipe
from edge_runtime.files import sha256_of
from model_compression.pruning import WEIGHTS
from tasks.compression import STRUCTURE, WEIGHTS_FOLDER, Baseline, ReleaseStructure, Snapshot
from tasks.registry import EdgeVersion
from tasks.selection import KeptStructure, keep_structure
from tasks.selection import deployed_structure as module
from tasks.upstream import Context, DeviceContext, OnnxParent
from tasks.workspace import Workspace
from tests.end_to_end.tiny.variants import QAT
from tests.tasks import tiny
from tests.tasks.builders import on
from tests.tasks.climbing import GivenTrials, climbed, recipe_of, snapshot
from tests.tasks.registry.shelf import Shelf

PTQ = {"kind": "ptq", "calibration": "minmax"}
RECORD: dict[str, Any] = {"parent": {"shapes": {}, "graph": ""}, "rung": PTQ, "shapes": {}}
KEPT = replace(snapshot(2, 3_000, 290), release=4)


class Trial:
    """A version that is tried with the structure of release 4, whose files are given."""

    def __init__(self, workspace: Workspace, folder: Path, model: str) -> None:
        self.folder, self.shelf = folder, Shelf(workspace.tracking_uri, model, folder)
        self.job = tiny.job(workspace, model, "2", **_keys(recipe_of([PTQ, QAT])))

    @property
    def context(self) -> DeviceContext:
        begun = on(self.job)
        return Context(begun.job, begun.parent, self.shelf.runs, "no run").on(begun.device)

    def deployed(self, record: str | None = ReleaseStructure.model_validate(RECORD).model_dump_json()) -> EdgeVersion:
        """Deploy release 4, whose run keeps a text as its structure."""
        device, candidate = self.context.device.name, self.shelf.keep("1")
        if record is not None:
            self.shelf.runs.text(candidate.run, STRUCTURE, record)
        return self.shelf.models.release(device, candidate, 4, "", {"edgewright.verdict": "pass"})

    def tried(self, right: int, deployed: EdgeVersion | None, refusing: tuple[str, ...] = ()) -> KeptStructure:
        trials = GivenTrials(self.job.recipe, self.folder, {(2, "PTQ minmax"): (right, 5_000)}, refusing, {}, None)
        return keep_structure.fn(self.context, trials, self.baseline, deployed)

    @property
    def baseline(self) -> Baseline:
        return Baseline(Snapshot.original("0" * 64, 1, 1, 0.9, self.folder), self.folder, 0)


def _keys(recipe: Recipe) -> dict[str, Any]:
    return {name: getattr(recipe, name) for name in ("devices", "gates", "ladder")}


@pytest.fixture
def trial(
    workspace: Workspace, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Trial:
    monkeypatch.setattr(module, "take_on", lambda *_: KEPT)
    return Trial(workspace, tmp_path, str(request.node.name).translate(str.maketrans("[] ", "-- ")))


def test_a_file_that_holds_keeps_the_structure(trial: Trial) -> None:
    kept = trial.tried(288, trial.deployed())
    assert kept.sentence == (
        "The structure of release 4 was kept: version 2 without the same units holds every gate on validation."
    )
    assert kept.attempt is not None and kept.trajectory is not None
    found = kept.climb(kept.attempt)
    assert found.held and found.chosen.title == "PTQ minmax, structure of release 4"
    assert found.why[0] == kept.sentence and found.why[1].startswith("Why PTQ minmax, structure of release 4: the only")
    assert kept.trajectory.snapshots == (trial.baseline.snapshot, KEPT) and kept.trajectory.release == 4


def test_it_is_said_to_be_trained_on_where_the_weights_were_kept(trial: Trial, tmp_path: Path) -> None:
    (tmp_path / WEIGHTS).write_bytes(b"weights")
    record = ReleaseStructure.model_validate(RECORD | {"weights": sha256_of(tmp_path / WEIGHTS)})
    deployed = trial.deployed(record.model_dump_json())
    trial.shelf.runs.file(trial.shelf.models.page(deployed).candidate.run, tmp_path / WEIGHTS, WEIGHTS_FOLDER)
    assert trial.tried(288, deployed).sentence == (
        "The structure of release 4 was kept: version 2 without the same units, trained on from its weights, holds "
        "every gate on validation."
    )


def test_a_gate_that_does_not_hold_asks_for_another_structure(trial: Trial) -> None:
    kept = trial.tried(240, trial.deployed())
    assert kept.trajectory is None and kept.sentence == (
        "The structure was chosen anew: "
        "with that of release 4, PTQ minmax misses accuracy against parent on validation."
    )
    other = climbed(trial.folder, trial.job.recipe, [snapshot(1, 7_000, 290)], {(1, "PTQ minmax"): (289, 8_000)})
    after = kept.after_it(other)
    assert [tried.title for tried in after.attempts] == ["PTQ minmax, structure of release 4", "PTQ minmax, parent"]
    assert after.chosen is other.chosen and after.why == (kept.sentence, *other.why)
    assert after.attempts[0].reason.endswith("Next: another structure.")


def test_the_same_file_is_not_listed_twice(trial: Trial) -> None:
    kept = trial.tried(240, trial.deployed())
    other = climbed(trial.folder, trial.job.recipe, [KEPT], {(2, "PTQ minmax"): (240, 5_000), (2, "QAT"): (289, 5_000)})
    assert [tried.rung.title for tried in kept.after_it(other).attempts] == ["PTQ minmax", "QAT"]


def test_a_rung_that_does_not_take_it_asks_for_another_structure(trial: Trial) -> None:
    kept = trial.tried(288, trial.deployed(), refusing=("PTQ minmax",))
    assert kept.attempt is None
    assert kept.sentence == (
        "The structure was chosen anew, and not that of release 4: PTQ minmax is not for this model."
    )


def test_nothing_deployed_has_no_structure(trial: Trial) -> None:
    assert trial.tried(288, None).sentence == "The structure was chosen anew: nothing is deployed on tiny yet."


@pytest.mark.parametrize("record", [None, "{}"], ids=["none", "unreadable"])
def test_a_release_without_a_record_has_no_structure(trial: Trial, record: str | None) -> None:
    assert trial.tried(288, trial.deployed(record)).sentence == (
        "The structure was chosen anew: release 4 has no record of its structure that can be read."
    )


def test_a_ladder_without_the_rung_asks_for_another_structure(trial: Trial) -> None:
    record = ReleaseStructure.model_validate(RECORD | {"rung": {"kind": "dynamic"}})
    kept = trial.tried(288, trial.deployed(record.model_dump_json()))
    assert kept.sentence == (
        "The structure was chosen anew, and not that of release 4: the ladder has no rung `dynamic` for tiny any more."
    )


def test_an_onnx_upstream_keeps_its_structure_anyway(trial: Trial, file: Path) -> None:
    begun = replace(trial.context, parent=OnnxParent(file, "0" * 64))
    trials = GivenTrials(trial.job.recipe, trial.folder, {}, (), {}, None)
    kept = keep_structure.fn(begun, trials, trial.baseline, trial.deployed())
    assert (kept.attempt, kept.trajectory) == (None, None)
    assert kept.sentence == "The structure is the upstream's own, as an ONNX file is not pruned."
