"""The trajectory: when it stops, what it undoes, and by what it chooses."""

from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

import tasks.compression.prunable_units
import tasks.compression.trajectory
from deployments.answers import TaskName
from deployments.device import DeviceProfile
from deployments.recipe import Search
from deployments.rungs import Rung
from model_compression.pruning import Protected
from quality_gates.gates import NonInferiority
from quality_gates.policy import SliceCondition
from tasks.compression import Baseline, Snapshot, expected_file, measure_baseline, prune
from tasks.compression.floors import broken_floor
from tasks.compression.prunable_units import Prunable
from tasks.job import Job
from tasks.progress import Advance, told_to
from tasks.upstream import Context, resolve
from tasks.workspace import Workspace
from tests.tasks import tiny
from tests.tasks.builders import context


def started(job: Job) -> tuple[Context, Baseline]:
    begun = context(job, resolve.fn(job))
    return begun, measure_baseline.fn(begun)


def with_budgets(**budgets: float) -> DeviceProfile:
    return tiny.device(budgets=tiny.device().budgets.model_copy(update=budgets))


def settings(**changes: object) -> dict[str, Any]:
    """The recipe's way of pruning with fields replaced; no file is small enough, so that rounds end otherwise."""
    return {"prune": tiny.recipe().prune.model_copy(update=changes), "devices": (with_budgets(size_kb=0.1),)}


@pytest.mark.usefixtures("registered")
def test_it_ends_when_all_rounds_are_done(workspace: Workspace) -> None:
    job = tiny.job(workspace, **settings(max_rounds=1, round_to=1, accuracy_floor=1.0))
    trajectory = prune.fn(*started(job))
    assert (len(trajectory.snapshots), trajectory.undone, trajectory.stopped) == (2, (), "all 1 rounds are done")


@pytest.mark.usefixtures("registered")
def test_it_ends_when_every_measured_budget_holds(workspace: Workspace) -> None:
    job = tiny.job(workspace)
    trajectory = prune.fn(*started(job))
    assert trajectory.stopped == f"{trajectory.snapshots[-1].title} keeps every device's budgets"


@pytest.mark.usefixtures("registered")
def test_a_budget_that_is_missed_as_measured_asks_for_another_round(workspace: Workspace) -> None:
    slow = with_budgets(size_kb=1000, latency_p50_ms=1e-6)
    changed = settings(max_rounds=1, round_to=1, accuracy_floor=1.0) | {"devices": (slow,)}
    trajectory = prune.fn(*started(tiny.job(workspace, **changed)))
    assert (len(trajectory.snapshots), trajectory.stopped) == (2, "all 1 rounds are done")


@pytest.mark.parametrize(("objective", "rounds"), [("size_bytes", 1), ("accuracy", 0)])
@pytest.mark.usefixtures("registered")
def test_a_search_for_the_smallest_goes_on_below_the_budgets(workspace: Workspace, objective: str, rounds: int) -> None:
    search = Search.model_validate({"objective": objective, "files": 1, "trainings": 0})
    changed = settings(max_rounds=1, round_to=1, accuracy_floor=1.0) | {"devices": (with_budgets(size_kb=1000),)}
    trajectory = prune.fn(*started(tiny.job(workspace, search=search, **changed)))
    assert len(trajectory.snapshots) == 1 + rounds


@pytest.mark.parametrize(("furthest", "ratio"), [(1.02, 0.03), (1.1, 0.11), (3.0, 0.3), (0.9, 0.3)])
@pytest.mark.usefixtures("registered")
def test_a_round_is_as_large_as_what_is_missing(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, furthest: float, ratio: float
) -> None:
    asked = list[float]()

    def uses(context: Context, _: Snapshot) -> list[tuple[DeviceProfile, str, float]]:
        asked.append(furthest)
        return [(context.job.devices[0], "size_bytes", furthest)]

    monkeypatch.setattr(tasks.compression.trajectory, "_uses", uses)
    begun, baseline = started(tiny.job(workspace, **settings(ratio=0.3)))
    scaled = tasks.compression.trajectory._scaled(begun, baseline.snapshot, 0.3, "bytes")
    assert asked and scaled == pytest.approx(ratio, abs=0.005)


@pytest.mark.usefixtures("registered")
def test_the_last_round_does_not_go_far_below_a_budget_that_is_near(workspace: Workspace) -> None:
    begun, baseline = started(tiny.job(workspace, **settings()))
    whole = expected_file(begun.on(begun.job.devices[0]), baseline.snapshot).path.stat().st_size
    near = with_budgets(size_kb=0.99 * whole / 1000)
    pruning = settings(max_rounds=4, round_to=1, accuracy_floor=1.0, weigh_by="bytes", ratio=0.5)
    begun, baseline = started(tiny.job(workspace, **pruning | {"devices": (near,)}))
    trajectory = prune.fn(begun, baseline)
    assert "keeps every device's budgets" in trajectory.stopped
    assert all(step.ratio < 0.1 for step in trajectory.steps)
    last = expected_file(begun.on(near), trajectory.snapshots[-1]).path.stat().st_size
    assert 0.9 * whole < last <= 0.99 * whole


