"""The shipped examples, each with a command of the Makefile: the pipeline on other models and data than the demo's."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich.console import Console
from torch import nn

from flows.environment import prepare
from flows.exit_codes import ending_of
from flows.prefect_api import start_prefect

if TYPE_CHECKING:  # mlflow and prefect read the environment, which prepare() sets, when they are imported
    from deployments.workload import Workload
    from tasks.store import StageStore
    from tasks.workspace import Workspace

WEIGHTS = "weights.safetensors"


@dataclass(frozen=True)
class Example:
    """A shipped recipe and the upstream training of its model, which has the recipe's name."""

    recipe: str
    network: Callable[[], nn.Module]
    epochs: int
    learning_rate: float
    batch_size: int = 128
    weight_decay: float = 1e-3
    precision: Literal["auto", "bfloat16"] = "auto"
    seed: int = 0


def examples() -> dict[str, Example]:
    """Return all examples by the names of their commands."""
    from flows.demo.example_networks import (
        cell_detector,
        lstm,
        minilm,
        mobilenet,
        resnet,
        small_unet,
        table_network,
        telemetry_network,
    )  # fmt: skip

    return {
        "fashion": Example("fashion-mnist", resnet, 4, 4e-3),
        "mobilenet": Example("fashion-mobilenet", mobilenet, 8, 4e-3),
        "shuttle": Example("shuttle", telemetry_network, 12, 4e-3),
        "exercises": Example("exercises", lstm, 20, 4e-3, batch_size=64, weight_decay=1e-2),
        "diabetes": Example("diabetes", table_network, 60, 3e-3, batch_size=32),
        "nuclei": Example("nuclei", small_unet, 25, 3e-3, batch_size=32),
        "nuclei-boxes": Example("nuclei-boxes", cell_detector, 30, 3e-3, batch_size=32),
        "r8": Example("reuters-r8", minilm, 2, 2e-4, batch_size=16, weight_decay=1e-2, precision="bfloat16"),
    }


def run(example: Example, home: Path, console: Console) -> None:
    """Train and register the parent where the registry has none, then let the pipeline answer it."""
    from flows.console import outcome_table, show_progress
    from flows.reconcile import reconcile
    from tasks.workspace import Workspace

    show_progress(console)
    workspace = Workspace.at(home)
    registered(example, workspace, console)
    outcomes = reconcile([example.recipe], workspace)
    console.print(outcome_table(outcomes) if outcomes else "The registered version has its answer already.")
    console.print(f"The reports: make ui DEMO={home}")


def registered(example: Example, workspace: "Workspace", console: Console) -> str:
    """Return the last version of the example's model; train and register it where the registry has none."""
    from deployments.recipe import read_recipe
    from tasks.errors import RegistryError
    from tasks.registry import Upstream, register_upstream

    recipe = read_recipe(Path(example.recipe))
    try:
        return Upstream(workspace.tracking_uri).versions(recipe.model)[-1]
    except RegistryError:
        pass
    workload = recipe.load_workload()
    model = trained(example, workload, workspace.store, console)
    rows = tuple(array[:2] for array in workload.split("train").inputs)
    return register_upstream(workspace.tracking_uri, recipe.model, model, rows, {"epochs": example.epochs})


def trained(example: Example, workload: "Workload", store: "StageStore", console: Console) -> nn.Module:
    """Train the upstream model, or read it from the store where it was trained before; in evaluation mode."""
    import torch
    from safetensors.torch import load_model, save_model

    from deployments.answers import reference_of
    from deployments.user_code import code_digest
    from model_compression.training import FineTuning, fine_tune
    from tasks.progress import steps

    train = workload.split("train")
    settings = FineTuning(
        example.epochs, example.batch_size, example.learning_rate, example.weight_decay, temperature=1,
        distillation_weight=0, seed=example.seed, precision=example.precision,
    )  # fmt: skip
    torch.manual_seed(example.seed)
    model = example.network()

    augment = workload.augment if workload.augments else None

    def produce(folder: Path) -> dict[str, float]:
        console.print(f"upstream: training {example.epochs} epochs on {len(train):,} rows")
        with steps("upstream trains") as progress:
            ended = fine_tune(
                model, train.inputs, train.targets, None, workload.loss, settings, progress, augment=augment
            )
        save_model(model, str(folder / WEIGHTS))
        return {"loss": ended.loss}

    inputs = {
        "recipe": example.recipe,
        "network": example.network.__name__,
        "settings": repr(settings),
        "train": train.digest,
        "workload": code_digest(workload, reference_of(workload)),
    }
    stage = store.run("upstream", inputs, ("flows.demo.example_networks", "model_compression.training"), produce)
    load_model(model, stage.folder / WEIGHTS)
    return model.eval()


if __name__ == "__main__":
    name = sys.argv[1]
    place = Path(".edgewright") / name
    prepare(place)
    ready = start_prefect()
    try:
        ready()
        run(examples()[name], place, Console())
    except Exception as error:
        code, sentence = ending_of(error, place)
        Console(stderr=True).print(f"error: {sentence}", markup=False, soft_wrap=True)
        sys.exit(code)
