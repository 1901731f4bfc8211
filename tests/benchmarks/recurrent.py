"""`make bench-recurrent`: an LSTM and a GRU of 40,000 parameters on a watch's signals, through the pipeline."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from onnxruntime.quantization import QuantType, quantize_dynamic
from rich.markdown import Markdown
from torch import nn

from deployments.recipe import read_recipe
from flows.demo.example_networks import gru, lstm
from flows.demo.examples import Example, examples, registered
from model_compression.pruning import parameters
from model_compression.quantization import answers
from tasks.workspace import Workspace
from tests.benchmarks.frontier.figures import Seen, seen
from tests.benchmarks.frontier.ours import Ours, run
from tests.benchmarks.record import Figure, record
from tests.benchmarks.trajectory.cache import CACHE, console

NETWORKS: dict[str, Callable[[], nn.Module]] = {"LSTM": lstm, "GRU": gru}
SEEDS = (0, 1, 2)
FLOAT, OURS, ALONE = "FP32", "ours", "quantize_dynamic alone"
ALIKE = 1.03  # identical files that are timed in turns differ by so much
POINT = 100


@dataclass(frozen=True)
class Trained:
    """One training of a network: its files as a device sees them, and what export and quantization changed.

    `parity` is the largest difference between the answers of the rebuilt program and of its float file; `differing` is
    the share of test rows that our file answers otherwise than the float file.
    """

    network: str
    seed: int
    parameters: int
    files: dict[str, Seen]
    parity: float
    differing: float
    rung: str
    note: str

    @property
    def share(self) -> float:
        """Bytes of our file, as a share of the float file's."""
        return self.files[OURS].size_bytes / self.files[FLOAT].size_bytes

    @property
    def lost(self) -> float:
        """Points of accuracy on test that our file loses to the float file."""
        return POINT * (self.files[FLOAT].accuracy - self.files[OURS].accuracy)

    @property
    def slower(self) -> float:
        """Median time of a window, as a multiple of the float file's."""
        return self.files[OURS].latency_p50_ms / self.files[FLOAT].latency_p50_ms

    @property
    def lines(self) -> Iterator[str]:
        """The lines of the table, one for each file."""
        for name, file in self.files.items():
            told = f"{name}, {self.rung}" if name == OURS else name
            yield (
                f"| {self.network} | {self.seed} | {told} | {file.accuracy:.4f} | {file.size_bytes / 1000:.1f} kB | "
                f"{1000 * file.latency_p50_ms:.0f} us | {file.memory_mb:.1f} MiB |"
            )


def trained(network: str, example: Example) -> Trained:
    """Train a network, or take it from the cache, and let the pipeline choose its file."""
    workspace = Workspace.at(CACHE / f"recurrent-{network}-{example.seed}")
    recipe = read_recipe(Path(example.recipe))
    ours = run(recipe, registered(example, workspace, console), workspace)
    alone = CACHE / f"recurrent-{network}-{example.seed}.onnx"
    quantize_dynamic(ours.baseline.onnx, alone, per_channel=True, weight_type=QuantType.QInt8)
    files = {FLOAT: ours.baseline.onnx, OURS: ours.climb.chosen.file.path, ALONE: alone}
    test = ours.job.splits["test"]
    device = recipe.devices[0].model_copy(update={"max_batch": 1})
    parity, differing = _changed(ours, files)
    found = Trained(
        network, example.seed, parameters(ours.parent.build()), seen(files, device, ours.job.workload, test),
        parity, differing, ours.climb.chosen.rung.title, ours.climb.chosen.file.note,
    )  # fmt: skip
    for line in found.lines:
        console.print(line, markup=False)
    return found


def _changed(ours: Ours, files: dict[str, Path]) -> tuple[float, float]:
    rows = ours.job.splits["test"].inputs
    whole, made = answers(files[FLOAT], rows), answers(files[OURS], rows)
    parity = float(np.abs(whole - ours.parent.answers(rows)).max())
    return parity, float((whole.argmax(axis=1) != made.argmax(axis=1)).mean())


def figures(found: list[Trained]) -> list[Figure]:
    """Return the worst of all trainings of each network, and what there is to say of their means."""
    made = []
    for network in NETWORKS:
        each = [one for one in found if one.network == network]
        worst = f"{network}, the worst of {len(each)} trainings"
        made += [
            Figure(f"{worst}: bytes of its FP32 file", max(one.share for one in each), 0.5, "x", "at_most"),
            Figure(f"{worst}: accuracy lost on test", max(one.lost for one in each), 1, "points", "at_most"),
            Figure(f"{worst}: time of a window beside FP32", max(one.slower for one in each), ALIKE, "x", "at_most"),
            Figure(f"{worst}: answers of the export differ by", max(one.parity for one in each), 1e-4, "", "at_most"),
        ]
    return made


def main() -> None:
    """Train, compress, measure and record."""
    example = examples()["exercises"]
    found = [
        trained(name, replace(example, network=network, seed=seed))
        for name, network in NETWORKS.items()
        for seed in SEEDS
    ]
    table = [
        "| network | seed | file | test accuracy | size | p50 | memory |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *(line for one in found for line in one.lines),
    ]
    said = {one.note: f"{one.network} of {one.parameters:,} parameters. {one.note}" for one in found}
    differing = f"{100 * min(one.differing for one in found):.2g} to {100 * max(one.differing for one in found):.2g} %"
    notes = [
        *table,
        "",
        *said.values(),
        f"Answers of our file are other ones than the float file's in {differing} of the test windows. Files were",
        "chosen on validation. The test has windows of three persons who are in no other split. One thread, one window",
        "of 40 steps at a time, in turns with the other files of its training. Memory is above a bare runtime's.",
    ]
    console.print(Markdown(record("recurrent", "make bench-recurrent", figures(found), "\n".join(notes))))


if __name__ == "__main__":
    main()
