"""The cost of one trajectory for five device profiles, over that for the hardest of them."""

import os
import tempfile
from pathlib import Path

from deployments.recipe import Recipe, read_recipe
from deployments.workload import load_workload, read_splits
from flows.demo import story
from tasks.compression import measure_baseline, prune
from tasks.job import Job
from tasks.registry import register_upstream
from tasks.reporting import open_run
from tasks.upstream import Context, resolve
from tasks.workspace import Workspace
from tests.benchmarks.record import Figure

PROFILES = 5


def five_devices() -> list[Figure]:
    """Processor time of both, each in an empty stage store, in one run."""
    recipe = read_recipe(Path("digits"))
    hardest = min(recipe.devices, key=lambda device: device.budgets.size_bytes)
    easier = [
        hardest.model_copy(
            update={
                "name": f"easier-{index}",
                "budgets": hardest.budgets.model_copy(update={"size_kb": 60 + 20 * index}),
            }
        )
        for index in range(1, PROFILES)
    ]
    with tempfile.TemporaryDirectory() as folder:
        one, five = (
            _seconds(Path(folder) / name, recipe.model_copy(update={"devices": devices}))
            for name, devices in (("one", (hardest,)), ("five", (hardest, *easier)))
        )
    return [Figure("a trajectory for 5 device profiles, to one for the hardest", five / one, 1.3, "x", "at_most")]


def _seconds(home: Path, recipe: Recipe) -> float:
    workspace = Workspace.at(home)
    workload = load_workload(recipe.workload)
    model = story.train(story.VERSIONS["1"], lambda *_: None)
    version = register_upstream(workspace.tracking_uri, recipe.model, model, workload.split("train").inputs[0][:2], {})
    job = Job(recipe.model, version, recipe, workload, read_splits(workload), workspace)
    context = Context(job, resolve.fn(job), *open_run(job))
    baseline = measure_baseline.fn(context)
    start = sum(os.times()[:4])  # with the processes that measure
    prune.fn(context, baseline)
    return sum(os.times()[:4]) - start
