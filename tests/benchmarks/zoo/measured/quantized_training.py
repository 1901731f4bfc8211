"""QAT of one pruned architecture, an epoch long."""

import json
import logging
import warnings
from pathlib import Path

import torch

from edge_runtime.files import write_atomic
from model_compression.intake import input_specs, rebuild
from model_compression.pruning import load_snapshot
from model_compression.quantization import train_quantized
from tests.benchmarks.zoo.data import example_of, load
from tests.benchmarks.zoo.measured.files import PROGRAM, QAT, SNAPSHOT, TRAINED
from tests.benchmarks.zoo.measured.journal import Journal
from tests.benchmarks.zoo.measured.pipeline_steps import SETTINGS, scored_program, seen
from tests.benchmarks.zoo.models import ENTRIES


def main(name: str, folder: Path, code: str) -> None:
    """Train with fake quantization, and write what came of it."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    journal = Journal(folder / "qat-journal.json")
    with journal.step("qat") as found:
        data = load(ENTRIES[name].data)
        example, train = example_of(data.validation), data.train
        program = scored_program(folder / PROGRAM)
        model = load_snapshot(folder / SNAPSHOT, lambda: rebuild(program), example)
        names = [str(spec.name) for spec in input_specs(program)]
        train_quantized(
            model, example, data.calibration.inputs, train.inputs, train.targets, None, data.loss, SETTINGS,
            reduce_range=False, names=names, path=folder / QAT,
        )  # fmt: skip
        found.update(seen(folder / QAT, data))
    write_atomic(folder / TRAINED, json.dumps({"code": code, **journal.steps["qat"]}).encode())
