"""The cost of a fine-tuning step with distillation, over that of a bare torch loop with the same teacher."""

import copy
import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from flows.demo.example_networks import resnet
from model_compression.training import FineTuning, fine_tune, predict, soft_label_loss, tensors
from tests.benchmarks.record import Figure

STEPS = 30
REPEATS = 5


def distilling_step() -> list[Figure]:
    """Median processor time of both, taken in turn."""
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
    return [Figure("a distilling step, to a bare loop with the same teacher", ratio, 1.25, "x", "at_most")]


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
