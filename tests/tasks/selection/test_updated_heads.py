"""New heads on the deployed backbone: taken where all gates hold, else the former ones, else the family as a whole."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from deployments.device import Budgets
from deployments.recipe import read_recipe
from deployments.rungs import Rung
from deployments.yaml_file import stated
from model_compression.errors import FamilyError
from quality_gates.evidence import ModelEvidence
from quality_gates.verdict import GateResult, Verdict
from tasks.compression import Baseline, ModelFile, ReleaseStructure, Snapshot, UpdatedFamily
from tasks.errors import SystemFailure
from tasks.families import FamilyRecord, RecordedMember
from tasks.job import Job
from tasks.registry import EdgeVersion, Lineage
from tasks.selection import Attempt, KeptStructure, Model
from tasks.selection import updated_heads as module
from tasks.selection.updated_heads import update_heads
from tasks.store import digest_of
from tasks.upstream import DeviceContext
from tasks.workspace import Workspace
from tests.end_to_end.tiny.family import FAMILY, write_family
from tests.tasks import tiny
from tests.tasks.builders import on

LINEAGE = Lineage("1", FAMILY, "family", "0" * 64, "key")
RELEASE = EdgeVersion(f"{FAMILY}-family", "4", LINEAGE, "0" * 64, 4, passed=True)
PTQ = {"kind": "ptq", "calibration": "minmax"}
BOTH = ("digit", "odd")
ACCURACY = {task: f"{task}: accuracy" for task in BOTH}


@dataclass
class GivenAttempts:
    """Attempts by the tasks that have a new head; each misses the gates that are given for it."""

    folder: Path
    missing: Mapping[tuple[str, ...], tuple[str, ...]]
    tried: list[tuple[str, ...]] = field(default_factory=list)

    def attempt(self, model: Model, rung: Rung) -> Attempt:
        assert isinstance(model, UpdatedFamily)
        new = (*model.new, "alike") if model.alike else model.new
        self.tried.append(new)
        missed, path = self.missing[new], self.folder / f"{len(self.tried)}.onnx"
        path.write_bytes(b"00")  # as much as a graph must be
        gates = [
            GateResult(name=name, kind="limit", outcome="fail" if name in missed else "pass", blocking=name in missed,
                       metric="accuracy", sentence=f"{name}.")
            for name in (*ACCURACY.values(), "size")
        ]  # fmt: skip
        verdict = Verdict.of(tuple(gates))
        measured = ModelEvidence(None, None)
        return Attempt(model, rung, ModelFile(path, path.name, 0.5), measured, verdict, verdict.headline)


class Trial:
    """Version 2 of a family whose release 4 was made of version 1 of its members."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.monkeypatch = folder, monkeypatch
        recipe = read_recipe(Path(write_family(folder)))
        self.context: DeviceContext = on(
            Job(FAMILY, "2", recipe, tiny.Blobs(), {}, Workspace.at(folder, "sqlite://no"))
        )
        self.versions = {"digit": "1", "odd": "2"}
        self.parts: dict[str, Any] = {"heads": {name: f"{name} 1" for name in BOTH}, "backbone": "b"}
        self.structure: dict[str, Any] = {}
        self.may_lose = False
        monkeypatch.setattr(module, "released_structure", lambda *_: self.released())
        monkeypatch.setattr(module, "members_of", lambda *_: self.record())
        monkeypatch.setattr(module, "released_program", lambda *_: folder / "program.pt2")
        monkeypatch.setattr(module, "release_file", lambda *_: folder / "model.onnx")
        monkeypatch.setattr(module, "update_family", self.updated)
        monkeypatch.setattr(module, "may_lose_alike", lambda *_: self.may_lose)

    def released(self) -> ReleaseStructure:
        profile = digest_of(stated(read_recipe(self.folder / "recipes" / "family.yaml").devices[0]))
        parts = {"profile": profile, "program": "0" * 64, **self.parts}
        bounds = {"units": ["channels"], "round_to": 4}
        record = {"parent": {"shapes": {}, "graph": ""}, "rung": PTQ, "shapes": {}, "bounds": bounds, "family": parts}
        return ReleaseStructure.model_validate({**record, **self.structure})

    def record(self) -> FamilyRecord | None:
        members = tuple(
            RecordedMember(name, f"digit-{name}", version, f"{name} {version}", (2,))
            for name, version in self.versions.items()
        )
        return FamilyRecord(members, None, "b")

    def updated(
        self, _: object, family: Any, origins: Mapping[str, str], new: tuple[str, ...], *, alike: bool = False
    ) -> UpdatedFamily:
        assert family.release == 4 and origins == {name: f"{name} {each}" for name, each in self.versions.items()}
        return UpdatedFamily(
            1, f"{new}", self.folder, 1, 1, 0.9, self.folder / "outputs.npy", 0.0, 4, new=tuple(new), alike=alike,
            origins=origins,
        )  # fmt: skip

    def tried(
        self, missing: Mapping[tuple[str, ...], tuple[str, ...]], release: EdgeVersion | None = RELEASE
    ) -> KeptStructure:
        self.attempts = GivenAttempts(self.folder, missing)
        baseline = Baseline(Snapshot.original("0" * 64, 1, 1, 0.9, self.folder), self.folder, 0)
        return update_heads(self.context, self.attempts, baseline, release)  # type: ignore[arg-type]


