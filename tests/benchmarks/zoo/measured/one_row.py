"""One architecture through the pipeline's steps and the peers: `python -m ...one_row NAME FOLDER`, to look into one."""

import logging
import resource
import sys
import warnings
from pathlib import Path

import torch

from tests.benchmarks.zoo.data import load
from tests.benchmarks.zoo.measured.files import FLOAT, JOURNAL
from tests.benchmarks.zoo.measured.journal import Journal
from tests.benchmarks.zoo.measured.pipeline_steps import ASKED, Ours, settled
from tests.benchmarks.zoo.measured.tools_alone import quantize_static_alone, torch_pruning_alone, untouched
from tests.benchmarks.zoo.models import ENTRIES

MEMORY_BYTES = 16 << 30


def main(name: str, folder: Path, _: str) -> None:
    """Take an architecture through all steps; what went wrong is in its journal."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    folder.mkdir(parents=True, exist_ok=True)
    journal, entry = Journal(folder / JOURNAL), ENTRIES[name]
    with journal.step("settle") as found:
        data = load(entry.data)
        torch.manual_seed(0)
        model = entry.build()
        if entry.outputs == 1:
            settled(model, data)
        found["parameters"] = sum(weight.numel() for weight in model.parameters())
    if not journal.went_well("settle"):
        return
    ours = Ours(entry, data, folder, journal)
    ours.take(untouched(model))
    if entry.outputs == 1:
        torch_pruning_alone(untouched(model), ours.example, ASKED, journal)
    if (folder / FLOAT).is_file():
        quantize_static_alone(folder, ours.names, data, journal)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), "")
