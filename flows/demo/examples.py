"""`make fashion`, `make mobilenet`, `make shuttle`: the whole way for other models and other data than the demo's."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from torch import nn

from edge_runtime.errors import EdgewrightError
from flows.environment import prepare


@dataclass(frozen=True)
class Example:
    """A shipped recipe, whose model has the recipe's name, and how the upstream team makes that model."""

    recipe: str
    network: Callable[[], nn.Module]
    epochs: int
    learning_rate: float


def examples() -> dict[str, Example]:
    """All examples by the names of their commands."""
    from flows.demo.networks import mobilenet, resnet, telemetry_network

    return {
        "fashion": Example("fashion-mnist", resnet, 4, 4e-3),
        "mobilenet": Example("fashion-mobilenet", mobilenet, 4, 4e-3),
        "shuttle": Example("shuttle", telemetry_network, 12, 4e-3),
    }


def run(example: Example, home: Path, console: Console) -> None:
    """Train and register the parent where the registry has none yet, then let the pipeline answer it."""
    from flows.console import outcome_table, show_progress
    from flows.reconcile import reconcile
    from tasks.workspace import Workspace

    show_progress(console)
    workspace = Workspace.at(home)
    _register_once(example, workspace.tracking_uri, console)
    outcomes = reconcile([example.recipe], workspace)
    console.print(outcome_table(outcomes) if outcomes else "The registered version has its answer already.")
    console.print(f"The reports: make ui DEMO={home}")


def _register_once(example: Example, tracking_uri: str, console: Console) -> None:
    import torch

    from deployments.recipe import read_recipe
    from deployments.workload import load_workload
    from model_compression.training import FineTuning, fine_tune
    from tasks.errors import RegistryError
    from tasks.progress import steps
    from tasks.registry import Upstream, register_upstream

    recipe = read_recipe(Path(example.recipe))
    try:
        if Upstream(tracking_uri).versions(recipe.model):
            return
    except RegistryError:
        pass
    workload = load_workload(recipe.workload)
    train = workload.split("train")
    settings = FineTuning(
        example.epochs, 128, example.learning_rate, 1e-3, temperature=1, distillation_weight=0, seed=0
    )
    torch.manual_seed(0)
    model = example.network()
    console.print(f"upstream: training {example.epochs} epochs on {len(train):,} rows")
    with steps("upstream trains") as progress:
        fine_tune(model, train.inputs, train.targets, None, workload.loss, settings, progress)
    register_upstream(tracking_uri, recipe.model, model, train.inputs[0][:2], {"epochs": example.epochs})


if __name__ == "__main__":
    name = sys.argv[1]
    place = Path(".edgewright") / name
    prepare(place)
    try:
        run(examples()[name], place, Console())
    except EdgewrightError as error:
        sys.exit(str(error))