@pytest.fixture
def trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trial:
    return Trial(tmp_path, monkeypatch)


def test_a_new_head_that_holds_is_taken(trial: Trial) -> None:
    kept = trial.tried({("odd",): ()})
    assert kept.sentence == (
        "Only the head of odd is new: the backbone and the other heads are those of release 4, byte for byte. "
        "PTQ minmax holds every gate on validation."
    )
    assert kept.attempt is not None and kept.trajectory is not None and kept.trajectory.release == 4
    found = kept.climb(kept.attempt)
    assert found.held and found.why[0] == kept.sentence
    assert found.chosen.title == "PTQ minmax, release 4 with the new head of odd"


def test_a_new_head_that_misses_its_gate_gives_way_to_the_former_one(trial: Trial) -> None:
    kept = trial.tried({("odd",): (ACCURACY["odd"],), (): ()})
    assert trial.attempts.tried == [("odd",), ()]
    assert kept.sentence == (
        "The former head of odd, of release 4, stays, as with the new one PTQ minmax misses odd: accuracy on "
        "validation. Every gate holds there with the former one."
    )
    assert kept.attempt is not None and kept.attempt.title == "PTQ minmax, release 4 as it is"
    found = kept.climb(kept.attempt)
    assert found.held and [each.title for each in found.attempts] == [
        "PTQ minmax, release 4 with the new head of odd", "PTQ minmax, release 4 as it is",
    ]  # fmt: skip
    assert found.attempts[0].reason.endswith("Next: the former head of odd.")


def test_a_good_new_head_beside_a_bad_one_is_taken(trial: Trial) -> None:
    trial.versions["digit"] = "3"
    kept = trial.tried({BOTH: (ACCURACY["odd"],), ("digit",): ()})
    assert kept.sentence.startswith(
        "Only the head of digit is new: the backbone and the other heads are those of release 4, byte for byte. "
        "The former head of odd, of release 4, stays, as"
    )
    assert kept.attempt is not None and kept.attempt.verdict.passed


def test_what_the_whole_file_misses_is_tried_without_any_new_head(trial: Trial) -> None:
    trial.versions["digit"] = "3"
    kept = trial.tried({BOTH: ("size",), (): ()})
    assert trial.attempts.tried == [BOTH, ()]
    assert kept.sentence == (
        "The former heads of digit and odd, of release 4, stay, as with the new ones PTQ minmax misses size on "
        "validation. Every gate holds there with the former ones."
    )


def test_a_head_that_is_too_large_loses_what_the_former_one_lost(trial: Trial) -> None:
    trial.may_lose = True
    kept = trial.tried({("odd",): ("size",), ("odd", "alike"): ()})
    assert trial.attempts.tried == [("odd",), ("odd", "alike")]
    assert kept.sentence == (
        "Only the head of odd is new: the backbone and the other heads are those of release 4, byte for byte. It lost "
        "what the former one lost, as PTQ minmax misses size on validation otherwise. With that, every gate holds."
    )
    assert kept.attempt is not None
    assert kept.attempt.title == "PTQ minmax, release 4 with the new head of odd, as small as before"


