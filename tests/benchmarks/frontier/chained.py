"""torch-pruning chained by hand with ONNX Runtime's quantizer: as many steps, the same teacher, the same parameters."""

import copy
from pathlib import Path

import numpy as np
import torch
from torch import nn

from model_compression.onnx_files import export_onnx
from model_compression.pruning import parameters
from model_compression.training import FineTuning, fine_tune, predict
from tests.benchmarks.frontier.ours import Ours
from tests.benchmarks.trajectory.cache import STORE, console
from tests.benchmarks.trajectory.cuts import CALIBRATION_ROWS, TheirsGlobal

FILE = "pruned.onnx"
CODE = ("model_compression.training", "tests.benchmarks.trajectory.cuts", "tests.benchmarks.frontier.chained")


def chained(model: nn.Module, ours: Ours, sizes: list[int], extra: FineTuning | None) -> Path:
    """The float file after rounds to the given numbers of parameters, each with our fine-tuning, then `extra`."""
    train = ours.job.splits["train"]
    settings = ours.job.recipe.prune.fine_tune.settings()

    def produce(folder: Path) -> list[int]:
        smaller, answers, reached = copy.deepcopy(model), predict(model, train.inputs), []
        chosen = np.random.default_rng(0).choice(len(train), CALIBRATION_ROWS, replace=False)
        cutter = TheirsGlobal(smaller, (train.inputs[0][chosen],), train.targets[chosen])
        for size in sizes:
            cutter.cut(size)
            fine_tune(smaller, train.inputs, train.targets, answers, ours.job.workload.loss, settings)
            reached.append(parameters(smaller))
            console.print(f"torch-pruning: {reached[-1]:,} parameters")
        if extra is not None:
            fine_tune(smaller, train.inputs, train.targets, answers, ours.job.workload.loss, extra)
        example = (torch.from_numpy(train.inputs[0][:2]),)
        export_onnx(smaller, example, ("input",), folder / FILE)
        return reached

    inputs = {"sizes": sizes, "settings": repr(settings), "extra": repr(extra), "parent": ours.parent.digest}
    return STORE.run("chained", inputs, CODE, produce).folder / FILE
