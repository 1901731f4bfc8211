"""The estimate of a run: it counts by the recipe what is measured, and keeps nothing."""

import numpy as np
import pytest

from model_compression.training import fine_tune
from tasks.compression import CostEstimate, estimate_cost
from tasks.compression.cost_estimate import STEPS
from tasks.job import Job
from tasks.upstream import resolve
from tasks.workspace import Workspace
from tests.tasks import tiny


def estimated(job: Job) -> CostEstimate:
    return estimate_cost(job, resolve.fn(job))


@pytest.mark.usefixtures("registered")
def test_rounds_and_files_are_counted_by_the_recipe(workspace: Workspace) -> None:
    prune = tiny.recipe().prune.model_copy(update={"max_rounds": 5})
    job = tiny.job(workspace, prune=prune)
    found = estimated(job)
    times = {line.what: line.times for line in found.lines}
    (device,) = job.devices
    assert times["pruning rounds"] == 5
    assert times[f"measured files, {device.name}"] == 6 * len(job.recipe.rungs(device))
    assert found.seconds == pytest.approx(sum(line.times * line.seconds for line in found.lines))
    assert times[f"what each layer costs, {device.name}"] == 2
    without = estimated(tiny.job(workspace, prune=prune, layer_losses=False))
    assert not [line for line in without.lines if line.what.startswith("what each layer")]
    assert found.step_s is not None and 0 < found.step_s < 60 and 0 < found.row_s < 60


@pytest.mark.usefixtures("registered")
def test_a_round_costs_its_epochs_of_steps(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.compression.cost_estimate._step_seconds", lambda *_: 2.0)
    monkeypatch.setattr("tasks.compression.cost_estimate._seconds_a_row", lambda *_, **__: 0.0)
    once, twice = (_of_a_round(estimated(tiny.job(workspace, prune=_epochs(count)))) for count in (1, 2))
    job = tiny.job(workspace)
    batches = -(-len(job.splits["train"]) // job.recipe.prune.fine_tune.batch_size)
    assert (once, twice) == (2.0 * batches, 4.0 * batches)


def _of_a_round(found: CostEstimate) -> float:
    return next(line.seconds for line in found.lines if line.what == "pruning rounds")


def _epochs(count: int) -> object:
    prune = tiny.recipe().prune
    return prune.model_copy(update={"fine_tune": prune.fine_tune.model_copy(update={"epochs": count})})


@pytest.mark.usefixtures("registered")
def test_few_steps_are_taken_and_nothing_is_kept(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []

    def counting(model: object, inputs: tuple[np.ndarray, ...], *rest: object, **more: object) -> object:
        taken.append(len(inputs[0]))
        return fine_tune(model, inputs, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr("tasks.compression.cost_estimate.fine_tune", counting)
    job = tiny.job(workspace)
    parent = resolve.fn(job)
    before = {path.name for path in workspace.store.root.iterdir()}
    estimate_cost(job, parent)
    assert taken == [min(STEPS * job.recipe.prune.fine_tune.batch_size, len(job.splits["train"]))]
    assert {path.name for path in workspace.store.root.iterdir()} == before