def test_one_that_is_too_large_all_the_same_gives_way_to_the_former_one(trial: Trial) -> None:
    trial.may_lose = True
    kept = trial.tried({("odd",): ("size",), ("odd", "alike"): ("size",), (): ()})
    assert kept.sentence.startswith("The former head of odd, of release 4, stays, as")


def test_where_the_former_head_fails_too_the_gates_refuse_the_version(trial: Trial) -> None:
    kept = trial.tried({("odd",): (ACCURACY["odd"], "size"), (): (ACCURACY["odd"],)})
    assert kept.sentence == (
        "The new head of odd is refused, and so is the former one: PTQ minmax misses odd: accuracy, size on "
        "validation with the new one, and odd: accuracy with the former one."
    )
    assert kept.attempt is not None and kept.trajectory is not None
    found = kept.climb(kept.attempt)
    assert not found.held and found.chosen.title == "PTQ minmax, release 4 as it is" and len(found.attempts) == 2


def test_another_task_that_fails_asks_for_the_whole_family(trial: Trial) -> None:
    kept = trial.tried({("odd",): (ACCURACY["digit"],)})
    assert kept.trajectory is None and kept.attempt is not None
    assert kept.sentence == (
        "The whole family was compressed: with the backbone of release 4, PTQ minmax misses digit: accuracy on "
        "validation, which a new head of odd does not change."
    )


CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "backbone": ({"parts": {"backbone": "other"}}, "version 2 has another backbone than release 4"),
    "members": (
        {"parts": {"heads": {"digit": "digit 1"}}}, "release 4 has the members digit, and version 2 has digit, odd",
    ),
    "nothing": ({"versions": {"odd": "1"}}, "no member has another version than in release 4"),
    "bounds": ({"structure": {"bounds": {"units": ["channels"]}}}, "the recipe's `round_to` of `prune` changed"),
    "profile": ({"parts": {"profile": "other"}}, "the profile of family changed since release 4"),
    "rung": ({"structure": {"rung": {"kind": "dynamic"}}}, "the ladder has no rung `dynamic` for family any more"),
    "record": ({"structure": {"family": None}}, "release 4 has no record of its members that can be read"),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_more_than_heads_asks_for_the_whole_family(trial: Trial, change: str) -> None:
    changed, why = CHANGES[change]
    for name, values in changed.items():
        getattr(trial, name).update(values)
    kept = trial.tried({})
    assert (kept.attempt, kept.trajectory) == (None, None) and trial.attempts.tried == []
    assert kept.sentence == f"The whole family was compressed: {why}."


def test_the_first_release_is_of_the_whole_family(trial: Trial) -> None:
    assert trial.tried({}, None).sentence == ("The whole family was compressed: nothing is deployed on family yet.")


def test_a_version_that_nobody_composed_is_compressed_whole(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "members_of", lambda *_: None)
    assert trial.tried({}).sentence.endswith("version 2 was not made by `edgewright family compose`.")


def test_a_release_whose_model_or_file_is_gone_is_no_start(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object) -> Path:
        raise SystemFailure("no such file")

    monkeypatch.setattr(module, "release_file", gone)
    assert trial.tried({}).sentence.endswith("the file of release 4 is not there (no such file).")
    monkeypatch.setattr(module, "released_program", lambda *_: None)
    assert trial.tried({}).sentence.endswith("the float model of release 4 is not there.")


def test_a_head_that_does_not_fit_the_backbone_asks_for_the_whole_family(
    trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise FamilyError("expected the new head of `odd` to do without the features")

    monkeypatch.setattr(module, "update_family", refused)
    assert trial.tried({}).sentence == (
        "The whole family was compressed: expected the new head of `odd` to do without the features."
    )


def test_a_profile_with_other_budgets_is_another_one(trial: Trial) -> None:
    profile = trial.context.device
    other = profile.model_copy(update={"budgets": Budgets(size_kb=1)})
    trial.context = replace(trial.context, device=other)
    assert trial.tried({}).sentence.endswith("the profile of family changed since release 4.")
