"""MiniLM on R8 without heads, layers and unused tokens: accuracy lost and memory saved."""

from pathlib import Path

from deployments.device import DeviceProfile
from deployments.recipe import read_recipe
from edge_runtime.measurement import measure
from flows.demo.examples import examples, registered
from model_compression.pruning import removed_units, units_of
from tasks.compression import export_snapshot
from tasks.job import Job
from tasks.measurement import measure_on, request
from tasks.reporting import accuracy
from tasks.workspace import Workspace
from tests.benchmarks.frontier.ours import pruned
from tests.benchmarks.record import Figure
from tests.benchmarks.trajectory.cache import CACHE, console

NAME = "MiniLM on R8, FP32"
ROWS = 64  # memory does not depend on how many


def language() -> list[Figure]:
    """Prune as the recipe says and measure the parent's and the last snapshot's FP32 files on the recipe's device."""
    recipe = read_recipe(Path("reuters-r8"))
    workspace = Workspace.at(CACHE / "r8")
    context, baseline, trajectory = pruned(recipe, registered(examples()["r8"], workspace, console), workspace)
    job, parent = context.job, context.torch_parent
    last = trajectory.snapshots[-1]
    files = [export_snapshot(context, each).path for each in (baseline.snapshot, last)]
    before, after = (measure_on(context.on(recipe.devices[0]), file, "test") for file in files)
    whole, gone = units_of(parent.build(), parent.example, ("heads", "layers")), removed_units(last.history)
    left = units_of(last.load(parent), parent.example, ("heads", "layers"))
    console.print(f"{last.title}: {last.parameters:,} of {baseline.snapshot.parameters:,} parameters, removed {gone}")
    per_layer = whole.count("heads") / whole.count("layers")
    heads = 1 - left.count("heads") / (per_layer * left.count("layers"))
    lost = 100 * ((accuracy(before) or 0) - (accuracy(after) or 1))
    memory = [_memory_ratio(job, recipe.devices[0], files, batch) for batch in (1, recipe.devices[0].max_batch)]
    return [
        Figure(f"{NAME}: heads removed from the layers that stay", 100 * heads, 40, "%", "at_least"),
        Figure(f"{NAME}: layers removed", gone["layers"], 2, "", "at_least"),
        Figure(f"{NAME}: accuracy lost on test", lost, 1, "points", "at_most"),
        *(
            Figure(
                f"{NAME}: peak memory above a bare one's, {rows} at a time, to the parent's", ratio, 0.5, "x", "at_most"
            )
            for rows, ratio in memory
        ),
    ]


def _memory_ratio(job: Job, device: DeviceProfile, files: list[Path], batch: int) -> tuple[int, float]:
    """Rows at a time, and the pruned file's memory over the parent's."""
    rows = tuple(array[:ROWS] for array in job.splits["test"].inputs)
    whole, pruned = (
        measure(request(device, file, rows, batch_size=batch), device.measure.timeout_s).model_rss_mb for file in files
    )
    console.print(f"{batch} at a time, memory above a bare runtime's: parent {whole:.1f} MiB, pruned {pruned:.1f} MiB")
    return batch, pruned / whole