@pytest.mark.usefixtures("registered")
def test_a_bundle_that_fails_after_a_round_is_protected_and_named(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tried = list[int]()

    def failing(*given: Any) -> list[Protected]:
        tried.append(len(given))
        return [Protected("hidden", "it fails", "channels")]

    monkeypatch.setattr(tasks.compression.prunable_units, "failing_units", failing)
    changed = settings(max_rounds=2, round_to=1, accuracy_floor=1.0)
    trajectory = prune.fn(*started(tiny.job(workspace, **changed)))
    assert tried
    assert Protected("hidden", "it fails", "channels") in trajectory.protected
    assert "hidden stays as it is: it fails" in caplog.text


@pytest.mark.usefixtures("registered")
def test_a_round_that_breaks_a_floor_is_undone_and_tried_with_half_the_ratio(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    ratios: list[float] = []
    honest = tasks.compression.trajectory._round

    def watched(context: Context, last: Snapshot, prunable: Prunable, ratio: float, weigh_by: str) -> Snapshot:
        ratios.append(ratio)
        return honest(context, last, prunable, ratio, weigh_by)

    monkeypatch.setattr(tasks.compression.trajectory, "_round", watched)
    monkeypatch.setattr(tasks.compression.trajectory, "broken_floor", lambda *_: "it broke")
    trajectory = prune.fn(*started(tiny.job(workspace, **settings(ratio=0.4, round_to=1))))
    assert ratios == [0.4, 0.2]
    assert (len(trajectory.snapshots), len(trajectory.undone), trajectory.stopped) == (1, 2, "it broke")


@pytest.mark.usefixtures("registered")
def test_each_round_is_told_with_its_score_beside_the_floor(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks.compression.trajectory, "broken_floor", lambda *_: "it broke")
    begun, baseline = started(tiny.job(workspace, **settings(ratio=0.4, round_to=1, max_rounds=3, accuracy_floor=0.1)))
    heard: list[Advance] = []
    known = prune.fn(begun, baseline).steps
    with told_to(heard.append):  # the rounds are found in the store, and told all the same
        prune.fn(begun, baseline)
    lines = [line for told in heard if told.stage == "rounds" for line in told.lines]
    assert [line["ratio"] for line in lines] == [step.ratio for step in known] == [0.4, 0.2]
    assert {line["kept"] for line in lines} == {"no: it broke"}
    assert {line["floor"] for line in lines} == {baseline.snapshot.accuracy - 0.1}


@pytest.mark.usefixtures("registered")
def test_nothing_is_computed_again(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    job = tiny.job(workspace, **settings(max_rounds=2, round_to=1, accuracy_floor=1.0))
    first = prune.fn(*started(job))
    monkeypatch.setattr(tasks.compression.trajectory, "_compute", lambda *_: pytest.fail("a round was computed again"))
    assert prune.fn(*started(job)) == first


@pytest.mark.parametrize(
    ("importance", "weigh_by"),
    [("taylor", "bytes"), ("taylor", "memory"), ("taylor", "latency"), ("gradient", "binding"),
     ("magnitude", "channels")],
)  # fmt: skip
@pytest.mark.usefixtures("registered")
def test_every_criterion_and_resource_makes_it_smaller(workspace: Workspace, importance: str, weigh_by: str) -> None:
    changed = settings(max_rounds=1, round_to=1, accuracy_floor=1.0, weigh_by=weigh_by, importance=importance)
    whole, smaller = prune.fn(*started(tiny.job(workspace, **changed))).snapshots
    assert smaller.parameters < whole.parameters


class TestFloors:
    @pytest.fixture
    def snapshots(self, workspace: Workspace) -> tuple[Job, Snapshot, Snapshot]:
        """A parent that is always right, and one that takes every second `b` for a `c`."""
        gate = NonInferiority(
            name="b", metric="accuracy", against="parent", margin=0.3, confidence=0.9,
            slice=SliceCondition(column="label", equals="b"),
        )  # fmt: skip
        job = tiny.job(workspace, gates=(gate,))
        labels = job.splits["validation"].targets
        wrong = labels.copy()
        wrong[np.flatnonzero(labels == 1)[::2]] = 2
        made: list[Snapshot] = []
        for name, answers in (("right", labels), ("wrong", wrong)):
            path = workspace.home / f"{name}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, np.eye(3)[answers])
            accuracy = float((answers == labels).mean())
            made.append(Snapshot(len(made), name, None, 1, 1, accuracy, path, 0.0))
        return job, made[0], made[1]

    def test_a_critical_slice_has_the_margin_of_its_gate(self, snapshots: tuple[Job, Snapshot, Snapshot]) -> None:
        job, parent, after = snapshots
        loose = tiny.recipe().prune.model_copy(update={"accuracy_floor": 1.0})
        job = Job(job.model, job.version, job.recipe.model_copy(update={"prune": loose}), job.workload, job.splits,
                  job.workspace)  # fmt: skip
        assert "1.000 to 0.500 on the validation rows with label = b" in (broken_floor(job, parent, after) or "")
        assert broken_floor(job, parent, parent) is None

    def test_a_critical_class_has_the_margin_of_the_gate_on_its_recall(
        self, snapshots: tuple[Job, Snapshot, Snapshot]
    ) -> None:
        job, parent, after = snapshots
        loose = tiny.recipe().prune.model_copy(update={"accuracy_floor": 1.0})
        gates = [
            NonInferiority(name=str(of), metric="recall", of=of, against="parent", margin=0.3, confidence=0.9)
            for of in (9, 1)  # no row is of class 9
        ]
        recipe = job.recipe.model_copy(update={"prune": loose, "gates": tuple(gates)})
        job = Job(job.model, job.version, recipe, job.workload, job.splits, job.workspace)
        assert "1.000 to 0.500 on the validation rows with target = 1" in (broken_floor(job, parent, after) or "")

    def test_accuracy_has_the_recipes(self, snapshots: tuple[Job, Snapshot, Snapshot]) -> None:
        job, parent, after = snapshots
        assert "below the floor of 0.950" in (broken_floor(job, parent, after) or "")


class Errors(tiny.Blobs):
    """Values in place of classes."""

    task: TaskName = "regression"


class TestFloorsOfErrors:
    def of(self, workspace: Workspace, error: float, slice_margin: float) -> tuple[Job, Snapshot, Snapshot]:
        """A parent whose error is 10, and a snapshot with another one, in the unit of the targets."""
        gate = NonInferiority(
            name="b", metric="mae", against="parent", margin=slice_margin, confidence=0.9,
            slice=SliceCondition(column="label", equals="b"),
        )  # fmt: skip
        prune = tiny.recipe().prune.model_copy(update={"accuracy_floor": 0.1})
        job = tiny.job(workspace, workload=Errors(), gates=(gate,), prune=prune)
        labels, made = job.splits["validation"].targets, list[Snapshot]()
        for off in (10.0, error):
            path = workspace.home / f"{off}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, labels + off)
            made.append(Snapshot(len(made), str(off), None, 1, 1, job.mean_score(labels + off), path, 0.0))
        return job, made[0], made[1]

    def test_the_recipes_is_a_share_of_the_parents_error(self, workspace: Workspace) -> None:
        assert broken_floor(*self.of(workspace, 10.9, 5)) is None
        assert "below the floor of -11.000" in (broken_floor(*self.of(workspace, 11.1, 5)) or "")

    def test_a_critical_slice_has_the_margin_of_its_gate(self, workspace: Workspace) -> None:
        said = broken_floor(*self.of(workspace, 10.9, 0.5))
        assert "-10.000 to -10.900 on the validation rows with label = b" in (said or "")

    def test_answers_that_are_no_numbers_break_it(self, workspace: Workspace) -> None:
        job, parent, after = self.of(workspace, np.nan, 5)
        assert after.accuracy == -np.inf and broken_floor(job, parent, after) is not None


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    ("rungs", "kind"),
    [
        ([{"kind": "float"}], "float"),
        ([{"kind": "float"}, {"kind": "fp16"}], "fp16"),
        ([{"kind": "fp16"}, {"kind": "ptq", "calibration": "entropy"}], "ptq"),
    ],
    ids=["float", "half", "integers"],
)
def test_sizes_are_expected_by_the_rungs_of_the_ladder(
    workspace: Workspace, rungs: list[dict[str, Any]], kind: str
) -> None:
    device = tiny.device(precisions=("fp32", "fp16", "int8"))
    ladder = tuple(TypeAdapter(Rung).validate_python(rung) for rung in rungs)
    begun, baseline = started(tiny.job(workspace, ladder=ladder, devices=(device,)))
    found = expected_file(begun.on(device), baseline.snapshot).path
    assert found.parents[1].name == ("portable" if kind == "float" else kind)
    assert baseline.least_bytes(baseline.snapshot, ladder) <= found.stat().st_size
