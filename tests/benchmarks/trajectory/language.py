"""MiniLM on R8 without heads, layers and unused tokens: what it costs in accuracy and brings in memory."""

from pathlib import Path

from deployments.recipe import read_recipe
from deployments.workload import load_workload, read_splits
from flows.demo.examples import examples, trained
from model_compression.pruning import removed_units
from model_compression.units import units_of
from tasks.baseline import measure_baseline
from tasks.errors import RegistryError
from tasks.export import export_snapshot
from tasks.intake import resolve
from tasks.job import Job
from tasks.measure import measure_on
from tasks.outcome import accuracy, resource
from tasks.prune import prune
from tasks.registry import Upstream, register_upstream
from tasks.workspace import Workspace
from tests.benchmarks.record import Figure
from tests.benchmarks.trajectory.cache import CACHE, console

NAME = "MiniLM on R8, FP32"


def language() -> list[Figure]:
    """Prune as the recipe says and measure the parent's and the last snapshot's FP32 files on the recipe's device."""
    recipe = read_recipe(Path("reuters-r8"))
    workload = load_workload(recipe.workload)
    workspace = Workspace.at(CACHE / "r8")
    job = Job(recipe.model, _registered(workspace), recipe, workload, read_splits(workload), workspace)
    parent = resolve.fn(job)
    baseline = measure_baseline.fn(job, parent)
    last = prune.fn(job, parent, baseline).snapshots[-1]
    before, after = (
        measure_on(job, parent, recipe.devices[0], export_snapshot(job, parent, each).path, "test")
        for each in (baseline.snapshot, last)
    )
    whole, gone = units_of(parent.build(), parent.example, ("heads", "layers")), removed_units(last.history)
    left = units_of(last.load(parent), parent.example, ("heads", "layers"))
    console.print(f"{last.title}: {last.parameters:,} of {baseline.snapshot.parameters:,} parameters, removed {gone}")
    per_layer = whole.count("heads") / whole.count("layers")
    heads = 1 - left.count("heads") / (per_layer * left.count("layers"))
    lost = 100 * ((accuracy(before) or 0) - (accuracy(after) or 1))
    memory = (resource(after, "peak_rss_mb") or float("nan")) / (resource(before, "peak_rss_mb") or float("nan"))
    return [
        Figure(f"{NAME}: heads removed from the layers that stay", 100 * heads, 40, "%", "at_least"),
        Figure(f"{NAME}: layers removed", gone["layers"], 2, "", "at_least"),
        Figure(f"{NAME}: accuracy lost on test", lost, 1, "points", "at_most"),
        Figure(f"{NAME}: peak memory above a bare runtime's, to the parent's", memory, 0.5, "x", "at_most"),
    ]


def _registered(workspace: Workspace) -> str:
    """The parent's version, trained and registered where it is not yet."""
    example = examples()["r8"]
    try:
        return Upstream(workspace.tracking_uri).versions(example.recipe)[-1]
    except RegistryError:
        workload = load_workload(read_recipe(Path(example.recipe)).workload)
        model = trained(example, workload, workspace.store, console)
        rows = tuple(array[:2] for array in workload.split("train").inputs)
        return register_upstream(workspace.tracking_uri, example.recipe, model, rows, {"epochs": example.epochs})
