"""`make bench-trajectory`: what pruning, fine-tuning and distillation cost and bring.

Ratios of both sides in one run, on real rows. Not measured here yet: pruning against torch-pruning's own pruner on
Fashion-MNIST, and a language model's heads and layers.
"""

import copy
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from rich.console import Console
from rich.markdown import Markdown
from torch import nn

from deployments.recipe import Recipe, read_recipe
from deployments.workload import load_workload, read_splits
from flows.demo import upstream
from flows.demo.networks import resnet, telemetry_network
from model_compression.distillation import soft_label_loss
from model_compression.students import Architecture, Interface, build_student
from model_compression.training import FineTuning, fine_tune, predict, tensors
from tasks.baseline import measure_baseline
from tasks.intake import resolve
from tasks.job import Job
from tasks.prune import prune
from tasks.registry import register_upstream
from tasks.workspace import Workspace
from tests.benchmarks.record import Figure, record

PROFILES = 5
STEPS = 30
REPEATS = 5
SEEDS = (0, 1, 2)
console = Console()


def main() -> None:
    """Measure all figures and record them."""
    figures = [five_devices(), distilling_step(), *students()]
    table = record("trajectory", "make bench-trajectory", figures, NOTES)
    console.print(Markdown(table))


NOTES = """The first: processor time of one pruning trajectory with its fine-tuning for five device profiles over that
for the hardest of them, on the demo's digits, each in an empty stage store. The second: median processor time of a step
of 64 images of the 78,000-parameter ResNet over a bare torch loop that asks the same teacher in every step. The rest:
mean accuracy on the test rows over three seeds, the student that the recipe makes taught by the parent, minus the same
student trained on the ground truth alone with the same rows, steps and schedule."""


def five_devices() -> Figure:
    """One trajectory for five profiles against one for the hardest of them."""
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
        seconds = [
            _trajectory_seconds(Path(folder) / name, recipe.model_copy(update={"devices": devices}))
            for name, devices in (("one", (hardest,)), ("five", (hardest, *easier)))
        ]
    return Figure(
        "a trajectory for 5 device profiles, to one for the hardest", seconds[1] / seconds[0], 1.3, "x", "at_most"
    )


def _trajectory_seconds(home: Path, recipe: Recipe) -> float:
    workspace = Workspace.at(home)
    workload = load_workload(recipe.workload)
    model = upstream.train(upstream.VERSIONS["1"], lambda *_: None)
    version = register_upstream(workspace.tracking_uri, recipe.model, model, workload.split("train").inputs[0][:2], {})
    job = Job(recipe.model, version, recipe, workload, read_splits(workload), workspace)
    parent = resolve.fn(job)
    baseline = measure_baseline.fn(job, parent)
    start = time.process_time()
    prune.fn(job, parent, baseline)
    return time.process_time() - start


def distilling_step() -> Figure:
    """A step of fine-tuning with distillation against the bare loop with the same teacher."""
    torch.manual_seed(0)
    images = np.random.default_rng(0).random((64 * STEPS, 1, 28, 28), dtype=np.float32)
    labels = np.arange(len(images)) % 10
    teacher = resnet().eval()
    settings = FineTuning(1, 64, 1e-3, 1e-4, temperature=4, distillation_weight=0.7, seed=0, device="cpu")
    ours, bare = [], []
    answers = predict(teacher, (images,))  # once, as the pipeline does, and not a part of any step
    for _ in range(REPEATS):
        student = resnet()
        bare.append(_seconds(partial(_bare_loop, copy.deepcopy(student), teacher, images, labels, settings)))
        ours.append(
            _seconds(partial(fine_tune, copy.deepcopy(student), (images,), labels, answers, F.cross_entropy, settings))
        )
    ratio = statistics.median(ours) / statistics.median(bare)
    return Figure("a distilling step, to a bare loop with the same teacher", ratio, 1.25, "x", "at_most")


def _bare_loop(
    student: nn.Module, teacher: nn.Module, images: np.ndarray, labels: np.ndarray, settings: FineTuning
) -> None:
    rows, targets = tensors((images, labels))
    optimizer = torch.optim.AdamW(student.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    student.train()
    for batch in torch.randperm(len(rows)).split(settings.batch_size):
        with torch.no_grad():
            soft = teacher(rows[batch])
        outputs = student(rows[batch])
        share = settings.distillation_weight
        loss = share * soft_label_loss(outputs, soft, settings.temperature)
        loss = loss + (1 - share) * F.cross_entropy(outputs, targets[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def _seconds(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def students() -> list[Figure]:
    """The student of each recipe that ships one, taught by the parent, against the same trained from scratch."""
    return [_student_gain("shuttle", telemetry_network, epochs=12, architecture=Architecture("signal_net", 48, 1))]


def _student_gain(name: str, network: Callable[[], nn.Module], epochs: int, architecture: Architecture) -> Figure:
    recipe = read_recipe(Path(name))
    workload = load_workload(recipe.workload)
    train, test = workload.split("train"), workload.split("test")
    torch.manual_seed(0)
    parent = network()
    fine_tune(parent, train.inputs, train.targets, None, workload.loss, FineTuning(epochs, 128, 4e-3, 1e-3, 1, 0, 0))
    teacher = predict(parent, train.inputs)
    interface = Interface.of(parent, tensors(tuple(rows[:2] for rows in train.inputs)))
    assert recipe.distil is not None, f"{name}: expected a recipe with a student"
    accuracies: dict[bool, list[float]] = {True: [], False: []}
    for seed in SEEDS:
        settings = replace(recipe.distil.fine_tune.settings(), seed=seed)
        for taught in accuracies:
            student = build_student(architecture, interface, seed)
            answers = teacher if taught else None
            fine_tune(student, train.inputs, train.targets, answers, workload.loss, settings)
            accuracies[taught].append(float(workload.score(predict(student, test.inputs), test.targets).mean()))
        console.print(f"{name}, seed {seed}: taught {accuracies[True][-1]:.4f}, alone {accuracies[False][-1]:.4f}")
    gain = statistics.mean(accuracies[True]) - statistics.mean(accuracies[False])
    return Figure(f"{name}: the taught student's lead over the same from scratch", 100 * gain, 0, "points", "at_least")


if __name__ == "__main__":
    main()
