"""A recipe's student distilled from its parent, against the same student trained on the labels alone."""

import statistics
from dataclasses import replace
from pathlib import Path

import numpy as np

from deployments.answers import reference_of
from deployments.recipe import Recipe, read_recipe
from deployments.user_code import code_digest
from deployments.workload import Workload, load_workload
from flows.demo.examples import Example, examples, trained
from model_compression.students import Architecture, Interface, build_student
from model_compression.training import fine_tune, predict, tensors
from tasks.workspace import Workspace
from tests.benchmarks.record import Figure
from tests.benchmarks.trajectory.cache import CACHE, STORE, console

SEEDS = (0, 1, 2)
CODE = ("model_compression.training", "model_compression.students")
ARCHITECTURES = {
    "mobilenet": Architecture("depthwise_cnn", 24, 1),
    "shuttle": Architecture("signal_net", 48, 1),
    "r8": Architecture("text_net", 256, 1),
}
"""The widest that the recipe's smallest device took when last measured: fixed, so that the figure is one everywhere."""


def student_lead(name: str) -> list[Figure]:
    """Mean accuracy on the test rows over the seeds, distilled minus alone, in points."""
    example = examples()[name]
    recipe = read_recipe(Path(example.recipe))
    workload = load_workload(recipe.workload)
    parent = _parent(name, example, workload)
    leads = []
    for seed in SEEDS:
        taught, alone = (_accuracy(name, recipe, workload, parent, seed, teaches) for teaches in (True, False))
        console.print(f"{recipe.name}, seed {seed}: taught {taught:.4f}, alone {alone:.4f}")
        leads.append(100 * (taught - alone))
    title = f"{recipe.name}: the taught student's lead over the same from scratch"
    return [Figure(title, statistics.mean(leads), 0, "points", "at_least")]


def _parent(name: str, example: Example, workload: Workload) -> Path:
    """The example's parent, trained as the upstream team does; returns the folder of its answers to the train rows."""
    store = Workspace.at(CACHE / name).store
    parent = trained(example, workload, store, console)

    def produce(folder: Path) -> float:
        train, test = workload.split("train"), workload.split("test")
        np.save(folder / "outputs.npy", predict(parent, train.inputs))
        return float(workload.score(predict(parent, test.inputs), test.targets).mean())

    weights = [weight.detach().double().sum().item() for weight in parent.parameters()]
    inputs = {"weights": weights, "workload": code_digest(workload, reference_of(workload))}
    stage = STORE.run(f"parent-{name}", inputs, (), produce)
    console.print(f"{name}: the parent has {stage.value:.4f}")
    return stage.folder


def _accuracy(name: str, recipe: Recipe, workload: Workload, parent: Path, seed: int, taught: bool) -> float:
    assert recipe.distil is not None, f"{name}: expected a recipe with a student"
    settings = replace(recipe.distil.fine_tune.settings(), seed=seed)

    def produce(_: Path) -> float:
        train, test = workload.split("train"), workload.split("test")
        example = tensors(tuple(rows[:2] for rows in train.inputs))
        interface = Interface.of(examples()[name].network(), example)
        student = build_student(ARCHITECTURES[name], interface, seed)
        teacher = np.load(parent / "outputs.npy") if taught else None
        fine_tune(student, train.inputs, train.targets, teacher, workload.loss, settings)
        return float(workload.score(predict(student, test.inputs), test.targets).mean())

    inputs = {
        "parent": parent.name,
        "architecture": str(ARCHITECTURES[name]),
        "settings": repr(settings),
        "taught": taught,
    }
    kept: float = STORE.run(f"student-{name}", inputs, CODE, produce).value
    return kept
